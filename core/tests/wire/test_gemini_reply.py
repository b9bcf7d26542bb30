"""Whole answers, lists of models and counts: what is read from them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from andon.answer import Answer
from andon.chat import ChatDelta, ChatRequest, FinishReason, TokenLogprob, ToolCallDelta, Usage
from andon.errors import (
    BackendError,
    BadRequestError,
    RateLimitError,
    ServerError,
)
from andon.messages import ChatMessage, ToolCall
from andon.specs import ModelCard
from andon.testing.provider import SampleAnswer
from andon.testing.providers.gemini import GeminiProvider
from andon.wire.dialect import HTTPReply
from andon.wire.gemini_generate import GeminiGenerateContent

DIALECT = GeminiGenerateContent()
USAGE = {
    "promptTokenCount": 20, "candidatesTokenCount": 5, "totalTokenCount": 32,
    "cachedContentTokenCount": 16, "thoughtsTokenCount": 4, "toolUsePromptTokenCount": 3,
    "trafficType": "ON_DEMAND", "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 20}],
}  # fmt: skip


def reply(body: Any, **headers: str) -> HTTPReply:
    data = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
    return HTTPReply(status=200, headers=headers, body=data)


def whole(*parts: dict[str, Any], finish: str = "STOP", **more: Any) -> dict[str, Any]:
    content = {"role": "model", "parts": list(parts)}
    return {
        "candidates": [{"content": content, "finishReason": finish, "avgLogprobs": -0.1, **more}],
        "usageMetadata": USAGE, "modelVersion": "gemini-3-pro", "responseId": "resp-1",
    }  # fmt: skip


def decode(body: Any, **headers: str) -> Sequence[ChatDelta]:
    return DIALECT.decode(reply(body, **headers))


def answer(deltas: Sequence[ChatDelta]) -> Answer:
    read = Answer()
    for delta in deltas:
        read.append(delta)
    return read


def test_a_plain_answer() -> None:
    first, last = decode(whole({"text": "Grüße,\u2028"}, {"text": " 世界 😀"}))
    assert first == ChatDelta("Grüße,\u2028 世界 😀", model="gemini-3-pro", request_id="resp-1")
    assert last == ChatDelta(
        finish_reason=FinishReason.STOP,
        raw_finish_reason="STOP",
        usage=Usage(23, 9, cached_input_tokens=16, reasoning_tokens=4),
        model="gemini-3-pro",
        request_id="resp-1",
    )


def test_a_header_names_the_request_before_the_body() -> None:
    assert decode(whole({"text": "Hi"}), **{"x-request-id": "h-1"})[-1].request_id == "h-1"


def test_thoughts_calls_and_signatures() -> None:
    read = answer(
        decode(
            whole(
                {"text": "Hm.", "thought": True},
                {"text": "Let me see."},
                {
                    "functionCall": {"name": "weather", "args": {"city": "Köln"}},
                    "thoughtSignature": "C",
                },
                {"functionCall": {"name": "time", "id": "g2"}},
            )
        )
    )
    message = read.message()
    assert (message.reasoning, message.text) == ("Hm.", "Let me see.")
    assert message.tool_calls == (
        ToolCall("call_0", "weather", '{"city":"Köln"}'), ToolCall("g2", "time", "{}")
    )  # fmt: skip
    assert (read.finish_reason, read.raw_finish_reason) == (FinishReason.TOOL_CALLS, "STOP")
    request = ChatRequest(
        model="gemini-3-pro",
        messages=(
            ChatMessage.user("Hello"), message,
            ChatMessage.tool("grau", "call_0"), ChatMessage.tool("noon", "g2"),
        ),
    )  # fmt: skip
    contents = json.loads(DIALECT.encode(request).body)["contents"]
    assert contents[1]["parts"] == [
        {"text": "Let me see."},
        {"functionCall": {"name": "weather", "args": {"city": "Köln"}}, "thoughtSignature": "C"},
        {"functionCall": {"name": "time", "args": {}, "id": "g2"}},
    ]
    assert [part["functionResponse"].get("id") for part in contents[2]["parts"]] == [None, "g2"]


def test_nothing_is_kept_where_nothing_is_signed() -> None:
    deltas = decode(whole({"text": "Hm.", "thought": True}, {"text": "Hi"}))
    assert answer(deltas).message().provider_state == ()


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("STOP", "stop"), ("MAX_TOKENS", "length"), ("CONTINUATION", "length"),
        *((word, "content_filter") for word in (
            "SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII",
            "MODEL_ARMOR", "IMAGE_SAFETY",
        )),
        ("SOMETHING_NEW", "stop"),
    ],
)  # fmt: skip
def test_finish_reasons(raw: str, reason: str) -> None:
    last = decode(whole({"text": "Hi"}, finish=raw))[-1]
    assert (last.finish_reason, last.raw_finish_reason) == (reason, raw)


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        ("MALFORMED_FUNCTION_CALL", ServerError), ("UNEXPECTED_TOOL_CALL", ServerError),
        ("OTHER", ServerError), ("MISSING_THOUGHT_SIGNATURE", BadRequestError),
    ],
)  # fmt: skip
def test_finish_reasons_that_are_failures(raw: str, kind: type[BackendError]) -> None:
    with pytest.raises(kind, match=f"{raw}: print") as caught:
        decode(whole(finish=raw, finishMessage="print(weather("))
    assert type(caught.value) is kind
    assert (caught.value.code, caught.value.request_id) == (raw, "resp-1")


def test_a_blocked_prompt() -> None:
    feedback = {"blockReason": "PROHIBITED_CONTENT", "blockReasonMessage": "No."}
    [last] = decode({"promptFeedback": feedback, "usageMetadata": {"promptTokenCount": 7}})
    assert (last.finish_reason, last.raw_finish_reason) == ("content_filter", "PROHIBITED_CONTENT")
    assert last.usage == Usage(7, 0)


def test_an_answer_without_text() -> None:
    body = {"candidates": [{"content": {"role": "model"}, "finishReason": "MAX_TOKENS"}]}
    [last] = decode(body)
    assert (last.finish_reason, last.usage) == (FinishReason.LENGTH, None)


def test_logprobs() -> None:
    result = {
        "chosenCandidates": [
            {"token": "Hi", "tokenId": 5, "logProbability": -0.25}, {"token": "!", "tokenId": 6}
        ],
        "topCandidates": [
            {"candidates": [{"token": "Hi", "logProbability": -0.25}, {"token": "Yo", "logProbability": -2}]}
        ],
    }  # fmt: skip
    first, _ = decode(whole({"text": "Hi!"}, logprobsResult=result))
    assert first.logprobs == (
        TokenLogprob("Hi", -0.25, (("Hi", -0.25), ("Yo", -2.0))), TokenLogprob("!", 0.0)
    )  # fmt: skip


def test_an_error_with_status_200() -> None:
    body = {"error": {"code": 429, "message": "Slow down", "status": "RESOURCE_EXHAUSTED"}}
    for wrapped in (body, [body]):
        with pytest.raises(RateLimitError, match="Slow down") as caught:
            decode(wrapped)
        assert caught.value.status == 429


BROKEN: list[Any] = [
    b"", b"{", b"null", b"[]", b"5", b'"x"', b"\xff", b"[" * 100_000, {}, [whole({"text": "Hi"})],
    {"candidates": []}, {"candidates": [{"content": {"parts": [{"text": "Hi"}]}}]},
    {"candidates": "x"}, {"candidates": [5]}, whole(finish=5), whole({"text": 5}),
    {"candidates": [{"content": "x", "finishReason": "STOP"}]},
    {"candidates": [{"content": {"parts": "x"}, "finishReason": "STOP"}]},
    whole({"functionCall": {"args": {}}}), whole({"functionCall": {"name": 5}}),
    whole({"functionCall": {"name": "f", "args": [1]}}), whole({"functionCall": [1]}),
    b'{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":{"a":1e999}}}]}}]}',
    whole({"text": "Hi", "thoughtSignature": 5}), whole(logprobsResult=[1]),
    whole(logprobsResult={"chosenCandidates": [{"token": "a", "logProbability": "x"}]}),
    whole() | {"usageMetadata": [1]}, whole() | {"promptFeedback": "x"}, whole() | {"modelVersion": 5},
]  # fmt: skip


@pytest.mark.parametrize("body", BROKEN, ids=lambda body: str(body)[:60])
def test_what_is_no_answer(body: Any) -> None:
    with pytest.raises(BackendError, match=r"bytes that are no (JSON|answer)"):
        decode(body)


def test_counts_that_are_none_are_not_read() -> None:
    strange = {"promptTokenCount": "x", "candidatesTokenCount": -5, "thoughtsTokenCount": True}
    assert decode(whole() | {"usageMetadata": strange})[-1].usage is None


def test_models() -> None:
    query = DIALECT.list_models()
    body = {
        "publisherModels": [
            {"name": "publishers/google/models/gemini-3-pro", "versionId": "1"},
            {"name": "publishers/meta/models/llama-4"},
            {"name": "odd"},
        ],
        "nextPageToken": "x",
    }
    assert query.read(reply(body)) == [
        ModelCard(name="gemini-3-pro"), ModelCard(name="meta/llama-4"), ModelCard(name="odd")
    ]  # fmt: skip
    assert query.read(reply({})) == []


def test_counts() -> None:
    request = ChatRequest(model="m", messages=(ChatMessage.user("Hello"),))
    read = DIALECT.count_tokens(request).read
    assert read(reply({"totalTokens": 31, "totalBillableCharacters": 9})) == 31
    assert read(reply({"promptTokensDetails": []})) == 0
    for body in ({}, {"totalTokens": "x"}, {"totalTokens": -1}):
        with pytest.raises(ValueError, match="no count"):
            read(reply(body))


# -- What the provider for tests writes ------------------------------------------------------------

SAMPLE = SampleAnswer(
    reasoning=("Hm", "."),
    tool_calls=(ToolCall("g1", "weather", '{"city":"Köln"}'), ToolCall("g2", "time", "{}")),
    finish_reason=FinishReason.TOOL_CALLS,
    usage=Usage(12, 7, cached_input_tokens=4, reasoning_tokens=2),
    logprobs=tuple(TokenLogprob(text, -0.5, ((text, -0.5),)) for text in ("Hello", ", ", "wörld", "!")),
)  # fmt: skip


@pytest.mark.parametrize("reason", FinishReason)
def test_a_sample_is_read_as_it_was_meant(reason: FinishReason) -> None:
    calls = SAMPLE.tool_calls if reason is FinishReason.TOOL_CALLS else ()
    sample = replace(SAMPLE, finish_reason=reason, tool_calls=calls)
    read = answer(DIALECT.decode(GeminiProvider().whole(sample)))
    assert (read.text, read.finish_reason, read.usage) == ("Hello, wörld!", reason, SAMPLE.usage)
    message = read.message()
    assert (message.reasoning, message.tool_calls) == ("Hm.", calls)
    response = read.response(backend="b", model="m", cost_usd=Decimal(0), attempts=())
    assert response.logprobs == SAMPLE.logprobs


# -- Junk ------------------------------------------------------------------------------------------

ORDINARY = json.dumps(
    whole(
        {"text": "Hm", "thought": True}, {"text": "Hi"},
        {"functionCall": {"name": "f", "args": {"a": 1}}, "thoughtSignature": "C"},
        logprobsResult={"chosenCandidates": [{"token": "Hi", "logProbability": -1}]},
    )
).encode()  # fmt: skip


@given(data=st.data())
@settings(max_examples=300)
def test_junk_is_an_error_of_ours(data: st.DataObject) -> None:
    body = bytearray(ORDINARY)
    for place in data.draw(st.lists(st.integers(0, len(body) - 1), min_size=1, max_size=8)):
        body[place] = data.draw(st.integers(0, 255))
    try:
        deltas = decode(bytes(body))
    except BackendError:
        return
    assert deltas[-1].finish_reason is not None


def replaced(value: Any, path: Sequence[Any], new: Any) -> Any:
    if not path:
        return new
    head, *rest = path
    if isinstance(value, dict):
        return value | {head: replaced(value[head], rest, new)}
    return [*value[:head], replaced(value[head], rest, new), *value[head + 1 :]]


def paths(value: Any) -> list[list[Any]]:
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    return [[]] + [[key, *path] for key, inner in items for path in paths(inner)]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=4,
)


@given(path=st.sampled_from(paths(json.loads(ORDINARY))), new=JSON)
@settings(max_examples=500)
def test_a_wrong_value_anywhere_is_an_error_of_ours_or_ignored(path: list[Any], new: Any) -> None:
    try:
        deltas = decode(json.dumps(replaced(json.loads(ORDINARY), path, new)).encode())
    except BackendError:
        return
    assert all(isinstance(delta.text, str) and isinstance(delta.reasoning, str) for delta in deltas)
    assert all(isinstance(call, ToolCallDelta) for delta in deltas for call in delta.tool_calls)


def test_images_and_sound_are_counted_apart() -> None:
    usage = {
        "promptTokenCount": 300, "candidatesTokenCount": 1290,
        "promptTokensDetails": [
            {"modality": "TEXT", "tokenCount": 42}, {"modality": "IMAGE", "tokenCount": 258}, "strange",
        ],
        "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 1290}, {"modality": "AUDIO"}],
    }  # fmt: skip
    told = decode(whole() | {"usageMetadata": usage})[-1].usage
    assert told is not None
    assert (told.image_input_tokens, told.audio_input_tokens) == (258, 0)
    assert (told.image_output_tokens, told.audio_output_tokens) == (1290, 0)
