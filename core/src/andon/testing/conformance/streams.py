"""Streams that go wrong: cut, stalled, damaged, endless, or left by the caller."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from contextlib import aclosing
from typing import Any

import pytest

from andon import BackendError, RequestTimeout, StreamInterrupted
from andon.testing.conformance.base import Conformance
from andon.testing.conformance.callers import Caller
from andon.testing.conformance.contract import (
    BOUNDS,
    CLOSING,
    INTERRUPTION,
    STREAM_ERROR,
    TIMEOUTS,
    TYPED,
    check,
    check_equal,
)
from andon.testing.conformance.samples import FIRST, QUESTION, TEXT
from andon.testing.conformance.stage import Outcome
from andon.testing.conformance.wire_stage import WireStage
from andon.testing.server import (
    LAST_CHUNK,
    Step,
    await_event,
    chunk,
    cut,
    endless,
    hold,
    reset,
    respond,
)

MESSAGE = "The server lost its thréad"


class BrokenStreamTests(Conformance):
    """A stream that is not complete is never taken for a complete one."""

    @pytest.mark.parametrize("end", [cut, reset, LAST_CHUNK], ids=["cut", "reset", "ended"])
    def test_a_stream_that_breaks_off(self, stage: WireStage, end: Step) -> None:
        """Half an answer is StreamInterrupted, with the half that came."""
        begin, _ = stage.until_first_text()
        seen = threading.Event()
        stage.streams(chunk(begin), await_event(seen), end)
        _check_interrupted(stage, stage.stream(seen=lambda delta: _tell(seen, delta.text)), "Hello")
        stage.check_attempts(1)
        stage.check_usable()

    @pytest.mark.parametrize("end", [cut, LAST_CHUNK], ids=["cut", "ended"])
    def test_a_missing_end(self, stage: WireStage, end: Step) -> None:
        """All of the text is not the end: the protocol's own end must come."""
        stream = stage.provider.stream(stage.sample)
        stage.streams(chunk(b"".join(stream.events)), end)
        _check_interrupted(stage, stage.stream(), TEXT)
        stage.streams(chunk(b"".join(stream.events)), end)
        stage.check_usable()

    def test_a_whole_answer_never_hides_a_break(self, stage: WireStage) -> None:
        """A whole reply that ends too early is an error."""
        reply = stage.provider.whole(stage.sample)
        half = reply.body[: len(reply.body) // 2]
        stage.answers(*[[respond(200, half, reply.headers["content-type"])]] * 3)
        stage.failure()
        stage.check_usable()

    def test_an_error_inside_a_stream(self, stage: WireStage) -> None:
        """An error that comes after some text is raised, with the provider's own message."""
        stage.need_written("stream_error")
        begin, _ = stage.until_first_text()
        stage.streams(chunk(begin), chunk(stage.provider.stream_error(MESSAGE)), LAST_CHUNK)
        outcome = stage.stream()
        _check_interrupted(stage, outcome, "Hello")
        check(
            MESSAGE in str(outcome.error), f"the message is lost: {outcome.error!r}", STREAM_ERROR
        )
        stage.check_usable()

    def test_an_error_instead_of_a_stream(self, stage: WireStage) -> None:
        """An error that comes as the first event is raised."""
        stage.need_written("stream_error")
        stage.streams(chunk(stage.provider.stream_error(MESSAGE)), LAST_CHUNK)
        error = stage.failure(streamed=True)
        check(MESSAGE in str(error), f"the message is lost: {error!r}", STREAM_ERROR)
        stage.check_usable()


class DamagedStreamTests(Conformance):
    """Bytes that no server of the protocol sends are an error of andon's."""

    def test_a_malformed_event(self, stage: WireStage) -> None:
        """An event that cannot be read is an error, and not left out."""
        begin, rest = stage.until_first_text()
        if b"}" not in rest:
            pytest.skip("the protocol's text is no JSON")
        end = stage.provider.stream(stage.sample).end
        stage.streams(chunk(begin), chunk(rest.replace(b"}", b"", 1)), chunk(end), LAST_CHUNK)
        _check_interrupted(stage, stage.stream(), None)
        stage.check_usable()

    @pytest.mark.parametrize("junk", [b"\x00\xff\xfe", b"}{\n\n", b"data: {]\n\n", b"\r\r\r\n"])
    def test_junk(self, stage: WireStage, junk: bytes) -> None:
        """A stream of junk is an error, even if it ends in order."""
        stage.streams(chunk(junk * 3), LAST_CHUNK)
        stage.failure(streamed=True)
        stage.check_usable()

    def test_invalid_utf8(self, stage: WireStage) -> None:
        """Bytes that are no UTF-8 are replaced or an error of andon's."""
        body = stage.provider.stream(stage.sample).body.replace(FIRST, b"Hel\xfflo", 1)
        stage.streams(chunk(body), LAST_CHUNK)
        outcome = stage.stream()
        if outcome.error is None:
            check("\ufffd" in outcome.text, f"the text became {outcome.text!r}", TYPED)
        else:
            stage.checked(outcome.error)
        stage.check_usable()

    def test_a_giant_line(self, stage: WireStage) -> None:
        """A line that does not end is given up."""
        begin, _ = stage.until_first_text()
        stage.streams(chunk(begin), chunk(b"data: "), endless(b"x" * 1_000_000))
        _check_interrupted(stage, stage.stream(), "Hello")
        check(stage.server.sees_client_leave(), "the connection was kept", BOUNDS)
        check(stage.server.sent < 60_000_000, f"{stage.server.sent} bytes were read", BOUNDS)
        stage.check_usable()


class TimeTests(Conformance):
    """A server that is slow, or never done, is not waited for without an end."""

    #: Seconds, where the test waits until they are over.
    short = 0.05

    def test_a_server_that_says_nothing(
        self, call_with: Callable[[Mapping[str, Any]], Caller], stage: WireStage, settings: Any
    ) -> None:
        """The wait for the first byte is limited by first_token_timeout."""
        stage.caller = call_with({**settings, "first_token_timeout": self.short})
        stage.first([hold])
        error = stage.failure()
        check(isinstance(error, RequestTimeout), f"it became {error!r}", TIMEOUTS)
        check(stage.server.sees_client_leave(), "the connection was kept", CLOSING)
        stage.check_usable(tries=5)

    def test_a_stall(
        self, call_with: Callable[[Mapping[str, Any]], Caller], stage: WireStage, settings: Any
    ) -> None:
        """The wait between two pieces is limited by stall_timeout."""
        stage.caller = call_with({**settings, "stall_timeout": self.short})
        begin, _ = stage.until_first_text()
        stage.streams(chunk(begin), hold)
        outcome = stage.stream()
        _check_interrupted(stage, outcome, "Hello")
        cause = outcome.error and outcome.error.__cause__
        check(isinstance(cause, RequestTimeout), f"its cause is {cause!r}", TIMEOUTS)
        check(stage.server.sees_client_leave(), "the connection was kept", CLOSING)
        stage.check_usable(tries=5)

    def test_a_stream_without_an_end(self, stage: WireStage) -> None:
        """A timeout holds for a stream that goes on and on."""
        begin, _ = stage.until_first_text()
        stage.streams(endless(begin))
        outcome = stage.stream(timeout=self.short)
        check(isinstance(outcome.error, BackendError), f"it became {outcome.error!r}", TIMEOUTS)
        check(stage.server.sees_client_leave(), "the connection was kept", CLOSING)
        stage.check_usable()


class LeavingTests(Conformance):
    """A caller may leave whenever it likes."""

    def test_closing_a_stream(self, stage: WireStage) -> None:
        """A stream that is closed closes its connection."""
        begin, _ = stage.until_first_text()
        stage.streams(chunk(begin), hold)
        check_equal(stage.leave(), "Hello", "the first piece", CLOSING)
        check(stage.server.sees_client_leave(), "the connection was kept", CLOSING)
        stage.check_usable()

    def test_cancelling_a_task(self, stage: WireStage, colour: str) -> None:
        """A task that is cancelled closes its connection."""
        if colour == "sync":
            pytest.skip("threads have no tasks")
        begin, _ = stage.until_first_text()
        stage.first([hold])
        self._cancel(stage)
        stage.streams(chunk(begin), hold)
        self._cancel(stage)
        stage.check_usable()

    def _cancel(self, stage: WireStage) -> None:
        stage.server.holding.clear()
        stage.server.client_left.clear()
        stage.caller.run(_read_and_cancel(stage))
        check(stage.server.sees_client_leave(), "the connection was kept", CLOSING)


async def _read_and_cancel(stage: WireStage) -> None:
    async def read() -> None:
        async with aclosing(stage.caller.client.stream(stage.name, QUESTION)) as stream:
            async for _ in stream:
                pass  # until it is cancelled

    task = asyncio.create_task(read())
    await asyncio.to_thread(stage.server.holding.wait, stage.server.patience)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def _tell(event: threading.Event, text: str) -> None:
    if text:
        event.set()


def _check_interrupted(stage: WireStage, outcome: Outcome, text: str | None) -> None:
    """Check that a stream was interrupted, and that the caller has what came.

    :param text: what came; None where that is for the protocol to say.
    """
    check(outcome.error is not None, f"a short success: {outcome.text!r}", INTERRUPTION)
    error = stage.checked(outcome.error)
    check(isinstance(error, StreamInterrupted), f"it became {error!r}", INTERRUPTION)
    if text is not None:
        check_equal(outcome.text, text, "the text that came", INTERRUPTION)
    check_equal(getattr(error, "partial", None), outcome.text, "the error's partial", INTERRUPTION)
