"""Streams: what is read from them, however they are cut."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from andon.answer import Answer
from andon.chat import ChatDelta, ChatRequest, FinishReason, TokenLogprob, Usage
from andon.errors import (
    BackendError,
    RateLimitError,
    ServerError,
    StreamInterrupted,
)
from andon.messages import ChatMessage, ToolCall
from andon.testing.provider import SampleAnswer
from andon.testing.providers.gemini import GeminiProvider
from andon.wire.gemini_generate import GeminiGenerateContent
from andon.wire.gemini_stream import GeminiStreamDecoder, JSONReader

HEADERS = {"content-type": "text/event-stream"}
PROVIDER = GeminiProvider()


def event(value: Any) -> bytes:
    return f"data: {json.dumps(value, ensure_ascii=False)}\r\n\r\n".encode()


def chunk(
    *parts: dict[str, Any], finish: str | None = None, usage: Any = None, **more: Any
) -> bytes:
    candidate: dict[str, Any] = (
        {"content": {"role": "model", "parts": list(parts)}} if parts else {}
    )
    candidate |= {"finishReason": finish} if finish else {}
    body = {
        "candidates": [candidate | more],
        "modelVersion": "gemini-3-pro",
        "responseId": "resp-1",
    }
    return event(body | ({"usageMetadata": usage} if usage else {}))


def text(value: str, **more: Any) -> dict[str, Any]:
    return {"text": value, **more}


def call(name: str, **more: Any) -> dict[str, Any]:
    return {"functionCall": {"name": name, "args": {"city": "Köln"}}, **more}


COUNTS = {"promptTokenCount": 20, "candidatesTokenCount": 3, "totalTokenCount": 23}
MORE_COUNTS = {"candidatesTokenCount": 5, "thoughtsTokenCount": 4, "totalTokenCount": 29}

STREAMS: dict[str, bytes] = {
    "text": (
        chunk(text("Grüße,\u2028\u0085"), usage={"trafficType": "ON_DEMAND"})
        + chunk(text(" 世界 😀"), usage=COUNTS)
        + chunk(text(""), finish="STOP", usage=COUNTS | MORE_COUNTS)
    ),
    "thoughts and signatures": (
        chunk(text("Hm", thought=True)) + chunk(text(".", thought=True)) + chunk(text("Hel")) + chunk(text("lo"))
        + chunk(text(" you", thoughtSignature="S")) + chunk(text(", Bob")) + chunk(text("", thoughtSignature="E"), finish="STOP")
    ),
    "parallel calls": (
        chunk(text("So: ")) + chunk(call("weather", thoughtSignature="C"))
        + chunk(call("time"), call("date")) + chunk(finish="STOP", usage=COUNTS)
    ),
    "a finish reason with every chunk": chunk(text("Hi"), finish="STOP") + chunk(text("!"), finish="MAX_TOKENS"),
    "a finish reason that is none": (
        chunk(text("Hi"), finish="FINISH_REASON_UNSPECIFIED") + chunk(text("!"), finish="STOP")
    ),
    "counts after the end": chunk(text("Hi"), finish="STOP") + event({"usageMetadata": COUNTS}),
    "a blocked prompt": event({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": COUNTS}),
    "filtered": chunk(text("So")) + chunk(finish="SAFETY", safetyRatings=[]),
    "comments and other fields": (
        b": ping\r\n\r\nevent: message\r\nid: 7\r\n" + chunk(text("Hi")) + b"retry: 5\r\n\r\n" + chunk(finish="STOP")
    ),
    "line feeds": (chunk(text("Hi")) + chunk(finish="STOP")).replace(b"\r\n", b"\n"),
    "carriage returns": (chunk(text("Hi")) + chunk(finish="STOP")).replace(b"\r\n", b"\r"),
    "a byte order mark, and data in two lines": (
        b'\xef\xbb\xbfdata:{"candidates":\r\ndata: [{"content":{"parts":[{"text":"Hi"}]},"finishReason":"STOP"}]}\r\n\r\n'
    ),
}  # fmt: skip


def read(*parts: bytes) -> list[ChatDelta]:
    decoder = GeminiGenerateContent().decoder(HEADERS)
    deltas = [delta for part in parts for delta in decoder.feed(part)]
    return [*deltas, *decoder.finish()]


def answer(deltas: Sequence[ChatDelta]) -> Answer:
    whole = Answer()
    for delta in deltas:
        whole.append(delta)
    return whole


# -- What is read ----------------------------------------------------------------------------------


def test_text_first_and_last() -> None:
    first, second, last = read(STREAMS["text"])
    assert first == ChatDelta("Grüße,\u2028\u0085", model="gemini-3-pro", request_id="resp-1")
    assert second == ChatDelta(" 世界 😀")
    assert last == ChatDelta(
        finish_reason=FinishReason.STOP,
        raw_finish_reason="STOP",
        usage=Usage(20, 9, reasoning_tokens=4),
        model="gemini-3-pro",
        request_id="resp-1",
    )


def test_a_text_is_given_as_soon_as_its_event_is_complete() -> None:
    decoder = GeminiGenerateContent().decoder(HEADERS)
    whole = chunk(text("Hi"))
    assert decoder.feed(whole[:-1]) != []  # CR CR ends an event as well
    assert decoder.feed(whole[-1:]) == []
    assert not decoder.done


def test_signatures_are_kept_with_their_parts() -> None:
    message = answer(read(STREAMS["thoughts and signatures"])).message()
    assert (message.reasoning, message.text) == ("Hm.", "Hello you, Bob")
    request = ChatRequest(
        model="gemini-3-pro", messages=(ChatMessage.user("Hi"), message, ChatMessage.user("Go on"))
    )
    contents = json.loads(GeminiGenerateContent().encode(request).body)["contents"]
    assert contents[1]["parts"] == [
        {"text": "Hello"},
        {"text": " you", "thoughtSignature": "S"},
        {"text": ", Bob"},
        {"text": "", "thoughtSignature": "E"},
    ]


def test_parallel_calls() -> None:
    whole = answer(read(STREAMS["parallel calls"]))
    assert whole.message().tool_calls == tuple(
        ToolCall(f"call_{place}", name, '{"city":"Köln"}')
        for place, name in enumerate(["weather", "time", "date"])
    )
    assert (whole.finish_reason, whole.raw_finish_reason) == (FinishReason.TOOL_CALLS, "STOP")


@pytest.mark.parametrize(
    ("name", "said", "raw", "reason"),
    [
        ("a finish reason with every chunk", "Hi!", "MAX_TOKENS", "length"),
        ("a finish reason that is none", "Hi!", "STOP", "stop"),
        ("a blocked prompt", "", "SAFETY", "content_filter"),
        ("filtered", "So", "SAFETY", "content_filter"),
        ("comments and other fields", "Hi", "STOP", "stop"),
        ("line feeds", "Hi", "STOP", "stop"),
        ("carriage returns", "Hi", "STOP", "stop"),
        ("a byte order mark, and data in two lines", "Hi", "STOP", "stop"),
    ],
)
def test_ends(name: str, said: str, raw: str, reason: str) -> None:
    whole = answer(read(STREAMS[name]))
    assert (whole.text, whole.raw_finish_reason, whole.finish_reason) == (said, raw, reason)


def test_counts_may_come_after_the_end() -> None:
    assert read(STREAMS["counts after the end"])[-1].usage == Usage(20, 3)


def test_logprobs() -> None:
    result = {"chosenCandidates": [{"token": "Hi", "logProbability": -0.5}]}
    first, *_ = read(chunk(text("Hi"), logprobsResult=result) + chunk(finish="STOP"))
    assert first.logprobs == (TokenLogprob("Hi", -0.5),)


def test_the_last_empty_line_may_be_missing() -> None:
    assert read(STREAMS["text"][:-2]) == read(STREAMS["text"])


SAMPLE = SampleAnswer(
    reasoning=("Hm", "."),
    tool_calls=(ToolCall("g1", "weather", '{"city":"Köln"}'),),
    finish_reason=FinishReason.TOOL_CALLS,
    usage=Usage(12, 7, cached_input_tokens=4, reasoning_tokens=2),
)


def test_a_sample_is_read_as_it_was_meant() -> None:
    deltas = read(PROVIDER.stream(SAMPLE).body)
    assert [delta.text for delta in deltas if delta.text] == list(SAMPLE.text)
    whole = answer(deltas)
    assert (whole.finish_reason, whole.usage) == (FinishReason.TOOL_CALLS, SAMPLE.usage)
    assert (whole.message().reasoning, whole.message().tool_calls) == ("Hm.", SAMPLE.tool_calls)


# -- How streams break -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rest", [b"", b"data: {", b'{\r\n "error": {', b"data: [DONE", b"\r\n\r\n"]
)
def test_without_a_finish_reason_nothing_is_an_end(rest: bytes) -> None:
    stream = PROVIDER.stream(replace(SAMPLE, tool_calls=()))
    with pytest.raises(StreamInterrupted, match="without its finish reason") as caught:
        read(*stream.events, rest)
    assert caught.value.request_id


def bare(body: Any, indent: int | None = 2) -> bytes:
    return json.dumps(body, indent=indent).replace("\n", "\r\n").encode() + b"\r\n"


LIMIT = {
    "error": {
        "code": 429, "message": 'Resource "exhausted" }]{[ \\', "status": "RESOURCE_EXHAUSTED",
        "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "7s"}],
    }
}  # fmt: skip
ERRORS: dict[str, tuple[bytes, type[BackendError], str]] = {
    "bare": (bare(LIMIT), RateLimitError, "Resource"),
    "bare in a list": (bare([LIMIT]), RateLimitError, "Resource"),
    "bare on one line": (bare(LIMIT, None), RateLimitError, "Resource"),
    "bare without its last line feed": (bare(LIMIT)[:-2], RateLimitError, "Resource"),
    "an event": (event(LIMIT), RateLimitError, "Resource"),
    "of the provider": (PROVIDER.stream_error("Try later."), BackendError, r"Try later\. \(HTTP 499\)"),
    "as finish reason": (chunk(finish="MALFORMED_FUNCTION_CALL"), ServerError, "MALFORMED_FUNCTION_CALL"),
    "no JSON": (b"data: {oops\r\n\r\n", BackendError, r"b'\{oops'"),
    "no JSON, bare": (b"{oops}\r\n", BackendError, r"b'\{oops\}'"),
    "no object": (b"data: 5\r\n\r\n", BackendError, "chunk of an answer"),
    "another shape": (event({"candidates": [{"content": {"parts": [{"text": 5}]}}]}), BackendError, "chunk of an answer"),
    "too deep": (b"data: " + b"[" * 100_000 + b"\r\n\r\n", BackendError, "no JSON"),
}  # fmt: skip


@pytest.mark.parametrize(("stream", "kind", "said"), ERRORS.values(), ids=ERRORS)
def test_errors_in_a_stream(stream: bytes, kind: type[BackendError], said: str) -> None:
    decoder = GeminiGenerateContent().decoder({"x-request-id": "h-1"})
    # What came before the error is not lost, even if it came in the same bytes.
    assert [delta.text for delta in decoder.feed(chunk(text("Hi")) + stream)] == ["Hi"]
    for _ in range(2):
        with pytest.raises(kind, match=said) as caught:
            decoder.finish()
        assert type(caught.value) is kind
        assert caught.value.request_id == "h-1"


def test_an_error_tells_when_to_ask_again() -> None:
    with pytest.raises(RateLimitError) as caught:
        read(bare(LIMIT))
    assert (caught.value.status, caught.value.retry_after) == (429, 7)


def feed_all(limit: int, *pieces: bytes) -> None:
    reader = JSONReader(limit)
    for piece in pieces:
        reader.feed(piece)


@pytest.mark.parametrize("start", [b"", b"data: ", b"{\n"])
def test_a_giant_line_is_cut_off(start: bytes) -> None:
    with pytest.raises(BackendError, match="more than 1000 bytes"):
        feed_all(1000, start, *[b"x"] * 1001)


def test_a_giant_bare_text_is_cut_off_in_linear_time() -> None:
    string = b'["' + b'\\"' * 400_000 + b"\n"  # it never ends
    with pytest.raises(BackendError, match="more than 1000000 bytes"):
        feed_all(1_000_000, string, *[b"{},{},\n"] * 100_000)


# -- However it is cut -----------------------------------------------------------------------------


def outcome(parts: Sequence[bytes]) -> tuple[list[ChatDelta], str]:
    deltas: list[ChatDelta] = []
    decoder = GeminiStreamDecoder(HEADERS)
    try:
        for part in parts:
            deltas += decoder.feed(part)
        deltas += decoder.finish()
    except BackendError as error:
        return deltas, f"{type(error).__name__}: {error}"
    return deltas, ""


WHOLE = STREAMS | {
    f"error {name}": chunk(text("Hi")) + stream + chunk(text("lost"), finish="STOP")
    for name, (stream, _, _) in ERRORS.items()
    if len(stream) < 1000
}
WHOLE["of the provider"] = PROVIDER.stream(SAMPLE).body


@given(name=st.sampled_from(sorted(WHOLE)), data=st.data())
@settings(max_examples=300)
def test_however_a_stream_is_cut_it_gives_the_same(name: str, data: st.DataObject) -> None:
    stream = WHOLE[name]
    places = sorted(data.draw(st.sets(st.integers(0, len(stream)), max_size=40)))
    parts = [stream[a:b] for a, b in zip([0, *places], [*places, len(stream)], strict=True)]
    assert outcome(parts) == outcome([stream])


@pytest.mark.parametrize("name", WHOLE)
def test_byte_by_byte_it_gives_the_same(name: str) -> None:
    stream = WHOLE[name]
    assert outcome([stream[i : i + 1] for i in range(len(stream))]) == outcome([stream])


@given(name=st.sampled_from(sorted(WHOLE)), data=st.data())
@settings(max_examples=300)
def test_junk_is_an_error_of_ours_however_it_is_cut(name: str, data: st.DataObject) -> None:
    stream = bytearray(WHOLE[name])
    for place in data.draw(st.lists(st.integers(0, len(stream) - 1), min_size=1, max_size=10)):
        stream[place] = data.draw(st.integers(0, 255))
    junk = bytes(stream) + data.draw(st.binary(max_size=20))
    cut = data.draw(st.integers(0, len(junk)))
    assert outcome([junk[:cut], junk[cut:]]) == outcome([junk])
