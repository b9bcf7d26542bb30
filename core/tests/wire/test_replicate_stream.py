"""Streams of Replicate: what is read from them, however they are cut, and what comes after."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon.chat import ChatDelta, FinishReason, Usage
from andon.errors import BackendError, OverloadedError, ServerError, StreamInterrupted
from andon.testing.provider import SampleAnswer
from andon.testing.providers.replicate import ID, ReplicateProvider, finished
from andon.wire.dialect import HTTPCall, HTTPReply
from andon.wire.replicate import ReplicateStreamDecoder

FETCH = HTTPCall(path=f"/v1/predictions/{ID}", method="GET")
FINISHED = finished(SampleAnswer())


def event(name: str, data: str) -> bytes:
    lines = "".join(f"data: {line}\n" for line in data.split("\n"))
    return f"event: {name}\nid: 1:0\n{lines}\n".encode()


DONE = event("done", "{}")
STREAMS = {
    "text": event("output", "Grüße,\u2028\x85") + event("output", " 😀") + DONE,
    "lines": event("output", "a\nb\n") + event("output", "\n") + DONE,
    "logs, and what nobody knows": event("logs", "x") + event("new", "y") + b": hi\n\n" + DONE,
    "an error": event("output", "a") + event("error", "out of memory (E003)"),
    "an error in JSON": event("output", "a") + event("error", '{"detail":"worker lost"}'),
    "an error at the end": event("output", "a") + event("done", '{"reason":"error"}'),
    "cancelled": event("output", "a") + event("done", '{"reason":"canceled"}'),
    "an end that is missing": event("output", "a") + event("output", "b"),
    "half an event": event("output", "a") + b"event: output\ndata: b",
    "no empty line at the end": event("output", "a") + DONE.rstrip(b"\n") + b"\n",
}


def decoder(fetch: HTTPCall | None = FETCH) -> ReplicateStreamDecoder:
    return ReplicateStreamDecoder({}, fetch=fetch, identifier=ID, model="meta/llama")


def outcome(*pieces: bytes) -> tuple[list[ChatDelta], str]:
    """Return the deltas and the error, as a driver sees them."""
    reader = decoder()
    deltas: list[ChatDelta] = []
    try:
        for piece in pieces:
            deltas += reader.feed(piece)
        deltas += reader.finish()
    except BackendError as error:
        return deltas, repr(error)
    return deltas, ""


def prediction(**changes: Any) -> HTTPReply:
    body = json.dumps({**FINISHED, **changes}).encode()
    return HTTPReply(status=200, headers={}, body=body)


def test_text() -> None:
    assert outcome(STREAMS["text"]) == (
        [ChatDelta("Grüße,\u2028\x85", model="meta/llama", request_id=ID), ChatDelta(" 😀")],
        "",
    )


def test_line_feeds_are_text() -> None:
    assert [delta.text for delta in outcome(STREAMS["lines"])[0]] == ["a\nb\n", "\n"]


def test_text_comes_as_soon_as_its_event_is_complete() -> None:
    reader = decoder()
    assert reader.feed(event("output", "a")[:-1]) == []
    assert reader.feed(b"\n" + event("output", "b")[:9])[0].text == "a"


def test_nothing_is_read_after_the_end() -> None:
    assert outcome(STREAMS["text"] + event("error", "x")) == outcome(STREAMS["text"])


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("an error", OverloadedError, "out of memory"),
        ("an error in JSON", ServerError, "worker lost"),
        ("an error at the end", ServerError, "no reason"),
        ("cancelled", StreamInterrupted, "canceled"),
        ("an end that is missing", StreamInterrupted, "event done"),
        ("half an event", StreamInterrupted, "event done"),
    ],
)
def test_streams_that_fail(name: str, kind: type[BackendError], words: str) -> None:
    reader = decoder()
    assert reader.feed(STREAMS[name])[0].text == "a"
    with pytest.raises(kind, match=words):
        reader.finish()


# -- After the stream ------------------------------------------------------------------------------


def ended() -> ReplicateStreamDecoder:
    reader = decoder()
    reader.feed(STREAMS["text"])
    assert reader.finish() == []
    assert reader.follow_up() == FETCH
    return reader


def test_the_prediction_tells_the_usage() -> None:
    reader = ended()
    [last] = reader.conclude(prediction())
    assert last == ChatDelta(
        finish_reason=FinishReason.STOP,
        raw_finish_reason="succeeded",
        usage=Usage(12, 5),
        model="sample-model",
        request_id=ID,
    )
    assert reader.follow_up() is None


def test_a_prediction_that_lags_behind_its_stream_is_asked_again_but_not_for_ever() -> None:
    reader = ended()
    for _ in range(4):
        assert reader.conclude(prediction(status="processing")) == ()
        call = reader.follow_up()
        assert call is not None
        assert call.delay > 0
    [last] = reader.conclude(prediction(status="processing"))
    assert (last.finish_reason, last.usage) == (FinishReason.STOP, None)
    assert reader.follow_up() is None


def test_an_answer_whose_usage_cannot_be_had() -> None:
    [last] = ended().conclude(None)
    assert (last.finish_reason, last.raw_finish_reason, last.usage) == (
        FinishReason.STOP,
        "done",
        None,
    )
    alone = decoder(fetch=None)
    assert alone.feed(DONE) == []
    assert [delta.finish_reason for delta in alone.finish()] == [FinishReason.STOP]
    assert alone.follow_up() is None


def test_a_prediction_that_failed_after_all() -> None:
    reader = ended()
    with pytest.raises(ServerError, match="worker lost"):
        reader.conclude(prediction(status="failed", error="worker lost"))
    # And whoever then has to do without the reply is told the same.
    with pytest.raises(ServerError, match="worker lost"):
        reader.conclude(None)


def test_junk_in_place_of_the_prediction_leaves_the_answer() -> None:
    reader = ended()
    with pytest.raises(BackendError, match="no prediction"):
        reader.conclude(HTTPReply(status=200, headers={}, body=b"{}"))
    assert reader.conclude(None)[0].finish_reason is FinishReason.STOP


# -- However it is cut ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", STREAMS)
@given(data=st.data())
def test_any_cutting_gives_the_same(name: str, data: st.DataObject) -> None:
    stream = STREAMS[name]
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=20))
    places = sorted({0, len(stream), *cuts})
    expected = outcome(stream)
    assert outcome(*(stream[a:b] for a, b in pairwise(places))) == expected
    assert outcome(*(stream[at : at + 1] for at in range(len(stream)))) == expected


@given(st.sampled_from(list(STREAMS)), st.data())
def test_mutated_streams_fail_as_backends_do(name: str, data: st.DataObject) -> None:
    stream = bytearray(STREAMS[name])
    for _ in range(data.draw(st.integers(1, 5))):
        stream[data.draw(st.integers(0, len(stream) - 1))] = data.draw(st.integers(0, 255))
    outcome(bytes(stream))


@given(st.binary(max_size=200))
def test_random_bytes_fail_as_backends_do(stream: bytes) -> None:
    assert outcome(stream)[1]


@pytest.mark.parametrize("data", ["[" * 100_000, "5", "null", '{"reason":[]}', '{"reason":{}}'])
def test_odd_ends(data: str) -> None:
    assert isinstance(outcome(event("done", data)), tuple)
    assert outcome(event("error", data))[1]


def test_what_the_provider_writes() -> None:
    stream = ReplicateProvider().stream(SampleAnswer(text=("a\n", "\n", "b")))
    assert "".join(delta.text for delta in outcome(stream.body)[0]) == "a\n\nb"
