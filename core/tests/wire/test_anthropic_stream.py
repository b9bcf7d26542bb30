"""Streams of Anthropic: what is read from them, however they are cut."""

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
    AuthenticationError,
    BackendError,
    BadRequestError,
    OverloadedError,
    PermissionDeniedError,
    PromptTooLongError,
    RateLimitError,
    RequestTimeout,
    ServerError,
    StreamInterrupted,
)
from andon.messages import ToolCall
from andon.testing.provider import SampleAnswer
from andon.testing.providers.anthropic import AnthropicProvider
from andon.wire.anthropic_messages import AnthropicMessages

HEADERS = {"content-type": "text/event-stream; charset=utf-8", "request-id": "req_1"}


def event(name: str, **members: Any) -> bytes:
    data = json.dumps({"type": name, **members}, ensure_ascii=False)
    return f"event: {name}\ndata: {data}\n\n".encode()


def start(**usage: Any) -> bytes:
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m-1", "content": [],
               "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 5, "output_tokens": 1} | usage}  # fmt: skip
    return event("message_start", message=message)


def block(index: int, value: dict[str, Any], *deltas: dict[str, Any]) -> bytes:
    pieces = [event("content_block_delta", index=index, delta=delta) for delta in deltas]
    begun = event("content_block_start", index=index, content_block=value)
    return begun + b"".join(pieces) + event("content_block_stop", index=index)


def text(index: int, *pieces: str) -> bytes:
    return block(
        index, {"type": "text", "text": ""}, *({"type": "text_delta", "text": p} for p in pieces)
    )


def thought(index: int, *pieces: str) -> bytes:
    deltas = [{"type": "thinking_delta", "thinking": piece} for piece in pieces]
    begun = {"type": "thinking", "thinking": "", "signature": ""}
    return block(index, begun, *deltas, {"type": "signature_delta", "signature": "Eq+/="})


def call(index: int, identifier: str, name: str, *pieces: str) -> bytes:
    deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
    return block(index, {"type": "tool_use", "id": identifier, "name": name, "input": {}}, *deltas)


def ended(stop: str | None = "end_turn", **usage: Any) -> bytes:
    delta = {"stop_reason": stop, "stop_sequence": None}
    return event("message_delta", delta=delta, usage={"output_tokens": 9} | usage) + STOP


PING = event("ping")
STOP = event("message_stop")

#: Complete streams.
STREAMS: dict[str, bytes] = {
    "text": start() + PING + text(0, "Grüße,\u2028", " 世界 😀") + PING + ended(),
    "thoughts, text and parallel tools": (
        start(cache_read_input_tokens=3) + thought(0, "2+", "2") + text(1, "So", "!")
        + call(2, "toolu_a", "weather", "", '{"city":', '"Köln"}') + call(3, "toolu_b", "now", "")
        + ended("tool_use", output_tokens_details={"thinking_tokens": 4})
    ),
    "redacted thoughts between calls": (
        start() + block(0, {"type": "redacted_thinking", "data": "EroB"}) + call(1, "toolu_a", "now", "{}")
        + thought(2) + text(3, "So") + ended("tool_use")
    ),
    "a tool that runs at Anthropic": (
        start() + block(0, {"type": "server_tool_use", "id": "srv", "name": "web_search", "input": {}},
                        {"type": "input_json_delta", "partial_json": '{"q":'},
                        {"type": "input_json_delta", "partial_json": "1}"})
        + text(1, "So") + ended("pause_turn")
    ),
    "carriage returns, comments, and what nobody knows": (
        (b": waiting\n\n" + start() + event("new_event", value=1)
         + block(0, {"type": "text", "text": ""}, {"type": "new_delta"}, {"type": "text_delta", "text": "Hi"},
                 {"type": "citations_delta", "citation": {}})
         + block(1, {"type": "new_block", "data": [1]}) + ended("new_reason", new_tokens=1)).replace(b"\n", b"\r\n")
    ),
    "no text at all": start() + ended("refusal"),
}  # fmt: skip


def read(*parts: bytes) -> list[ChatDelta]:
    """Read a stream; the last call is what a driver does at the connection's end."""
    decoder = AnthropicMessages().decoder(HEADERS)
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
    assert first == ChatDelta("Grüße,\u2028", model="m-1", request_id="req_1")
    assert second == ChatDelta(" 世界 😀")
    assert last == ChatDelta(
        finish_reason=FinishReason.STOP,
        raw_finish_reason="end_turn",
        usage=Usage(5, 9),
        model="m-1",
        request_id="req_1",
    )


def test_text_is_there_as_soon_as_its_event() -> None:
    decoder = AnthropicMessages().decoder({})
    stream = start() + event(
        "content_block_start", index=0, content_block={"type": "text", "text": ""}
    )
    assert list(decoder.feed(stream)) == []
    [delta] = decoder.feed(
        event("content_block_delta", index=0, delta={"type": "text_delta", "text": "Hi"})
    )
    assert (delta.text, delta.request_id, decoder.done) == ("Hi", "msg_1", False)


def test_thoughts_text_and_parallel_tools() -> None:
    deltas = read(STREAMS["thoughts, text and parallel tools"])
    message = answer(deltas).message()
    assert (message.reasoning, message.text) == ("2+2", "So!")
    assert message.tool_calls == (
        ToolCall("toolu_a", "weather", '{"city":"Köln"}'), ToolCall("toolu_b", "now", "{}")
    )  # fmt: skip
    assert [c.index for delta in deltas for c in delta.tool_calls] == [0, 0, 0, 1, 1]
    assert deltas[-1].finish_reason is FinishReason.TOOL_CALLS
    assert deltas[-1].usage == Usage(8, 9, cached_input_tokens=3, reasoning_tokens=4)
    assert pieces_of(deltas) == [
        {"type": "thinking", "thinking": "2+2", "signature": "Eq+/="}, 3, "call", "call"
    ]  # fmt: skip


def test_blocks_are_kept_in_their_places() -> None:
    assert pieces_of(read(STREAMS["redacted thoughts between calls"])) == [
        {"type": "redacted_thinking", "data": "EroB"}, "call",
        {"type": "thinking", "thinking": "", "signature": "Eq+/="}, 2,
    ]  # fmt: skip
    assert pieces_of(read(STREAMS["a tool that runs at Anthropic"])) == [
        {"type": "server_tool_use", "id": "srv", "name": "web_search", "input": {"q": 1}}, 2
    ]  # fmt: skip


def test_a_call_that_comes_whole_and_one_that_is_not_ended() -> None:
    whole = block(0, {"type": "tool_use", "id": "a", "name": "f", "input": {"a": 1}})
    begun = event(
        "content_block_start", index=1, content_block={"type": "tool_use", "id": "b", "name": "g"}
    )
    message = answer(read(start() + whole + begun + ended("tool_use"))).message()
    assert message.tool_calls == (ToolCall("a", "f", '{"a":1}'), ToolCall("b", "g", "{}"))


def test_the_last_count_is_the_total() -> None:
    first = start(cache_read_input_tokens=3, cache_creation_input_tokens=2)
    last = ended(input_tokens=7, cache_read_input_tokens=None, output_tokens=4)
    assert read(first + text(0, "Hi") + last)[-1].usage == Usage(12, 4, 3, 2)


def test_the_answer_is_complete_at_message_stop() -> None:
    decoder = AnthropicMessages().decoder(HEADERS)
    deltas = decoder.feed(STREAMS["text"] + text(0, "more") + b"data: [DONE]\n\n")
    assert deltas[-1].finish_reason is FinishReason.STOP
    assert decoder.done
    assert list(decoder.feed(STREAMS["text"])) == list(decoder.finish()) == []


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
    provider, dialect = AnthropicProvider(), AnthropicMessages()
    calls = (ToolCall("toolu_1", "f", '{"a":"ö"}'), ToolCall("toolu_2", "g", "{}"))
    for sample in (
        SampleAnswer(),
        SampleAnswer(text=(), finish_reason=FinishReason.CONTENT_FILTER),
        SampleAnswer(reasoning=("2+", "2"), tool_calls=calls, finish_reason=FinishReason.TOOL_CALLS,
                     usage=Usage(20, 9, 5, 3, 4)),
    ):  # fmt: skip
        streamed, [whole] = (
            read(provider.stream(sample).body),
            dialect.decode(provider.whole(sample)),
        )
        assert answer(streamed).message() == answer([whole]).message()
        assert streamed[-1].usage == whole.usage == sample.usage
        assert streamed[-1].finish_reason == whole.finish_reason == sample.finish_reason


# -- What goes wrong -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", STREAMS)
def test_without_its_end_a_stream_is_interrupted(name: str) -> None:
    data = STREAMS[name]
    for length in range(data.index(b"message_stop")):
        decoder = AnthropicMessages().decoder(HEADERS)
        decoder.feed(data[:length])
        assert not decoder.done
        with pytest.raises(StreamInterrupted, match="without message_stop") as caught:
            decoder.finish()
        assert caught.value.request_id == "req_1"


def test_the_last_event_may_lack_its_empty_line() -> None:
    assert read(STREAMS["text"][:-1]) == read(STREAMS["text"])


def test_an_end_without_a_reason_is_none() -> None:
    with pytest.raises(StreamInterrupted, match="without its stop reason"):
        read(start() + text(0, "Hi") + ended(None))


@pytest.mark.parametrize(
    ("kind", "message", "error"),
    [
        ("overloaded_error", "Overloaded", OverloadedError), ("rate_limit_error", "Slow", RateLimitError),
        ("api_error", "Internal", ServerError), ("timeout_error", "Late", RequestTimeout),
        ("invalid_request_error", "Bad", BadRequestError), ("authentication_error", "Who?", AuthenticationError),
        ("billing_error", "Pay", PermissionDeniedError), ("permission_error", "No", PermissionDeniedError),
        ("invalid_request_error", "prompt is too long: 3 tokens > 2 maximum", PromptTooLongError),
        ("something_new", "Hm", ServerError),
    ],
)  # fmt: skip
def test_errors_inside_a_stream(kind: str, message: str, error: type[BackendError]) -> None:
    said = event("error", error={"type": kind, "message": message}, request_id="req_2")
    decoder = AnthropicMessages().decoder({})
    [delta] = decoder.feed(start() + text(0, "Hi") + said)
    assert delta.text == "Hi"
    with pytest.raises(error, match=message.split(":", maxsplit=1)[0]) as caught:
        decoder.feed(b"")
    assert type(caught.value) is error
    assert (caught.value.code, caught.value.request_id, caught.value.status) == (
        kind,
        "req_2",
        None,
    )
    with pytest.raises(error):
        decoder.finish()


@pytest.mark.parametrize(
    ("data", "kind", "said"),
    [
        (b"event: error\ndata: upstream is gone\n\n", ServerError, "upstream is gone"),
        (b'data: {"error": {"code": 503, "message": "Busy"}}\n\n', OverloadedError, "Busy"),
        (b'data: {"type": "error"}\n\n', ServerError, "error"),
        (b"event: message_start\ndata: {\n\n", BackendError, "no JSON"),
        (b"data: [1]\n\n", BackendError, "no event of an answer"),
        (event("content_block_delta", index=0, delta={"type": "text_delta", "text": "Hi"}), BackendError, "no event"),
        (event("content_block_start", index=[], content_block={"type": "text"}), BackendError, "no event"),
        (event("content_block_start", index=0, content_block={"type": "tool_use", "id": "x"}), BackendError, "no event"),
        (start() + text(0, 5), BackendError, "no event"),  # type: ignore[arg-type]
    ],
)  # fmt: skip
def test_what_no_such_stream_carries(data: bytes, kind: type[BackendError], said: str) -> None:
    with pytest.raises(kind, match=said) as caught:
        read(data)
    assert type(caught.value) is kind
    assert caught.value.request_id == "req_1"


@given(st.sampled_from(sorted(STREAMS)), st.integers(0, 2_000), st.binary(max_size=6))
@settings(max_examples=300)
def test_damaged_bytes_are_an_answer_or_an_error(name: str, place: int, junk: bytes) -> None:
    data = STREAMS[name]
    decoder = AnthropicMessages().decoder(HEADERS)
    with contextlib.suppress(BackendError):
        decoder.feed(data[:place] + junk + data[place + len(junk) :])
        decoder.finish()


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in a JSON value: what holds it, and its key there."""
    for key in value if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from places(value[key])


@given(
    st.sampled_from(sorted(STREAMS)),
    st.integers(0, 300),
    st.sampled_from(
        [None, True, 5, -1, 1.5, "", "text", "tool_use", [], [1], {}, {"type": "text"}]
    ),
)
@settings(max_examples=500)
def test_one_wrong_value_is_an_answer_or_an_error(name: str, place: int, junk: Any) -> None:
    lines = STREAMS[name].replace(b"\r", b"").split(b"\n")
    events = [json.loads(line[6:]) for line in lines if line.startswith(b"data: ")]
    found = list(places(events))
    holder, key = found[place % len(found)]
    holder[key] = junk
    decoder = AnthropicMessages().decoder(HEADERS)
    with contextlib.suppress(BackendError):
        for value in events:
            for delta in decoder.feed(f"data: {json.dumps(value)}\n\n".encode()):
                texts = (delta.text, delta.reasoning, *(c.arguments for c in delta.tool_calls))
                assert all(isinstance(piece, str) for piece in texts)
        assert decoder.finish() == []
