"""Whole answers in Ollama's form, and what its server tells of itself."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon.chat import ChatDelta, FinishReason, TokenLogprob, ToolCallDelta, Usage
from andon.errors import BackendError, ServerError, StreamInterrupted
from andon.specs import ModelCard
from andon.testing.provider import SampleAnswer
from andon.testing.providers.ollama import OllamaProvider
from andon.wire.dialect import HTTPReply
from andon.wire.ollama import OllamaChat

ENDING = {"done": True, "done_reason": "stop", "prompt_eval_count": 12, "eval_count": 5}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["message", "content", "thinking", "tool_calls", "function", "name", "arguments",
                 "done", "done_reason", "logprobs", "token", "logprob", "top_logprobs", "error",
                 "response", "prompt_eval_count", "model", "models", "details", "version"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)  # fmt: skip


def reply(body: object, status: int = 200, **headers: str) -> HTTPReply:
    return HTTPReply(status=status, headers=headers, body=json.dumps(body).encode())


def read(message: Any, **more: Any) -> ChatDelta:
    [delta] = OllamaChat().decode(reply({"model": "m", "message": message, **ENDING, **more}))
    return delta


def test_a_chat() -> None:
    message = {"role": "assistant", "content": "Grüße", "thinking": "Hm."}
    assert read(message) == ChatDelta(
        "Grüße",
        "Hm.",
        finish_reason=FinishReason.STOP,
        raw_finish_reason="stop",
        usage=Usage(12, 5),
        model="m",
    )


def test_a_completion_of_a_raw_prompt() -> None:
    body = {"model": "m", "response": "upon a time", **ENDING, "done_reason": "length"}
    [delta] = OllamaChat().decode(reply(body))
    assert (delta.text, delta.finish_reason) == ("upon a time", FinishReason.LENGTH)


def test_calls_with_and_without_ids() -> None:
    call = {"function": {"name": "time", "arguments": {"zone": "Köln", "n": 1}}}
    delta = read({"content": "", "tool_calls": [{"id": "call_7", **call}, call]})
    arguments = '{"zone":"Köln","n":1}'
    assert delta.tool_calls == (
        ToolCallDelta(0, "call_7", "time", arguments),
        ToolCallDelta(1, "call_1", "time", arguments),
    )
    assert (delta.finish_reason, delta.raw_finish_reason) == (FinishReason.TOOL_CALLS, "stop")


def test_logprobs() -> None:
    tops = [{"token": "a", "logprob": -0.5, "bytes": [97]}, {"token": "b", "logprob": -1}]
    likely = [{"token": "a", "logprob": -0.5, "top_logprobs": tops}]
    assert read({"content": "a"}, logprobs=likely).logprobs == (
        TokenLogprob("a", -0.5, (("a", -0.5), ("b", -1.0))),
    )


def test_counts_that_are_missing() -> None:
    assert read({}, prompt_eval_count=None).usage == Usage(0, 5, estimated=True)
    assert read({}, prompt_eval_count=None, eval_count=None).usage is None


@pytest.mark.parametrize("reason", ["load", "unload"])
def test_loading_is_no_answer(reason: str) -> None:
    with pytest.raises(ServerError, match=reason):
        read({"content": ""}, done_reason=reason)


def test_an_answer_that_was_given_up() -> None:
    with pytest.raises(StreamInterrupted) as caught:
        read({"content": "So"}, done=False)
    assert caught.value.partial == "So"


def test_an_error_with_the_status_of_a_success() -> None:
    with pytest.raises(ServerError, match="out of memory"):
        OllamaChat().decode(reply({"error": "out of memory"}))


@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b'"x"', b"{}", b"<html>", b"[" * 100_000, b'{"message":[],"a":1}']
)
def test_what_is_no_answer(body: bytes) -> None:
    with pytest.raises(BackendError, match=r"no (JSON|answer)"):
        OllamaChat().decode(HTTPReply(status=200, headers={}, body=body))


@given(JSON)
def test_junk_is_a_backends_error(value: Any) -> None:
    with contextlib.suppress(BackendError):
        OllamaChat().decode(reply(value))
    for query in (OllamaChat().list_models(), OllamaChat().health()):
        with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError, IndexError):
            query.read(reply(value))


def test_the_models() -> None:
    query = OllamaChat().list_models()
    assert (query.call.method, query.call.path) == ("GET", "/api/tags")
    models = [
        {
            "name": "llama3.1:8b",
            "model": "llama3.1:8b",
            "details": {"context_length": 131072},
            "capabilities": ["completion", "tools", "vision", "thinking", "insert"],
        },
        {"name": "nomic-embed-text:latest", "capabilities": ["embedding"]},
        {"model": "old:latest", "details": None},
        {"model": "kimi:cloud", "remote_host": "https://ollama.com:443"},
    ]
    first, embedder, old, cloud = query.read(reply({"models": models}))
    assert first == ModelCard(
        name="llama3.1:8b",
        context_window=131_072,
        capabilities=frozenset({"chat", "tools", "images", "reasoning", "json_schema"}),
    )
    assert (embedder.name, embedder.capabilities) == ("nomic-embed-text:latest", frozenset())
    assert old.capabilities == {"chat", "json_schema"}
    assert cloud.description == "sent on to https://ollama.com:443"


def test_the_servers_health() -> None:
    query = OllamaChat().health()
    assert (query.call.method, query.call.path) == ("GET", "/api/version")
    assert query.read(reply({"version": "0.32.7"})) is None
    with pytest.raises((KeyError, TypeError)):
        query.read(reply({"status": "ok"}))


def test_what_the_provider_writes() -> None:
    answer = SampleAnswer(reasoning=("Hm", "."))
    [delta] = OllamaChat().decode(OllamaProvider().whole(answer))
    assert (delta.text, delta.reasoning) == ("Hello, wörld!", "Hm.")
    assert delta.usage == answer.usage
