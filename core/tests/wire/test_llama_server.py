"""llama.cpp's own ``/completion``: what is sent, and what is read of its answers and errors."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon.answer import Answer
from andon.chat import (
    ChatDelta,
    ChatRequest,
    FinishReason,
    ResponseFormat,
    Sampling,
    TokenLogprob,
    Usage,
)
from andon.errors import (
    BackendError,
    OverloadedError,
    PromptTooLongError,
    ServerError,
    StreamInterrupted,
    UnsupportedParameterError,
)
from andon.messages import ChatMessage
from andon.testing.provider import SampleAnswer
from andon.testing.providers.llama_server import LlamaServerProvider
from andon.wire.dialect import HTTPReply
from andon.wire.llama_server import LlamaServerCompletion
from andon.wire.openai_quirks import LLAMA_SERVER
from andon.wire.prompt_rendering import PromptRenderer

HELLO = ChatRequest(model="m-1", messages=(ChatMessage.user("Hello"),), sampling=Sampling(9))
PROMPT = "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n"
DIALECT = LlamaServerCompletion(
    PromptRenderer("chatml"), replace(LLAMA_SERVER, raw_response_format=True)
)
PROVIDER = LlamaServerProvider()
ODD = SampleAnswer(
    text=("Hel", "lo\u2028", "wörld", " 🦙"),
    usage=Usage(12, 5, 7),
    logprobs=tuple(TokenLogprob(t, -0.5, ((t, -0.5), ("x", -3.0))) for t in "abcd"),
    finish_reason=FinishReason.LENGTH,
)


def sent(request: ChatRequest) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(DIALECT.encode(request).body)
    return body


def gathered(deltas: list[ChatDelta]) -> Answer:
    answer = Answer()
    for delta in deltas:
        answer.append(delta)
    return answer


def test_a_chat() -> None:
    call = DIALECT.encode(HELLO)
    assert (call.method, call.path, call.at_root) == ("POST", "/completion", True)
    assert sent(HELLO) == {
        "model": "m-1", "prompt": PROMPT, "n_predict": 9, "stop": ["<|im_end|>"],
    }  # fmt: skip


def test_everything_that_can_be_asked() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    request = replace(
        HELLO,
        sampling=Sampling(9, 0.0, 1.0, ("END",), 7),
        response_format=ResponseFormat("json_schema", schema),
        top_logprobs=0,
        stream=True,
    )
    assert sent(request) == {
        "model": "m-1", "prompt": PROMPT, "n_predict": 9, "temperature": 0.0, "top_p": 1.0,
        "seed": 7, "stop": ["END", "<|im_end|>"], "json_schema": schema, "n_probs": 1,
        "stream": True,
    }  # fmt: skip
    anything = replace(HELLO, response_format=ResponseFormat("json_object"))
    assert sent(anything)["json_schema"] == {"type": "object"}


def test_a_raw_prompt() -> None:
    raw = ChatRequest(model="m-1", prompt="Once upon")
    assert sent(raw) == {"model": "m-1", "prompt": "Once upon"}


def test_reasoning_effort_is_refused() -> None:
    with pytest.raises(UnsupportedParameterError) as caught:
        DIALECT.encode(replace(HELLO, reasoning_effort="low"))
    assert caught.value.parameter == "reasoning_effort"


def test_an_answer() -> None:
    [delta] = DIALECT.decode(PROVIDER.whole(ODD))
    assert delta.text == "Hello\u2028wörld 🦙"
    assert (delta.finish_reason, delta.raw_finish_reason) == (FinishReason.LENGTH, "limit")
    assert delta.usage == Usage(12, 5, 7)
    assert delta.logprobs == ODD.logprobs
    assert delta.model == "sample-model"


@pytest.mark.parametrize(
    ("kind", "reason"),
    [("eos", FinishReason.STOP), ("word", FinishReason.STOP), ("limit", FinishReason.LENGTH)],
)
def test_why_it_stopped(kind: str, reason: FinishReason) -> None:
    body = json.dumps({"content": "x", "stop": True, "stop_type": kind}).encode()
    [delta] = DIALECT.decode(HTTPReply(status=200, headers={}, body=body))
    assert (delta.finish_reason, delta.raw_finish_reason) == (reason, kind)
    assert delta.usage is None


def test_the_token_that_ends_the_answer_has_no_probability_of_ours() -> None:
    rows = [{"token": "a", "bytes": [97], "logprob": -1}, {"token": "", "bytes": [], "logprob": 0}]
    body = {"content": "a", "stop": True, "completion_probabilities": rows}
    [delta] = DIALECT.decode(HTTPReply(status=200, headers={}, body=json.dumps(body).encode()))
    assert delta.logprobs == (TokenLogprob("a", -1.0),)


@given(st.lists(st.integers(0, 5000)))
def test_however_a_stream_is_cut_it_gives_the_same(cuts: list[int]) -> None:
    stream = PROVIDER.stream(ODD)
    places = sorted({0, len(stream.body), *(cut % len(stream.body) for cut in cuts)})
    decoder = DIALECT.decoder(stream.headers)
    deltas: list[ChatDelta] = []
    for start, end in zip(places, places[1:], strict=False):  # noqa: RUF007
        deltas += decoder.feed(stream.body[start:end])
    assert decoder.done
    deltas += decoder.finish()
    assert [delta.text for delta in deltas] == [*ODD.text, ""]
    answer = gathered(deltas)
    assert answer.usage == ODD.usage
    assert answer.finish_reason is FinishReason.LENGTH
    assert tuple(row for delta in deltas for row in delta.logprobs) == ODD.logprobs


def test_text_comes_with_its_event() -> None:
    decoder = DIALECT.decoder({})
    [event, *_] = [event for event in PROVIDER.stream(ODD).events if event != b":\n\n"]
    assert [delta.text for delta in decoder.feed(event)] == ["Hel"]


def test_a_stream_without_its_last_event() -> None:
    decoder = DIALECT.decoder({})
    decoder.feed(b"".join(PROVIDER.stream(ODD).events))
    with pytest.raises(StreamInterrupted):
        decoder.finish()


def test_an_error_inside_a_stream() -> None:
    decoder = DIALECT.decoder({})
    error = {"code": 500, "message": "Context size has been exceeded.", "type": "server_error"}
    event = b"data: " + json.dumps({"error": error}).encode() + b"\n\n"
    assert decoder.feed(PROVIDER.stream(ODD).events[1] + event)[0].text == "Hel"
    with pytest.raises(PromptTooLongError, match="Context size"):
        decoder.feed(b"")


@pytest.mark.parametrize(
    ("status", "kind", "message", "expected"),
    [
        (
            400,
            "exceed_context_size_error",
            "request (3001 tokens) exceeds the available context size (1024 tokens)",
            PromptTooLongError,
        ),
        (503, "unavailable_error", "Loading model", OverloadedError),
        (500, "server_error", "boom", ServerError),
    ],
)
def test_errors(status: int, kind: str, message: str, expected: type[BackendError]) -> None:
    fields = {"code": status, "message": message, "type": kind, "n_ctx": 1024}
    reply = HTTPReply(status=status, headers={}, body=json.dumps({"error": fields}).encode())
    error = DIALECT.explain(reply)
    assert type(error) is expected
    assert (error.status, error.code) == (status, kind)
    assert message in str(error)


def stream_of(data: bytes) -> list[ChatDelta]:
    decoder = DIALECT.decoder({})
    return [*decoder.feed(data), *decoder.finish()]


@given(st.binary(max_size=200) | st.sampled_from([b"[]", b"{}", b"null", b"1", b'{"stop":true}']))
def test_junk_is_an_error_and_never_a_crash(data: bytes) -> None:
    with pytest.raises(BackendError):
        DIALECT.decode(HTTPReply(status=200, headers={}, body=data))
    with pytest.raises(BackendError):
        stream_of(b"data: " + data + b"\n\n")


def test_questions() -> None:
    query = DIALECT.count_tokens(HELLO)
    assert query is not None
    assert (query.call.path, query.call.at_root) == ("/tokenize", True)
    assert json.loads(query.call.body) == {"content": PROMPT, "add_special": True}
    assert query.read(PROVIDER.tokens(15)) == 15
    models = DIALECT.list_models()
    assert models is not None
    [card] = models.read(PROVIDER.models(["m-1"]))
    assert (card.name, card.context_window) == ("m-1", 1024)
    health = DIALECT.health()
    assert health is not None
    assert (health.call.method, health.call.path, health.call.at_root) == ("GET", "/health", True)
