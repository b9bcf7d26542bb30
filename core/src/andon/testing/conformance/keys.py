"""The API key goes to the server, and nowhere else."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import pytest

from andon import MissingKeyError
from andon.testing.conformance.base import Conformance
from andon.testing.conformance.callers import Caller
from andon.testing.conformance.contract import KEYS, SECRETS, check, check_equal
from andon.testing.conformance.samples import TEXT
from andon.testing.conformance.wire_stage import WireStage
from andon.testing.server import LAST_CHUNK, chunk, respond, send_reply


class KeyTests(Conformance):
    """What holds for the API key."""

    #: The setting that holds the key; None where the backend takes none.
    key_option: ClassVar[str | None] = "api_key"
    #: Whether the key itself goes over the wire, as it does but for signatures.
    key_is_sent: ClassVar[bool] = True
    #: Whether there is no asking without a key.
    key_is_needed: ClassVar[bool] = True

    def test_the_key_is_sent(self, stage: WireStage) -> None:
        """Every request carries the key, or is signed with it."""
        stage.both()
        for request in stage.requests:
            sent = any(stage.key in value for value in request.headers.values())
            check_equal(sent, self.key_is_sent, "whether the key is in the headers", SECRETS)
            check(stage.key not in request.target, "the key stands in the address", SECRETS)

    def test_a_missing_key(
        self,
        stage: WireStage,
        call_with: Callable[[Mapping[str, Any]], Caller],
        settings: Mapping[str, Any],
    ) -> None:
        """Without a key, the error says so and how to go on; or it goes without one."""
        if self.key_option is None:
            pytest.skip(f"{self.backend} takes no key")
        stage.caller = call_with({n: v for n, v in settings.items() if n != self.key_option})
        if not self.key_is_needed:
            check_equal(stage.chat().text, TEXT, "the answer without a key", KEYS)
            return
        error = stage.ask(streamed=False).error
        check(isinstance(error, MissingKeyError), f"it became {error!r}", KEYS)
        for word in (self.backend, self.key_option):
            check(word in str(error), f"{word} is not in: {error}", KEYS)
        check_equal(list(stage.requests), [], "what was sent", KEYS)

    def test_no_error_shows_the_key(self, stage: WireStage) -> None:
        """A server or a proxy may repeat the key, or send it back in a web page."""
        for streamed in (False, True):
            stage.first([send_reply(stage.provider.error(401, f"wrong key {stage.key} given"))])
            stage.failure(streamed=streamed)
            page = f"<html>denied: Bearer {stage.key}</html>".encode()
            stage.first([respond(200, page, "text/html")])
            stage.failure(streamed=streamed)
            stage.first([respond(302, b"", location=f"https://elsewhere.test/{stage.key}")])
            stage.failure(streamed=streamed)
        if "stream_error" in stage.provider.abilities:
            stage.streams(chunk(stage.provider.stream_error(f"key {stage.key}")), LAST_CHUNK)
            stage.failure(streamed=True)

    def test_nothing_else_shows_the_key(
        self, stage: WireStage, settings: Mapping[str, Any], caplog: pytest.LogCaptureFixture
    ) -> None:
        """The key is in no repr and in no log."""
        caplog.set_level(logging.DEBUG)
        stage.both()
        stage.first([send_reply(stage.provider.error(400, "no"))])
        stage.failure()
        backend = self.create(settings)
        shown = f"{stage.caller.client!r} {backend!r} {caplog.text}"
        backend.close()
        check(stage.key not in shown, f"the key is shown: {shown}", SECRETS)
