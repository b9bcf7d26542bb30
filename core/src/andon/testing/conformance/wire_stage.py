"""A stage with a server, for backends over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from andon import RequestTimeout, UnsupportedParameterError
from andon.testing.conformance.callers import Caller
from andon.testing.conformance.contract import (
    ENCODING,
    ERRORS,
    PROVIDER,
    REFUSAL,
    RETRIES,
    USABLE,
    check,
    check_equal,
)
from andon.testing.conformance.samples import FIRST, SAMPLE
from andon.testing.conformance.stage import Stage
from andon.testing.provider import Provider
from andon.testing.server import (
    LAST_CHUNK,
    ReceivedRequest,
    Script,
    ScriptedServer,
    Step,
    chunk,
    send_reply,
    stream_head,
)
from andon.wire.dialect import HTTPReply


class WireStage(Stage):
    """Asks a backend over HTTP at a server that a provider tells what to say.

    :param server: the server.
    :param provider: what it says.
    """

    def __init__(
        self,
        caller: Caller,
        backend: str,
        model: str,
        key: str,
        *,
        server: ScriptedServer,
        provider: Provider,
    ) -> None:
        super().__init__(caller, backend, model, key)
        self.server = server
        self.provider = provider
        #: The answer that is given.
        self.sample = SAMPLE
        self._first: list[Script] = []
        self._answers: list[Script] = []
        server.otherwise = self._play

    def first(self, *scripts: Script) -> None:
        """Set what the server does with the next requests, whatever they ask for."""
        self._first = list(scripts)

    def answers(self, *scripts: Script) -> None:
        """Set what the server does where the answer itself is due, and the exchange before it."""
        self._answers = list(scripts)

    def streams(self, *steps: Step, more: Mapping[str, str] | None = None) -> None:
        """Let the next answer be a stream whose body is made of these steps.

        :param more: further headers of the reply.
        """
        headers = self.provider.stream(self.sample).headers
        self.answers([stream_head({**headers, **(more or {})}), *steps])

    @property
    def requests(self) -> Sequence[ReceivedRequest]:
        """The requests so far."""
        return self.server.requests

    @property
    def attempts(self) -> int:
        """How often the first request was sent."""
        sent = [(request.method, request.target) for request in self.requests]
        return sent.count(sent[0]) if sent else 0

    def until_first_text(self) -> tuple[bytes, bytes]:
        """Return the sample's stream up to its first piece of text, and the rest without an end."""
        stream = self.provider.stream(self.sample)
        sent = b""
        for place, event in enumerate(stream.events):
            sent += event
            if FIRST in sent:
                return sent, b"".join(stream.events[place + 1 :])
        raise AssertionError(f"{type(self.provider).__name__} writes no {FIRST!r} into its stream")

    @property
    def asked(self) -> Sequence[ReceivedRequest]:
        """The requests that say something, and do not only fetch."""
        return [request for request in self.requests if request.body]

    def need_written(self, ability: str) -> None:
        """Skip a test of what the protocol does not have."""
        if ability not in self.provider.abilities:
            pytest.skip(f"{type(self.provider).__name__} writes no {ability}")

    def check_request_id(self, found: str | None, reply: HTTPReply) -> None:
        """Check a request's id: it is the one of the headers, else one of the body, if any."""
        names = ("request-id", "requestid")
        named = [value for name, value in reply.headers.items() if name.endswith(names)]
        if named:
            check(found in named, f"the request id is {found!r} and not in {named}", ERRORS)
        elif found is not None:
            known = found.encode() in reply.body or found in reply.headers.values()
            check(known, f"the request id {found!r} is made up", ERRORS)

    def check_sent(self, value: str | int) -> None:
        """Check that what was asked stands in a request."""
        found = any(mentions(request, value) for request in self.asked)
        check(found, f"{value!r} stands in no request: {self._bodies()}", ENCODING)

    def check_refused(self, parameter: str | None, **options: Any) -> None:
        """Check that a request is refused before anything is sent.

        :param parameter: the option that is to blame, which can be left out on demand.
        :param options: the request's options, or what :meth:`chat` takes besides.
        """
        for streamed in (False, True):
            error = self.ask(streamed=streamed, **options).error
            unsupported = isinstance(error, UnsupportedParameterError)
            check(unsupported, f"not claimed, yet it was not refused but {error!r}", REFUSAL)
            check_equal(list(self.requests), [], "what was sent", REFUSAL)
            if parameter is not None and isinstance(error, UnsupportedParameterError):
                check_equal(error.parameter, parameter, "the error's parameter", REFUSAL)
        if parameter is not None:
            reply = self.chat(drop_unsupported=True, **options)
            check_equal(reply.text, "".join(self.sample.text), "the answer without it", REFUSAL)

    def check_writes(self, ability: str) -> None:
        """Check that the provider can write what the backend claims to read."""
        name = type(self.provider).__name__
        written = ability in self.provider.abilities
        check(written, f"claimed, but {name} does not write {ability}", PROVIDER)

    def check_attempts(self, count: int) -> None:
        """Check how often the request was sent."""
        check_equal(self.attempts, count, "the number of attempts", RETRIES)

    def check_usable(self, tries: int = 1) -> None:
        """Check that the client serves the next request.

        :param tries: how often to ask, where a busy machine may be slower than a short timeout.
        """
        self.first()
        self.answers()
        outcome = self.ask(streamed=False)
        while tries > 1 and isinstance(outcome.error, RequestTimeout):
            tries -= 1
            outcome = self.ask(streamed=False)
        check(outcome.error is None, f"the next request failed: {outcome.error!r}", USABLE)
        check_equal(outcome.whole.text, "".join(self.sample.text), "its answer", USABLE)

    def _bodies(self) -> str:
        return " ".join(f"{request.body[:2000]!r}" for request in self.requests)

    def _play(self, request: ReceivedRequest) -> Script:
        if self._first:
            return self._first.pop(0)
        routed = self.provider.route(request.method, request.target, request.body, self.sample)
        stream = self.provider.stream(self.sample)
        is_stream = routed is not None and _kind(routed.headers) == _kind(stream.headers)
        if routed is not None and not is_stream:
            return [send_reply(routed)]
        if self._answers:
            return self._answers.pop(0)
        if routed is not None:
            return [send_reply(routed)]
        if self._streamed:
            return [stream_head(stream.headers), chunk(stream.body), LAST_CHUNK]
        return [send_reply(self.provider.whole(self.sample))]


def _kind(headers: Mapping[str, str]) -> str:
    return headers.get("content-type", "").partition(";")[0]


def mentions(request: ReceivedRequest, value: str | int) -> bool:
    """Return whether a request's JSON body has a value somewhere, or a text that contains it."""
    return any(_matches(leaf, value) for leaf in _leaves(json.loads(request.body or b"null")))


def _matches(leaf: object, value: str | int) -> bool:
    if isinstance(value, str):
        return isinstance(leaf, str) and value in leaf
    return type(leaf) is int and leaf == value


def _leaves(value: Any) -> Iterator[object]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield name
            yield from _leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner)
    else:
        yield value
