"""What goes well: texts and thoughts, whole and streamed, however their bytes are cut."""

from __future__ import annotations

import asyncio
import gzip
import threading
from dataclasses import replace

import pytest

from andon.testing.conformance.abilities import Ability
from andon.testing.conformance.base import Conformance
from andon.testing.conformance.contract import (
    ANSWER,
    CUTTING,
    LINES,
    LOOP,
    PROMPTNESS,
    SHARING,
    check,
    check_equal,
)
from andon.testing.conformance.samples import SAMPLE, TEXT
from andon.testing.conformance.wire_stage import WireStage
from andon.testing.server import (
    LAST_CHUNK,
    Peer,
    Script,
    await_event,
    chunk,
    respond,
    send_reply,
    single_bytes,
    stream_head,
)


class AnswerTests(Conformance):
    """An answer arrives as it was sent."""

    def test_a_whole_answer(self, stage: WireStage) -> None:
        """A whole answer has the text, and says who gave it."""
        reply = stage.chat()
        check_equal(reply.text, TEXT, "the text of a whole answer", ANSWER)
        check_equal((reply.backend, reply.model), (self.backend, self.model), "who spoke", ANSWER)

    def test_a_streamed_answer(self, stage: WireStage) -> None:
        """A stream has the same text, in pieces that are not repeated."""
        outcome = stage.stream()
        check_equal(outcome.whole.text, TEXT, "the text of a streamed answer", ANSWER)
        check_equal(outcome.text, TEXT, "the text of all pieces together", ANSWER)
        check(sum(bool(delta.text) for delta in outcome.deltas) > 1, "it came in one piece", ANSWER)

    def test_a_stream_in_one_write(self, stage: WireStage) -> None:
        """All events may come at once, the head of the reply included."""
        stream = stage.provider.stream(SAMPLE)
        stage.answers([stream_head(stream.headers) + chunk(stream.body) + LAST_CHUNK])
        check_equal(stage.stream().whole.text, TEXT, "the text of a stream in one write", CUTTING)

    def test_a_stream_byte_by_byte(self, stage: WireStage) -> None:
        """Bytes may come one at a time, even those of one character."""
        stage.streams(single_bytes(stage.provider.stream(SAMPLE).body), LAST_CHUNK)
        outcome = stage.stream()
        check_equal(outcome.whole.text, TEXT, "the text of a stream byte by byte", CUTTING)
        stage.answers()
        at_once = stage.stream()
        check_equal(outcome.deltas, at_once.deltas, "what comes byte by byte", CUTTING)

    def test_only_line_feeds_end_lines(self, stage: WireStage) -> None:
        """Characters that str.splitlines takes for ends of lines are text."""
        odd = "a\u2028b\u2029c\u0085d\u000be\u001cf"
        stage.sample = replace(SAMPLE, text=("Hello", odd))
        for reply in stage.both():
            check_equal(reply.text, "Hello" + odd, "a text with odd line ends", LINES)

    def test_the_first_piece_comes_at_once(self, stage: WireStage) -> None:
        """A piece is handed over before the next one is sent."""
        begin, rest = stage.until_first_text()
        seen = threading.Event()
        early: list[bool] = []

        def wait_for_it(peer: Peer) -> None:
            early.append(seen.wait(peer.server.patience))

        rest += stage.provider.stream(SAMPLE).end
        stage.streams(chunk(begin), wait_for_it, chunk(rest), LAST_CHUNK)
        stage.stream(seen=lambda delta: seen.set() if delta.text else None)
        check(early == [True], "the first text was kept back until more had come", PROMPTNESS)

    def test_gzip(self, stage: WireStage) -> None:
        """A reply may be compressed."""
        whole, stream = stage.provider.whole(SAMPLE), stage.provider.stream(SAMPLE)
        kind = whole.headers["content-type"]
        stage.answers([respond(200, gzip.compress(whole.body), kind, content_encoding="gzip")])
        check_equal(stage.chat().text, TEXT, "the text of a compressed answer", ANSWER)
        body = chunk(gzip.compress(stream.body))
        stage.streams(body, LAST_CHUNK, more={"content-encoding": "gzip"})
        check_equal(stage.stream().whole.text, TEXT, "the text of a compressed stream", ANSWER)

    def test_streams_do_not_mix(self, stage: WireStage) -> None:
        """Two streams that are read at the same time share nothing."""
        begin, rest = stage.until_first_text()
        stream, begun = stage.provider.stream(SAMPLE), threading.Event()
        rest += stream.end
        begin, rest = stream_head(stream.headers) + chunk(begin), chunk(rest) + LAST_CHUNK
        script: Script = [begin, await_event(begun), rest]
        stage.answers(script, script)
        texts = stage.in_turns(begun.set)
        check_equal(texts, [TEXT, TEXT], "the texts of two streams at once", SHARING)

    def test_an_empty_answer(self, stage: WireStage) -> None:
        """A model may say nothing at all."""
        stage.sample = replace(SAMPLE, text=())
        for reply in stage.both():
            check_equal((reply.text, reply.tool_calls), ("", ()), "an empty answer", ANSWER)

    def test_reasoning(self, stage: WireStage) -> None:
        """Thoughts arrive apart from the text; an answer without any has none."""
        thoughts = ("Let me", " think…", " 思") if self.claims(Ability.REASONING) else ()
        stage.sample = replace(SAMPLE, reasoning=thoughts)
        for reply in stage.both():
            found = reply.message.reasoning or ""
            check_equal(found, "".join(thoughts), "the thoughts of an answer", ANSWER)
            check_equal(reply.text, TEXT, "the text behind the thoughts", ANSWER)

    def test_the_event_loop_goes_on(self, stage: WireStage, colour: str) -> None:
        """While an answer is waited for, other tasks of the event loop go on."""
        if colour == "sync":
            pytest.skip("a thread that waits holds nobody up")
        for streamed in (False, True):
            beat, free = threading.Event(), list[bool]()
            loop = stage.caller.run(_running_loop())

            def knock(
                peer: Peer,
                loop: asyncio.AbstractEventLoop = loop,
                beat: threading.Event = beat,
                free: list[bool] = free,
            ) -> None:
                loop.call_soon_threadsafe(beat.set)
                free.append(beat.wait(peer.server.patience))

            stage.first([knock, send_reply(stage.provider.error(400, "enough"))])
            stage.ask(streamed=streamed)
            check(free == [True], "the event loop stood still while it waited", LOOP)


async def _running_loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()
