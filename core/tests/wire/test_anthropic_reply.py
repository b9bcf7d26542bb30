"""Whole replies of Anthropic: answers, lists of models, token counts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from andon.answer import Answer
from andon.chat import ChatDelta, ChatRequest, FinishReason, ToolCallDelta, Usage
from andon.errors import BackendError, OverloadedError, RateLimitError
from andon.messages import ChatMessage, ProviderState, ToolCall
from andon.specs import ModelCard
from andon.testing.provider import SampleAnswer
from andon.testing.providers.anthropic import AnthropicProvider
from andon.wire.anthropic_messages import AnthropicMessages
from andon.wire.dialect import HTTPReply

USAGE = {
    "input_tokens": 1, "cache_creation_input_tokens": 3, "cache_read_input_tokens": 16,
    "cache_creation": {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 0},
    "output_tokens": 9, "output_tokens_details": {"thinking_tokens": 4}, "service_tier": "standard",
}  # fmt: skip
THOUGHT = {"type": "thinking", "thinking": "2+2", "signature": "Eq+/="}
REDACTED = {"type": "redacted_thinking", "data": "EroB"}


def body(*blocks: dict[str, Any], stop: Any = "end_turn", **more: Any) -> dict[str, Any]:
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m-1"}
    return head | {"content": list(blocks), "stop_reason": stop, "stop_sequence": None} | more


def text(value: str) -> dict[str, Any]:
    return {"type": "text", "text": value, "citations": None}


def call(identifier: str, name: str, **arguments: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": identifier, "name": name, "input": arguments}


def reply(value: Any, status: int = 200, **headers: str) -> HTTPReply:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    names = {name.replace("_", "-"): text for name, text in headers.items()}
    return HTTPReply(status=status, headers=names, body=data)


def read(value: Any, **headers: str) -> ChatDelta:
    [delta] = AnthropicMessages().decode(reply(value, **headers))
    return delta


def test_a_whole_answer() -> None:
    assert read(body(text("Grüße, 世界 😀"), usage=USAGE), request_id="req_1") == ChatDelta(
        text="Grüße, 世界 😀",
        finish_reason=FinishReason.STOP,
        raw_finish_reason="end_turn",
        usage=Usage(20, 9, cached_input_tokens=16, cache_write_tokens=3, reasoning_tokens=4),
        model="m-1",
        request_id="req_1",
    )


def test_without_a_header_the_message_tells_the_id() -> None:
    assert read(body(text("Hi"))).request_id == "msg_1"


def test_tools() -> None:
    delta = read(
        body(
            text("So"),
            call("toolu_a", "weather", city="Köln"),
            call("toolu_b", "now"),
            stop="tool_use",
        )
    )
    assert delta.tool_calls == (
        ToolCallDelta(0, "toolu_a", "weather", '{"city":"Köln"}'),
        ToolCallDelta(1, "toolu_b", "now", "{}"),
    )
    assert (delta.text, delta.finish_reason) == ("So", FinishReason.TOOL_CALLS)
    assert delta.provider_state == ()


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("end_turn", "stop"), ("stop_sequence", "stop"), ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"), ("tool_use", "tool_calls"),
        ("refusal", "content_filter"), ("pause_turn", "length"), ("something_new", "stop"),
    ],
)  # fmt: skip
def test_finish_reasons(raw: str, reason: str) -> None:
    delta = read(body(text("Hi"), stop=raw, stop_details={"type": "refusal", "category": "bio"}))
    assert (delta.finish_reason, delta.raw_finish_reason) == (reason, raw)


@pytest.mark.parametrize(
    ("usage", "read_"),
    [
        ({}, None),
        ({"input_tokens": 3, "output_tokens": 2}, Usage(3, 2)),
        ({"input_tokens": 3, "output_tokens": 2, "cache_read_input_tokens": None}, Usage(3, 2)),
        ({"input_tokens": 0, "cache_read_input_tokens": 5, "output_tokens": 2}, Usage(5, 2, 5)),
        ({"input_tokens": -1, "output_tokens": 2.5, "output_tokens_details": None}, Usage()),
        # More than the whole: no part may be.
        ({"input_tokens": 1, "output_tokens": 2, "output_tokens_details": {"thinking_tokens": 3}},
         Usage(1, 2, reasoning_tokens=2)),
    ],
)  # fmt: skip
def test_usage(usage: Any, read_: Usage | None) -> None:
    assert read(body(text("Hi"), usage=usage)).usage == read_


# -- Thoughts --------------------------------------------------------------------------------------


def test_thoughts_are_kept_in_their_places() -> None:
    delta = read(body(THOUGHT, text("So"), REDACTED, call("toolu_1", "now"), stop="tool_use"))
    assert (delta.reasoning, delta.text) == ("2+2", "So")
    [state] = delta.provider_state
    assert state.dialect == "anthropic-messages"
    assert json.loads(state.data) == [THOUGHT, 2, REDACTED, "call"]


@pytest.mark.parametrize(
    "blocks",
    [
        (THOUGHT, text("So"), REDACTED, call("toolu_1", "now", a=1.5), call("toolu_2", "now")),
        ({**THOUGHT, "thinking": ""}, call("toolu_1", "now")),
        (call("toolu_1", "now"), THOUGHT, text("Sö"), text("o")),
        (text("Sö"), text("o")),
        (text("So"), call("toolu_1", "now")),
        (
            {
                "type": "server_tool_use",
                "id": "srvtoolu_1",
                "name": "web_search",
                "input": {"q": 1},
            },
            text("So"),
        ),
    ],
)
def test_an_answer_goes_back_as_it_came(blocks: tuple[dict[str, Any], ...]) -> None:
    """The whole way: reply, answer, message, next request."""
    whole = Answer()
    whole.append(read(body(*blocks, stop="tool_use")))
    messages = (ChatMessage.user("Hi"), whole.message(), ChatMessage.user("Go on"))
    sent = AnthropicMessages().encode(ChatRequest(model="m", messages=messages)).body
    expected = [{name: block[name] for name in block if name != "citations"} for block in blocks]
    assert json.loads(sent)["messages"][1]["content"] == expected


def test_the_state_of_a_plain_answer_is_nothing() -> None:
    assert read(body(text("Hi"))).provider_state == ()
    assert read(body(stop="refusal")).provider_state == ()


# -- What is no answer -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "kind", "said"),
    [
        (b"<html>Sign in</html>", BackendError, r"20 bytes .* no JSON: b'<html>Sign in</html>'"),
        (b"", BackendError, "0 bytes"),
        (b"\xff\xfe", BackendError, r"b'\\xff\\xfe'"),
        (b"[" * 100_000, BackendError, "no JSON"),
        ([1], BackendError, "no answer"),
        ({"content": "Hi"}, BackendError, "no answer"),
        ({"choices": []}, BackendError, "no answer"),
        (body(text("Hi"), stop=None), BackendError, "no answer"),
        (body({"type": "tool_use", "id": "x", "name": "f", "input": [1]}), BackendError, "no answer"),
        ({"type": "error", "error": {"type": "overloaded_error", "message": "Busy"}}, OverloadedError, "Busy"),
        ({"error": {"code": "429", "message": "Busy"}}, RateLimitError, "Busy"),
    ],
)  # fmt: skip
def test_no_answer(value: Any, kind: type[BackendError], said: str) -> None:
    with pytest.raises(kind, match=said) as caught:
        read(value)
    assert type(caught.value) is kind
    assert len(str(caught.value)) < 1_000


# -- Questions besides the chat --------------------------------------------------------------------


def test_a_list_of_models() -> None:
    supported, lacking = {"supported": True}, {"supported": False}
    able = {
        "image_input": supported,
        "structured_outputs": lacking,
        "thinking": {"supported": True, "types": {}},
    }
    query = AnthropicMessages().list_models()
    listed = {"id": "claude-opus-5-5", "display_name": "Claude Opus 5.5", "type": "model",
              "max_input_tokens": 1_000_000, "max_tokens": 128_000, "capabilities": able}  # fmt: skip
    assert query.read(reply({"data": [listed, {"id": "m"}], "has_more": False})) == [
        ModelCard(
            name="claude-opus-5-5",
            context_window=1_000_000,
            max_output_tokens=128_000,
            capabilities=frozenset({"chat", "tools", "images", "reasoning"}),
            description="Claude Opus 5.5",
        ),
        ModelCard(name="m", capabilities=frozenset({"chat", "tools"})),
    ]


def test_a_count_of_tokens() -> None:
    request = ChatRequest(model="m", messages=(ChatMessage.user("Hi"),))
    query = AnthropicMessages().count_tokens(request)
    assert query.read(reply({"input_tokens": 12})) == 12
    with pytest.raises(ValueError, match="no number of tokens"):
        query.read(reply({"input_tokens": "12"}))


def test_what_the_provider_writes_is_read() -> None:
    provider, dialect = AnthropicProvider(), AnthropicMessages()
    calls = (ToolCall("toolu_1", "f", '{"a":1}'), ToolCall("toolu_2", "g", "{}"))
    sample = SampleAnswer(
        reasoning=("2+", "2"), tool_calls=calls, finish_reason=FinishReason.TOOL_CALLS, usage=Usage(20, 9, 5, 3, 4)
    )  # fmt: skip
    [delta] = dialect.decode(provider.whole(sample))
    assert (delta.text, delta.reasoning, delta.usage) == ("Hello, wörld!", "2+2", sample.usage)
    assert [(c.id, c.name, c.arguments) for c in delta.tool_calls] == [
        (c.id, c.name, c.arguments) for c in calls
    ]
    assert isinstance(delta.provider_state[0], ProviderState)
    assert [card.name for card in dialect.list_models().read(provider.models(["a", "b"]))] == [
        "a",
        "b",
    ]
    request = ChatRequest(model="m", messages=(ChatMessage.user("Hi"),))
    assert dialect.count_tokens(request).read(provider.tokens(7)) == 7
