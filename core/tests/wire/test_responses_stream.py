"""Streams of OpenAI's Responses: what is read from them, however they are cut."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from andon.answer import Answer
from andon.chat import ChatDelta, FinishReason, TokenLogprob, Usage
from andon.errors import (
    BackendError,
    OverloadedError,
    RateLimitError,
    ServerError,
    StreamInterrupted,
)
from andon.messages import ToolCall
from andon.testing.provider import SampleAnswer
from andon.testing.providers.openai_responses import OpenAIResponsesProvider
from andon.wire.openai_responses import OpenAIResponses

HEADERS = {"content-type": "text/event-stream", "x-request-id": "req_1"}
PROVIDER = OpenAIResponsesProvider()


def event(kind: str, **members: Any) -> bytes:
    data = json.dumps({"type": kind, "sequence_number": 1} | members, ensure_ascii=False)
    return f"event: {kind}\ndata: {data}\n\n".encode()


def delta(kind: str, text: str, index: int = 0, **more: Any) -> bytes:
    where = {"item_id": f"item_{index}", "output_index": index}
    return event(f"response.{kind}.delta", **where, delta=text, **more)


def end(status: str = "completed", *output: Any, **more: Any) -> bytes:
    head = {"id": "resp_1", "model": "m-1", "status": status, "error": None}
    return event(f"response.{status}", response=head | {"output": list(output)} | more)


def read(*parts: bytes, headers: Any = HEADERS) -> list[ChatDelta]:
    decoder = OpenAIResponses().decoder(headers)
    deltas = [one for part in parts for one in decoder.feed(part)]
    return [*deltas, *decoder.finish()]


def answer(deltas: Sequence[ChatDelta]) -> Answer:
    whole = Answer()
    for one in deltas:
        whole.append(one)
    return whole


CREATED = event("response.created", response={"id": "resp_1", "model": "m-1", "output": []})
USAGE = {"input_tokens": 7, "output_tokens": 3, "output_tokens_details": {"reasoning_tokens": 1}}
HI = CREATED + delta("output_text", "Hi")


def test_text_first_and_last() -> None:
    first, second, last = read(HI + delta("output_text", "\u2028é"), end(usage=USAGE))
    assert first == ChatDelta("Hi", model="m-1", request_id="req_1")
    assert second == ChatDelta("\u2028é")
    assert last == ChatDelta(
        finish_reason=FinishReason.STOP,
        raw_finish_reason="completed",
        usage=Usage(7, 3, reasoning_tokens=1),
        model="m-1",
        request_id="req_1",
    )


def test_the_body_names_the_request_where_no_header_does() -> None:
    assert read(HI, end(), headers={})[0].request_id == "resp_1"


@pytest.mark.parametrize(
    "sample",
    [
        SampleAnswer(reasoning=("2", "+2"), text=("4", "!"), usage=Usage(20, 9, 5, 2, 4)),
        SampleAnswer(
            text=(),
            tool_calls=(ToolCall("call_a", "weather", '{"city":"Köln"}'), ToolCall("call_b", "time", "{}")),
            finish_reason=FinishReason.TOOL_CALLS,
        ),
        SampleAnswer(text=("a", "b"), logprobs=(TokenLogprob("a", -0.5, (("a", -0.5),)), TokenLogprob("b", -1.0))),
        SampleAnswer(text=(), finish_reason=FinishReason.LENGTH),
    ],
)  # fmt: skip
def test_a_stream_says_what_the_whole_answer_says(sample: SampleAnswer) -> None:
    streamed = answer(read(PROVIDER.stream(sample).body))
    whole = answer(OpenAIResponses().decode(PROVIDER.whole(sample)))
    assert streamed.message() == whole.message()
    assert streamed.message().tool_calls == sample.tool_calls
    assert (streamed.usage, streamed.finish_reason) == (sample.usage, sample.finish_reason)
    assert streamed.response(backend="b", model="m", cost_usd=0, attempts=()).logprobs == sample.logprobs  # type: ignore[arg-type]  # fmt: skip


def test_parts_of_thoughts_stand_apart() -> None:
    parts = (
        delta("reasoning_summary_text", text, summary_index=index)
        for index, text in ((0, "One"), (0, "."), (1, "Two."))
    )
    deltas = read(*parts, delta("reasoning_text", "Three.", index=1, content_index=0), end())
    assert answer(deltas).message().reasoning == "One.\n\nTwo.\n\nThree."


def test_a_refusal_is_text_that_was_filtered() -> None:
    refused = {"type": "message", "content": [{"type": "refusal", "refusal": "No."}]}
    deltas = read(delta("refusal", "No."), end("completed", refused))
    assert (deltas[0].text, deltas[-1].finish_reason) == ("No.", FinishReason.CONTENT_FILTER)


ITEM = {"type": "message", "id": "msg_1", "content": [{"type": "output_text", "text": "Hi there"}]}
CALL = {"type": "function_call", "call_id": "call_1", "name": "time", "arguments": '{"a":1}'}


def test_what_came_not_in_pieces_comes_with_its_item() -> None:
    done = event("response.output_item.done", output_index=0, item=ITEM)
    call = event("response.output_item.done", output_index=1, item=CALL)
    whole = answer(read(HI + done + call, end("completed", ITEM, CALL)))
    assert whole.text == "Hi there"
    assert whole.message().tool_calls == (ToolCall("call_1", "time", '{"a":1}'),)


def test_what_came_in_no_piece_comes_with_the_end() -> None:
    whole = answer(read(end("completed", ITEM, CALL)))
    assert (whole.text, whole.finish_reason) == ("Hi there", FinishReason.TOOL_CALLS)


def test_the_items_count_where_the_end_has_none() -> None:
    thoughts = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "c2U="}
    done = event("response.output_item.done", output_index=0, item=thoughts)
    done += event("response.output_item.done", output_index=1, item=CALL)
    last = read(done, end())[-1]
    assert last.finish_reason is FinishReason.TOOL_CALLS
    assert [item["type"] for item in json.loads(last.provider_state[0].data)] == [
        "reasoning", "function_call"
    ]  # fmt: skip


def test_unknown_events_are_passed_over_and_nothing_is_read_after_the_end() -> None:
    decoder = OpenAIResponses().decoder(HEADERS)
    deltas = decoder.feed(event("response.web_search_call.searching", output_index=0) + HI + end())
    assert [one.text for one in deltas] == ["Hi", ""]
    assert decoder.done
    assert list(decoder.feed(HI + b"data: [DONE]\n\n")) == list(decoder.finish()) == []


# -- How streams break -----------------------------------------------------------------------------


@pytest.mark.parametrize("rest", [b"", b"data: [DONE]\n\n", end()[:-10]])
def test_without_its_last_event_a_stream_is_interrupted(rest: bytes) -> None:
    with pytest.raises(StreamInterrupted, match=r"without response\.completed") as caught:
        read(HI, rest)
    assert caught.value.request_id == "req_1"


ERRORS: dict[str, tuple[bytes, type[BackendError], str]] = {
    "an event": (
        event("error", code="rate_limit_exceeded", message="Slow down", param=None),
        RateLimitError, "Slow down",
    ),
    "an object in it": (
        event("error", error={"code": "overloaded", "message": "Too much"}), OverloadedError, "Too much"
    ),
    "a failed response": (
        end("failed", error={"code": "server_error", "message": "It broke"}), ServerError, "It broke"
    ),
    "failed without a word": (end("failed"), ServerError, "the response failed"),
    "given up": (end("cancelled"), StreamInterrupted, "'cancelled'"),
    "no JSON": (b"data: {oops\n\n", BackendError, r"b'\{oops'"),
    "another shape": (delta("output_text", 5), BackendError, "chunk of an answer"),  # type: ignore[arg-type]
    "no item": (event("response.output_item.added", output_index=0), BackendError, "chunk of an answer"),
    "a call without a beginning": (delta("function_call_arguments", "{}", 4), BackendError, "chunk of an answer"),
    "too deep": (b"data: " + b"[" * 100_000 + b"\n\n", BackendError, "no JSON"),
}  # fmt: skip


@pytest.mark.parametrize(("stream", "kind", "said"), ERRORS.values(), ids=ERRORS)
def test_errors_in_a_stream(stream: bytes, kind: type[BackendError], said: str) -> None:
    decoder = OpenAIResponses().decoder(HEADERS)
    # What came before the error is not lost, even if it came in the same bytes.
    assert [one.text for one in decoder.feed(HI + stream)] == ["Hi"]
    assert decoder.done  # so that nothing more is waited for
    for proceed in (lambda: decoder.feed(b""), decoder.finish):
        with pytest.raises(kind, match=said) as caught:
            proceed()
        assert type(caught.value) is kind
        assert caught.value.request_id == "req_1"


# -- However it is cut -----------------------------------------------------------------------------

FULL = PROVIDER.stream(
    SampleAnswer(reasoning=("2", "+2"), text=("vier: 4\u2028", " 😀"), tool_calls=(ToolCall("c", "f", '{"a": [1]}'),))
).body  # fmt: skip
STREAMS = {"full": FULL, "carriage returns": FULL.replace(b"\n", b"\r\n")} | {
    name: HI + stream for name, (stream, _, _) in ERRORS.items() if len(stream) < 1000
}


def outcome(parts: Sequence[bytes]) -> tuple[list[ChatDelta], str]:
    deltas: list[ChatDelta] = []
    decoder = OpenAIResponses().decoder(HEADERS)
    try:
        for part in parts:
            deltas += decoder.feed(part)
        deltas += decoder.finish()
    except BackendError as error:
        return deltas, f"{type(error).__name__}: {error}"
    return deltas, ""


@given(name=st.sampled_from(sorted(STREAMS)), data=st.data())
@settings(max_examples=150)
def test_however_a_stream_is_cut_it_gives_the_same(name: str, data: st.DataObject) -> None:
    stream = STREAMS[name]
    places = sorted(data.draw(st.sets(st.integers(0, len(stream)), max_size=40)))
    parts = [stream[a:b] for a, b in zip([0, *places], [*places, len(stream)], strict=True)]
    assert outcome(parts) == outcome([stream])


@pytest.mark.parametrize("name", STREAMS)
def test_byte_by_byte_it_gives_the_same(name: str) -> None:
    stream = STREAMS[name]
    assert outcome([stream[i : i + 1] for i in range(len(stream))]) == outcome([stream])


MEMBERS = st.sampled_from(
    ["type", "delta", "item", "output_index", "response", "logprobs", "error", "summary_index", "arguments"]
)  # fmt: skip
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.just("function_call"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(MEMBERS, inner, max_size=4),
    max_leaves=6,
)


@given(kind=st.sampled_from(["response.output_text.delta", "response.reasoning_text.delta",
                             "response.output_item.added", "response.output_item.done",
                             "response.function_call_arguments.delta", "response.created",
                             "response.completed", "error"]),
       members=st.dictionaries(MEMBERS, JUNK, max_size=5))  # fmt: skip
@settings(max_examples=300)
def test_junk_is_a_delta_or_an_error_and_never_a_crash(kind: str, members: Any) -> None:
    junk = f"data: {json.dumps({'type': kind} | members)}\n\n".encode()
    deltas, _ = outcome([HI, junk, end()])
    assert all(isinstance(one.text, str) for one in deltas)


@given(junk=st.binary(max_size=200))
@settings(max_examples=100)
def test_bytes_of_any_kind_never_crash(junk: bytes) -> None:
    outcome([b"data: " + junk, junk, b"\n\n", HI, junk])
