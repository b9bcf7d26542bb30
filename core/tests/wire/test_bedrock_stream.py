"""Streams of Bedrock: what is read from them, however they are cut."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from andon.answer import Answer
from andon.chat import ChatDelta, FinishReason, Usage
from andon.errors import (
    BackendError,
    BadRequestError,
    OverloadedError,
    PromptTooLongError,
    RateLimitError,
    RequestTimeout,
    ServerError,
    StreamInterrupted,
)
from andon.messages import ToolCall
from andon.testing.provider import SampleAnswer
from andon.testing.providers.bedrock import BedrockProvider, event, frame
from andon.wire.bedrock_converse import BedrockConverse
from andon.wire.event_stream import EventStreamDecoder

HEADERS = {"content-type": "application/vnd.amazon.eventstream", "x-amzn-requestid": "5a9c"}
START = event("messageStart", {"role": "assistant"})


def piece(index: int, delta: Any) -> bytes:
    return event("contentBlockDelta", {"contentBlockIndex": index, "delta": delta})


def block(index: int, *deltas: Any, start: Any = None) -> bytes:
    place = {"contentBlockIndex": index}
    begun = b"" if start is None else event("contentBlockStart", {**place, "start": start})
    pieces = [piece(index, delta) for delta in deltas]
    return begun + b"".join(pieces) + event("contentBlockStop", place)


def text(index: int, *pieces: Any) -> bytes:
    return block(index, *({"text": piece} for piece in pieces))


def thought(index: int, *deltas: Any) -> bytes:
    return block(index, *({"reasoningContent": delta} for delta in deltas))


def call(index: int, identifier: str, name: str, *pieces: str, **more: str) -> bytes:
    start = {"toolUse": {"toolUseId": identifier, "name": name, **more}}
    return block(index, *({"toolUse": {"input": piece}} for piece in pieces), start=start)


def stop(reason: Any = "end_turn") -> bytes:
    return event("messageStop", {"stopReason": reason})


def metadata(**counts: Any) -> bytes:
    usage = {"inputTokens": 5, "outputTokens": 9, "totalTokens": 14} | counts
    return event("metadata", {"usage": usage, "metrics": {"latencyMs": 7}})


def failure(kind: str, payload: bytes = b'{"message":"Because"}') -> bytes:
    headers = {":exception-type": kind, ":content-type": "application/json", ":message-type": "exception"}  # fmt: skip
    return frame(headers, payload)


#: Complete streams.
STREAMS: dict[str, bytes] = {
    "text": START + text(0, "Grüße,\u2028", " 世界 😀") + stop() + metadata(),
    "thoughts, text and parallel tools": (
        START + thought(0, {"text": "2+"}, {"text": "2"}, {"signature": "Eq"}, {"signature": "+/="})
        + text(1, "So", "!") + call(2, "a", "weather", "", '{"city":', '"Köln"}') + call(3, "b", "now", "")
        + stop("tool_use") + metadata(cacheReadInputTokens=3, cacheWriteInputTokens=1)
    ),
    "redacted thoughts between calls, and a server's own": (
        START + thought(0, {"redactedContent": "AAEC"}, {"redactedContent": "Aw=="}) + call(1, "a", "now", "{}")
        + call(2, "s", "grounding", "{}", type="server_tool_use") + thought(3, {"text": ""}, {"signature": "Eq"})
        + text(4, "So") + stop("tool_use") + metadata()
    ),
    "one index for two blocks, and what nobody knows": (
        START + event("initial-response", {}) + event("newEvent", {"x": 1})
        + thought(0, {"text": "Hm"}) + text(0, "Hi") + block(1, {"citation": {"title": "t"}}, {"image": {}}, start={"image": {}})
        + frame({":message-type": "event", ":event-type": "newer"}, b"\xff") + stop("new_reason") + metadata(newTokens=1)
    ),
    "nothing at all": START + stop("content_filtered") + metadata(),
    "usage before the end": START + text(0, "Hi") + metadata() + stop("max_tokens"),
}  # fmt: skip


def read(*parts: bytes) -> list[ChatDelta]:
    """Read a stream; the last call is what a driver does at the connection's end."""
    decoder = BedrockConverse().decoder(HEADERS)
    deltas = [delta for part in parts for delta in decoder.feed(part)]
    return [*deltas, *decoder.finish()]


def answer(deltas: Sequence[ChatDelta]) -> Answer:
    whole = Answer()
    for delta in deltas:
        whole.append(delta)
    return whole


def pieces_of(deltas: Sequence[ChatDelta]) -> Any:
    [state] = deltas[-1].provider_state
    return json.loads(state.data)


# -- What is read ----------------------------------------------------------------------------------


def test_text_first_and_last() -> None:
    first, second, last = read(STREAMS["text"])
    assert first == ChatDelta("Grüße,\u2028", request_id="5a9c")
    assert second == ChatDelta(" 世界 😀")
    assert last == ChatDelta(
        finish_reason=FinishReason.STOP,
        raw_finish_reason="end_turn",
        usage=Usage(5, 9),
        request_id="5a9c",
    )


def test_text_is_there_as_soon_as_its_event() -> None:
    decoder = BedrockConverse().decoder(HEADERS)
    data = START + piece(0, {"text": "Hi"})
    assert list(decoder.feed(data[:-1])) == []
    [delta] = decoder.feed(data[-1:])
    assert (delta.text, decoder.done) == ("Hi", False)


def test_thoughts_text_and_parallel_tools() -> None:
    deltas = read(STREAMS["thoughts, text and parallel tools"])
    message = answer(deltas).message()
    assert (message.reasoning, message.text) == ("2+2", "So!")
    assert message.tool_calls == (
        ToolCall("a", "weather", '{"city":"Köln"}'), ToolCall("b", "now", "{}")
    )  # fmt: skip
    assert [c.index for delta in deltas for c in delta.tool_calls] == [0, 0, 0, 1, 1]
    assert deltas[-1].finish_reason is FinishReason.TOOL_CALLS
    assert deltas[-1].usage == Usage(9, 9, cached_input_tokens=3, cache_write_tokens=1)
    signed = {"reasoningText": {"text": "2+2", "signature": "Eq+/="}}
    assert pieces_of(deltas) == [signed, 3, "call", "call"]


def test_blocks_are_kept_in_their_places() -> None:
    deltas = read(STREAMS["redacted thoughts between calls, and a server's own"])
    signed = {"reasoningText": {"text": "", "signature": "Eq"}}
    assert pieces_of(deltas) == [{"redactedContent": "AAECAw=="}, "call", signed, 2]
    assert answer(deltas).message().tool_calls == (ToolCall("a", "now", "{}"),)


def test_a_call_that_is_not_ended() -> None:
    start = {"toolUse": {"toolUseId": "a", "name": "f"}}
    begun = event("contentBlockStart", {"contentBlockIndex": 0, "start": start})
    [call] = answer(read(START + begun + stop("tool_use") + metadata())).message().tool_calls
    assert call == ToolCall("a", "f", "{}")


def test_the_model_that_a_router_chose() -> None:
    usage = {"usage": {}, "trace": {"promptRouter": {"invokedModelId": "arn:m"}}}
    assert read(START + stop() + event("metadata", usage))[-1].model == "arn:m"


def test_the_answer_is_complete_when_its_usage_is_there() -> None:
    decoder = BedrockConverse().decoder(HEADERS)
    deltas = decoder.feed(STREAMS["text"] + text(0, "more") + b"junk, twelve bytes and more")
    assert deltas[-1].finish_reason is FinishReason.STOP
    assert decoder.done
    assert list(decoder.feed(b"junk, twelve bytes and more")) == list(decoder.finish()) == []


def test_an_answer_without_usage_is_an_answer() -> None:
    decoder = BedrockConverse().decoder(HEADERS)
    assert [delta.text for delta in decoder.feed(START + text(0, "Hi") + stop())] == ["Hi"]
    assert not decoder.done
    [last] = decoder.finish()
    assert (last.finish_reason, last.usage) == (FinishReason.STOP, None)


@pytest.mark.parametrize("name", STREAMS)
def test_byte_by_byte_it_is_the_same(name: str) -> None:
    data = STREAMS[name]
    assert read(*(data[i : i + 1] for i in range(len(data)))) == read(data)


@given(st.sampled_from(sorted(STREAMS)), st.lists(st.integers(0, 3_000), max_size=12))
def test_cut_anywhere_it_is_the_same(name: str, cuts: list[int]) -> None:
    data = STREAMS[name]
    places = [0, *sorted(cuts), len(data)]
    parts = [data[a:b] for a, b in pairwise(places)]
    assert read(*parts) == read(data)


def test_a_stream_says_what_a_whole_answer_says() -> None:
    provider, dialect = BedrockProvider(), BedrockConverse()
    calls = (ToolCall("a", "f", '{"a":"ö"}'), ToolCall("b", "g", "{}"))
    for sample in (
        SampleAnswer(),
        SampleAnswer(text=(), finish_reason=FinishReason.CONTENT_FILTER),
        SampleAnswer(reasoning=("2+", "2"), tool_calls=calls, finish_reason=FinishReason.TOOL_CALLS,
                     usage=Usage(20, 9, 5, 3)),
    ):  # fmt: skip
        streamed, [whole] = (
            read(provider.stream(sample).body),
            dialect.decode(provider.whole(sample)),
        )
        assert answer(streamed).message() == answer([whole]).message()
        assert streamed[-1].usage == whole.usage == sample.usage
        assert streamed[-1].finish_reason == whole.finish_reason == sample.finish_reason
        assert streamed[-1].provider_state == whole.provider_state


# -- What goes wrong -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(set(STREAMS) - {"usage before the end"}))
def test_without_its_end_a_stream_is_interrupted(name: str) -> None:
    data = STREAMS[name]
    last = len(data) - len(data[data.index(b"messageStop") - 12 :])
    for length in range(last + 40):
        decoder = BedrockConverse().decoder(HEADERS)
        decoder.feed(data[:length])
        assert not decoder.done
        with pytest.raises(StreamInterrupted) as caught:
            decoder.finish()
        assert caught.value.request_id == "5a9c"


def test_usage_alone_is_no_end() -> None:
    with pytest.raises(StreamInterrupted, match="without messageStop"):
        read(START + text(0, "Hi") + metadata())


@pytest.mark.parametrize("reason", ["malformed_model_output", "malformed_tool_use"])
def test_an_answer_that_is_none(reason: str) -> None:
    with pytest.raises(ServerError, match=reason) as caught:
        read(START + stop(reason) + metadata())
    assert caught.value.code == reason


@pytest.mark.parametrize(
    ("kind", "message", "error"),
    [
        ("internalServerException", "Internal", ServerError),
        ("modelStreamErrorException", "Hm", ServerError),
        ("modelTimeoutException", "Late", RequestTimeout),
        ("validationException", "Bad", BadRequestError),
        ("validationException", "Input is too long for requested model.", PromptTooLongError),
        ("throttlingException", "Too many tokens", RateLimitError),
        ("serviceUnavailableException", "Busy", OverloadedError),
        ("somethingNewException", "Hm", ServerError),
    ],
)
def test_errors_inside_a_stream(kind: str, message: str, error: type[BackendError]) -> None:
    said = failure(kind, json.dumps({"message": message}).encode())
    decoder = BedrockConverse().decoder(HEADERS)
    [delta] = decoder.feed(START + text(0, "Hi") + said)
    assert delta.text == "Hi"
    with pytest.raises(error, match=message) as caught:
        decoder.feed(b"")
    assert type(caught.value) is error
    found = caught.value
    assert (found.code, found.request_id, found.status) == (kind, "5a9c", None)
    with pytest.raises(error):
        decoder.finish()


@pytest.mark.parametrize(
    ("headers", "payload", "code", "said"),
    [
        ({":error-code": "InternalFailure", ":error-message": "Gone"}, b"", "InternalFailure", "Gone"),
        ({":error-code": "InternalFailure"}, b'{"message":"Gone"}', "InternalFailure", "Gone"),
        ({}, b"Gone", None, "Gone"),
        ({}, b"", None, "no reason"),
        ({":error-code": "a#B:c"}, b"[]", "B", r"\[\]"),
    ],
)  # fmt: skip
def test_error_messages(
    headers: dict[str, str], payload: bytes, code: str | None, said: str
) -> None:
    with pytest.raises(ServerError, match=said) as caught:
        read(frame({":message-type": "error", **headers}, payload))
    assert caught.value.code == code


@pytest.mark.parametrize(
    "data",
    [
        frame({":message-type": "event", ":event-type": "messageStop"}, b"{"),
        frame({":message-type": "event", ":event-type": "messageStop"}, b"\xff"),
        frame({":message-type": "event", ":event-type": "metadata"}, b"[" * 100_000),
        frame({":event-type": "metadata"}, b"[]"),
        event("contentBlockDelta", {"delta": {"text": "Hi"}}), event("contentBlockStop", {}),
        event("contentBlockStart", {"contentBlockIndex": 0, "start": {"toolUse": {"toolUseId": "a"}}}),
        piece([], {"text": "Hi"}), piece(0, {"text": 5}), piece(0, {"toolUse": "x"}),  # type: ignore[arg-type]
        piece(0, {"reasoningContent": {"redactedContent": "A"}}), stop(5),
    ],
)  # fmt: skip
def test_what_no_such_stream_carries(data: bytes) -> None:
    with pytest.raises(BackendError, match="no event of an answer") as caught:
        read(data)
    assert type(caught.value) is BackendError
    assert caught.value.request_id == "5a9c"


@given(st.sampled_from(sorted(STREAMS)), st.integers(0, 3_000), st.binary(min_size=1, max_size=6))
@settings(max_examples=300)
def test_damaged_bytes_are_never_a_whole_answer(name: str, place: int, junk: bytes) -> None:
    data = STREAMS[name]
    place %= len(data) - len(junk)
    damaged = data[:place] + junk + data[place + len(junk) :]
    if damaged == data:
        return
    with pytest.raises(BackendError):
        read(damaged)


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in a JSON value: what holds it, and its key there."""
    for key in value if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from places(value[key])


@given(
    st.sampled_from(sorted(STREAMS)),
    st.integers(0, 300),
    st.sampled_from([None, True, 5, -1, 1.5, "", "text", [], [1], {}, {"text": "x"}]),
)
@settings(max_examples=500)
def test_one_wrong_value_is_an_answer_or_an_error(name: str, place: int, junk: Any) -> None:
    frames = EventStreamDecoder().feed(STREAMS[name])
    events = [
        (str(found.headers[":event-type"]), json.loads(found.payload))
        for found in frames
        if found.payload != b"\xff"
    ]
    found = [each for _, value in events for each in places(value)]
    holder, key = found[place % len(found)]
    holder[key] = junk
    decoder = BedrockConverse().decoder(HEADERS)
    with contextlib.suppress(BackendError):
        for kind, value in events:
            data = json.dumps(value).encode()
            for delta in decoder.feed(frame({":event-type": kind}, data)):
                texts = (delta.text, delta.reasoning, *(c.arguments for c in delta.tool_calls))
                assert all(isinstance(part, str) for part in texts)
        decoder.finish()
