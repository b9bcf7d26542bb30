"""A backend over HTTP: an endpoint, a dialect, and everything between them and the network."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from andon.backends import PromptMeasure
from andon.backends.http_options import HTTPOptions, read_base_url
from andon.chat import ChatDelta, ChatRequest
from andon.errors import (
    BackendError,
    ServerError,
    StreamInterrupted,
    TransportError,
)
from andon.privacy.location import locality_of
from andon.specs import BackendContext, BackendSpec, Locality, ModelCard
from andon.wire.dialect import Dialect, HTTPCall, HTTPReply, StreamDecoder
from andon.wire.endpoint import EndpointSpec
from andon.wire.http import AsyncHTTPConnection, AsyncHTTPResponse, HTTPConnection, HTTPResponse
from andon.wire.retry import RetryBudget, RetryPolicy, parse_retry_after

if TYPE_CHECKING:
    from andon.wire.waits import Timeouts

#: Most bytes of a reply that stands for an error; the rest is of no use to anybody.
MAX_ERROR_BODY = 64 * 1024

#: Counts the tokens of a request's prompt.
Count = Callable[[ChatRequest], PromptMeasure | None]


class HTTPBackend:
    """Asks a server over HTTP, for threads and for asyncio.

    :param name: the backend's name.
    :param endpoint: where the server is, and how to sign in.
    :param dialect: the protocol it speaks.
    :param context: settings and environment.
    :param models: what is known of its models.
    :param count: measures prompts.
    :param retry: when to ask again; made from the settings where None.
    :raises SettingsError: a setting is wrong or unknown.
    :raises MissingKeyError: the endpoint needs an API key, and there is none.
    """

    def __init__(
        self,
        name: str,
        endpoint: EndpointSpec,
        dialect: Dialect,
        context: BackendContext,
        models: Sequence[ModelCard] = (),
        *,
        count: Count | None = None,
        retry: RetryPolicy | None = None,
    ) -> None:
        options = HTTPOptions.read(name, endpoint, context)
        policy = retry or RetryPolicy(max_retries=options.max_retries)
        self._facts = _Facts(name, options, dialect, policy)
        self._models = tuple(models)
        self._count = count
        self._connection: HTTPConnection | None = None
        self._lock = threading.Lock()
        self._async_connection = AsyncHTTPConnection(options.connection)

    def __repr__(self) -> str:
        return f"HTTPBackend({self._facts.name!r}, {self._facts.options.base_url!r})"

    def models(self) -> Sequence[ModelCard]:
        """Return the models that can be asked for by name."""
        return self._models

    def measure(self, request: ChatRequest) -> PromptMeasure | None:
        """Return the size of the request's prompt, or None where it cannot be known."""
        return None if self._count is None else self._count(request)

    async def ameasure(self, request: ChatRequest) -> PromptMeasure | None:
        """Return the size of the request's prompt; see :meth:`measure`."""
        return None if self._count is None else await asyncio.to_thread(self._count, request)

    def stream(
        self, request: ChatRequest, timeout: float | None
    ) -> Generator[ChatDelta, None, None]:
        """Give the answer piece by piece; closing the iterator closes the connection.

        :param request: what to answer.
        :param timeout: seconds until the whole answer must be there, or None for ever.
        :raises BackendError: the backend failed.
        """
        work = self._begin(request, timeout)
        while True:
            try:
                with self._open(work) as reply:
                    yield from _follow(work, reply)
            except BackendError as error:
                wait = work.after(error)
            else:
                return
            time.sleep(wait)

    async def astream(
        self, request: ChatRequest, timeout: float | None
    ) -> AsyncGenerator[ChatDelta, None]:
        """Give the answer piece by piece; see :meth:`stream`."""
        work = self._begin(request, timeout)
        while True:
            try:
                # Closed here and not whenever it is collected: the connection ends with it.
                async with (
                    await self._aopen(work) as reply,
                    aclosing(_afollow(work, reply)) as deltas,
                ):
                    async for delta in deltas:
                        yield delta
            except BackendError as error:
                wait = work.after(error)
            else:
                return
            await asyncio.sleep(wait)

    def close(self) -> None:
        """Close the connections of the threads."""
        with self._lock:
            connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    async def aclose(self) -> None:
        """Close all connections."""
        self.close()
        await self._async_connection.aclose()

    def _begin(self, request: ChatRequest, timeout: float | None) -> _Work:
        call = self._facts.dialect.encode(request)
        self._facts.budget.note_request()
        return _Work(self._facts, request, call, timeout)

    def _open(self, work: _Work) -> HTTPResponse:
        with self._lock:
            if self._connection is None:
                self._connection = HTTPConnection(self._facts.options.connection)
            connection = self._connection
        timeouts = work.start()
        return connection.send(work.call.method, work.url, work.headers, work.call.body, timeouts)

    async def _aopen(self, work: _Work) -> AsyncHTTPResponse:
        timeouts = work.start()
        call = work.call
        connection = self._async_connection
        return await connection.send(call.method, work.url, work.headers, call.body, timeouts)


def _follow(work: _Work, reply: HTTPResponse) -> Generator[ChatDelta, None, None]:
    """Read one reply in this thread."""
    decoder = work.decoder(reply.status, reply.headers)
    if decoder is None:
        failed = reply.status >= 300
        body = reply.read(MAX_ERROR_BODY, cut=True) if failed else reply.read()
        yield from work.whole(reply.status, reply.headers, body)
        return
    for data in reply.iter_bytes():
        for delta in decoder.feed(data):
            work.note(delta)
            yield delta
        if decoder.done:
            reply.expect_end()
    for delta in decoder.finish():
        work.note(delta)
        yield delta


async def _afollow(work: _Work, reply: AsyncHTTPResponse) -> AsyncGenerator[ChatDelta, None]:
    """Read one reply in this task; see :func:`_follow`."""
    decoder = work.decoder(reply.status, reply.headers)
    if decoder is None:
        failed = reply.status >= 300
        body = await (reply.aread(MAX_ERROR_BODY, cut=True) if failed else reply.aread())
        for delta in work.whole(reply.status, reply.headers, body):
            yield delta
        return
    async with aclosing(reply.aiter_bytes()) as pieces:
        async for data in pieces:
            for delta in decoder.feed(data):
                work.note(delta)
                yield delta
            if decoder.done:
                reply.expect_end()
    for delta in decoder.finish():
        work.note(delta)
        yield delta


@dataclass(frozen=True, slots=True)
class _Facts:
    """What holds for every request of a backend."""

    name: str
    options: HTTPOptions
    dialect: Dialect
    retry: RetryPolicy
    budget: RetryBudget = field(default_factory=RetryBudget)


class _Work:
    """One request on its way, over all of its attempts. It waits for nothing itself."""

    def __init__(
        self, facts: _Facts, request: ChatRequest, call: HTTPCall, timeout: float | None
    ) -> None:
        self._facts = facts
        self._request = request
        self._timeout = timeout
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._retries = 0
        self._texts: list[str] = []
        self._started = False
        self.call = call
        self.url = facts.options.base_url + call.path
        self.headers = {**facts.options.headers, **call.headers}

    def start(self) -> Timeouts:
        """Return how long the next attempt may take."""
        timeouts = self._facts.options.timeouts
        if self._deadline is None:
            return timeouts
        return replace(timeouts, total=self._timeout, deadline=self._deadline)

    def note(self, delta: ChatDelta) -> None:
        """Note a piece that the caller gets; from now on nothing is sent again."""
        self._started = True
        if delta.text:
            self._texts.append(delta.text)

    def decoder(self, status: int, headers: Mapping[str, str]) -> StreamDecoder | None:
        """Return what reads the reply as a stream, or None where it must be read whole."""
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        # Some servers answer whole although a stream was asked for.
        whole = kind in {"application/json", "text/html"}
        if status >= 300 or whole or not self._request.stream:
            return None
        return self._facts.dialect.decoder(headers)

    def whole(self, status: int, headers: Mapping[str, str], body: bytes) -> Sequence[ChatDelta]:
        """Return the deltas of a reply that was read whole.

        :raises BackendError: it is no answer.
        """
        reply = HTTPReply(status=status, headers=headers, body=body)
        if 300 <= status < 400:
            raise self._redirected(reply)
        if status >= 400:
            raise self._explain(reply)
        if body.lstrip()[:1] in {b"", b"<"}:
            raise self._unreadable(reply)
        try:
            deltas = self._facts.dialect.decode(reply)
        except ValueError as error:
            raise self._unreadable(reply) from error
        self._started = True
        return deltas

    def after(self, error: BackendError) -> float:
        """Return the seconds after which to send again, or raise the error."""
        wait = None if self._started else self._facts.retry.delay(error, self._retries)
        if wait is None or not self._in_time(wait) or not self._facts.budget.take():
            raise self._named(error)
        self._retries += 1
        return wait

    def _in_time(self, wait: float) -> bool:
        return self._deadline is None or time.monotonic() + wait < self._deadline

    def _named(self, error: BackendError) -> BackendError:
        """Return the error with our names in it and without our key."""
        options = self._facts.options
        if self._started and isinstance(error, TransportError):
            cause, error = error, StreamInterrupted(f"the answer broke off: {error}")
            error.__cause__ = cause
        if isinstance(error, StreamInterrupted):
            error.partial = error.partial or "".join(self._texts)
        error.args = tuple(options.redact(part) for part in error.args)
        error.backend = error.backend or self._facts.name
        error.model = error.model or self._request.model
        return error

    def _explain(self, reply: HTTPReply) -> BackendError:
        error = self._facts.dialect.explain(reply)
        error.status = error.status or reply.status
        if error.retry_after is None:
            error.retry_after = parse_retry_after(reply.headers, time.time())
        return error

    def _redirected(self, reply: HTTPReply) -> BackendError:
        target = reply.headers.get("location", "nowhere")[:200]
        return BackendError(
            f"{self.url} answered {reply.status}, a redirect to {target}, which is not followed: "
            f"set base_url of {self._facts.name!r} to the address that is meant",
            status=reply.status,
        )

    def _unreadable(self, reply: HTTPReply) -> BackendError:
        # Cut after the key is gone, or the half of one would be left.
        text = self._facts.options.redact(reply.body[:4096].decode("utf-8", "replace"))
        kind = reply.headers.get("content-type", "no content type")
        # Without its status, a success: asking again would bring the same page, no retry is due.
        return ServerError(
            f"{self.url} answered {reply.status} ({kind}) with what is no answer of a model: "
            f"{text[:200]!r}. Is base_url right, and no proxy's page in between?",
        )


def http_backend_spec(
    name: str,
    endpoint: EndpointSpec,
    dialect_factory: Callable[[], Dialect],
    *,
    summary: str = "",
    models: Sequence[ModelCard] = (),
    aliases: tuple[str, ...] = (),
    count: Count | None = None,
) -> BackendSpec:
    """Return the record of a backend over HTTP, which is all that most plugins need.

    :param name: the backend's name.
    :param endpoint: where the server is, and how to sign in.
    :param dialect_factory: makes the dialect, at the backend's first use; the place to import it.
    :param summary: one line for people.
    :param models: what is known of its models; the first one's name stands in help texts.
    :param aliases: other names that the backend answers to.
    :param count: measures prompts.
    """

    def create(context: BackendContext) -> HTTPBackend:
        return HTTPBackend(name, endpoint, dialect_factory(), context, models, count=count)

    def locate(context: BackendContext) -> Locality:
        base_url = read_base_url(name, endpoint, context)
        return locality_of(base_url, endpoint.base_url, endpoint.locality)

    return BackendSpec(
        name=name,
        create=create,
        locality=endpoint.locality,
        locate=locate,
        aliases=aliases,
        summary=summary,
        models=tuple(card.name for card in models[:1]),
    )
