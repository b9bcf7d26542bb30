"""Requests in the form of Anthropic's Messages, written out by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from andon.chat import ChatRequest, ResponseFormat, Sampling, Tool
from andon.errors import InvalidRequestError, UnsupportedParameterError
from andon.messages import ChatMessage, ImagePart, ProviderState, Role, TextPart, ToolCall
from andon.specs import ModelProfile
from andon.wire.anthropic_messages import AnthropicMessages

HELLO = ChatMessage.user("Hello")
SYSTEM = ChatMessage.system
BASE = ChatRequest(model="claude-opus-5-5", messages=(HELLO,), sampling=Sampling(9))
WEATHER = Tool(
    "weather", "How it is.", {"type": "object", "properties": {"city": {"type": "string"}}}
)
SCHEMA = {"type": "object", "properties": {}, "additionalProperties": False}
AS_SCHEMA = ResponseFormat("json_schema", SCHEMA)
CALLS = (ToolCall("toolu_1", "weather", '{"city":"Köln"}'), ToolCall("toolu_2", "weather", ""))
PNG = "data:image/png;base64,iVBORw0KGgo="


def encode(**changes: Any) -> dict[str, Any]:
    call = AnthropicMessages().encode(replace(BASE, **changes))
    return json.loads(call.body)  # type: ignore[no-any-return]


def turns(*messages: ChatMessage, **changes: Any) -> Any:
    return encode(messages=messages, **changes)["messages"]


def refused(parameter: str | None, **changes: Any) -> str:
    with pytest.raises(UnsupportedParameterError) as caught:
        AnthropicMessages().encode(replace(BASE, **changes))
    assert caught.value.parameter == parameter
    return str(caught.value)


# -- The call --------------------------------------------------------------------------------------


def test_the_smallest_call() -> None:
    call = AnthropicMessages().encode(BASE)
    assert (call.method, call.path) == ("POST", "/v1/messages")
    assert dict(call.headers) == {
        "content-type": "application/json",
        "accept": "application/json",
        "anthropic-version": "2026-10-21",
    }
    assert json.loads(call.body) == {
        "model": "claude-opus-5-5",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "Hello"}],
    }


@pytest.mark.parametrize("sampling", [{"temperature": 0.0}, {"top_p": 0.5}])
def test_only_the_version_before_has_sampling(sampling: dict[str, float]) -> None:
    call = AnthropicMessages().encode(replace(BASE, sampling=Sampling(9, **sampling)))
    assert call.headers["anthropic-version"] == "2023-06-01"
    assert json.loads(call.body).items() >= sampling.items()


@pytest.mark.parametrize(
    ("sampling", "profile", "sent"),
    [
        (Sampling(9), ModelProfile(max_output_tokens=64_000), 9),
        (Sampling(), ModelProfile(max_output_tokens=64_000), 64_000),
        (Sampling(), ModelProfile(), 4_096),
    ],
)
def test_max_tokens_is_always_sent(sampling: Sampling, profile: ModelProfile, sent: int) -> None:
    call = AnthropicMessages().encode(replace(BASE, sampling=sampling), profile)
    assert json.loads(call.body)["max_tokens"] == sent


def test_stop_texts_and_a_stream() -> None:
    body = encode(sampling=Sampling(9, stop=("END", "\nYou:")), stream=True)
    assert (body["stop_sequences"], body["stream"]) == (["END", "\nYou:"], True)


def test_the_tokens_of_a_prompt() -> None:
    request = replace(BASE, tools=(WEATHER,), sampling=Sampling(9, 0.5, stop=("END",), seed=1))
    query = AnthropicMessages().count_tokens(replace(request, stream=True))
    assert (query.call.method, query.call.path) == ("POST", "/v1/messages/count_tokens")
    assert query.call.headers["anthropic-version"] == "2026-10-21"
    assert json.loads(query.call.body).keys() == {"model", "messages", "tools"}


def test_the_list_of_models() -> None:
    query = AnthropicMessages().list_models()
    assert (query.call.method, query.call.path) == ("GET", "/v1/models?limit=1000")
    assert query.call.body == b""


def test_there_is_no_question_for_health() -> None:
    assert AnthropicMessages().health() is None


# -- Messages --------------------------------------------------------------------------------------


def test_instructions_stand_at_the_top() -> None:
    body = encode(messages=(SYSTEM("Be brief."), HELLO))
    assert body["system"] == "Be brief."
    assert body["messages"] == [{"role": "user", "content": "Hello"}]
    two = encode(messages=(SYSTEM("Be brief."), SYSTEM(""), SYSTEM("Rhyme."), HELLO))["system"]
    assert two == [{"type": "text", "text": "Be brief."}, {"type": "text", "text": "Rhyme."}]


LATER = (HELLO, ChatMessage.assistant("Hi"), SYSTEM("Rhyme."), ChatMessage.user("Go on"))


def test_later_instructions_stand_behind_the_user() -> None:
    """Anthropic refuses them right behind its own turn; and ``system`` must not change."""
    body = encode(messages=(SYSTEM("Be brief."), *LATER))
    assert body["system"] == "Be brief."
    assert body["messages"][1:] == [
        {"role": "assistant", "content": "Hi"},
        {"role": "user", "content": "Go on"},
        {"role": "system", "content": "Rhyme."},
    ]
    more = encode(messages=(*LATER, ChatMessage.assistant("Gone"), HELLO))["messages"]
    assert [turn["role"] for turn in more[3:]] == ["system", "assistant", "user"]


def test_later_instructions_without_a_user_behind_them_stand_at_the_top() -> None:
    messages = (HELLO, ChatMessage.assistant("Hi"), SYSTEM("Rhyme."), ChatMessage.assistant("So"))
    body = encode(messages=messages, continue_final_message=True)
    assert body["system"] == "Rhyme."
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant"]


@pytest.mark.parametrize(
    "model", ["claude-haiku-4-5", "claude-opus-4-7", "claude-mythos-preview", "other"]
)
def test_older_models_take_instructions_at_the_top_only(model: str) -> None:
    body = encode(model=model, messages=LATER)
    assert body["system"] == "Rhyme."
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]


def test_turns_of_one_role_are_one() -> None:
    assert turns(HELLO, ChatMessage.user("there"), ChatMessage.assistant(), ChatMessage.user("!")) == [
        {"role": "user", "content": [{"type": "text", "text": text} for text in ("Hello", "there", "!")]}
    ]  # fmt: skip


def test_images() -> None:
    parts = (
        TextPart("What?"), TextPart(""), ImagePart("https://example.org/a.png", "low"),
        ImagePart(PNG), ImagePart("data:image/JPG;name=a;base64,/9j/"),
    )  # fmt: skip
    [turn] = turns(ChatMessage.user(parts))
    assert turn["content"] == [
        {"type": "text", "text": "What?"},
        {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": "/9j/"}},
    ]  # fmt: skip


@pytest.mark.parametrize(
    "url", ["data:image/png,abc", "data:image/tiff;base64,AA==", "file:///a.png", "a.png"]
)
def test_images_that_cannot_be_sent(url: str) -> None:
    assert "as a data: URL in base64" in refused(
        None, messages=(ChatMessage.user([ImagePart(url)]),)
    )


@pytest.mark.parametrize("role", [Role.SYSTEM, Role.ASSISTANT])
def test_only_the_user_shows_images(role: Role) -> None:
    message = ChatMessage(role, (TextPart("a"), ImagePart(PNG)))
    assert f"no image in a message of role '{role}'" in refused(None, messages=(message, HELLO))


def test_tools_and_their_results() -> None:
    answer = ChatMessage.assistant("Let me see.", CALLS)
    results = (
        ChatMessage.tool("12 °C", "toolu_1"),
        ChatMessage(Role.TOOL, (TextPart("A picture"), ImagePart(PNG)), tool_call_id="toolu_2"),
    )
    body = encode(
        messages=(HELLO, answer, *results, ChatMessage.user("So?")), tools=(WEATHER, Tool("now"))
    )
    assert body["tools"] == [
        {"name": "weather", "description": "How it is.", "input_schema": WEATHER.parameters},
        {"name": "now", "input_schema": {"type": "object", "properties": {}}},
    ]
    assert "tool_choice" not in body
    assert body["messages"][1:] == [
        {"role": "assistant", "content": [
            {"type": "text", "text": "Let me see."},
            {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Köln"}},
            {"type": "tool_use", "id": "toolu_2", "name": "weather", "input": {}},
        ]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "toolu_1", "content": "12 °C"},
            {"type": "tool_result", "tool_use_id": "toolu_2", "content": [
                {"type": "text", "text": "A picture"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}},
            ]},
            {"type": "text", "text": "So?"},
        ]},
    ]  # fmt: skip


def test_results_come_before_what_the_user_says() -> None:
    answer = ChatMessage.assistant("", CALLS[:1])
    [*_, last] = turns(HELLO, answer, ChatMessage.user("So?"), ChatMessage.tool("", "toolu_1"))
    assert last["content"] == [
        {"type": "tool_result", "tool_use_id": "toolu_1"}, {"type": "text", "text": "So?"}
    ]  # fmt: skip


def test_ids_of_other_providers_are_made_to_fit() -> None:
    call = ToolCall("functions.weather:0", "weather", "{}")
    found = turns(HELLO, ChatMessage.assistant("", [call]), ChatMessage.tool("x", call.id))
    assert (
        found[1]["content"][0]["id"]
        == found[2]["content"][0]["tool_use_id"]
        == "functions_weather_0"
    )


@pytest.mark.parametrize("arguments", ['{"city":', "[]", "3", "[" * 100_000])
def test_calls_with_arguments_that_are_no_object(arguments: str) -> None:
    message = ChatMessage.assistant("", [ToolCall("toolu_1", "weather", arguments)])
    with pytest.raises(InvalidRequestError, match="'toolu_1' of 'weather' are no JSON object"):
        turns(HELLO, message, ChatMessage.tool("x", "toolu_1"))


def test_a_result_needs_its_call() -> None:
    with pytest.raises(InvalidRequestError, match="tool_call_id"):
        turns(HELLO, ChatMessage(Role.TOOL, "x"))


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        ("none", {"type": "none"}),
        ("required", {"type": "any"}),
        ("weather", {"type": "tool", "name": "weather"}),
    ],
)
def test_the_choice_of_a_tool(choice: str, sent: dict[str, str]) -> None:
    assert encode(tools=(WEATHER,), tool_choice=choice)["tool_choice"] == sent


def test_a_choice_without_tools_is_left_out() -> None:
    assert "tool_choice" not in encode(tool_choice="none")


# -- Thoughts that go back -------------------------------------------------------------------------

THOUGHT = {"type": "thinking", "thinking": "", "signature": "Eq+/="}
REDACTED = {"type": "redacted_thinking", "data": "EroB"}


def thinker(pieces: Any, text: str = "", calls: tuple[ToolCall, ...] = ()) -> ChatMessage:
    states = (ProviderState("other", "[]"), ProviderState("anthropic-messages", json.dumps(pieces)))
    return ChatMessage(Role.ASSISTANT, text, None, calls, None, "2+2", states)


def test_thoughts_go_back_unchanged_in_their_places() -> None:
    message = thinker([THOUGHT, 4, REDACTED, "call", 2], "4. ☼So", CALLS[:1])
    [_, turn, _] = turns(HELLO, message, ChatMessage.tool("x", "toolu_1"))
    assert turn["content"] == [
        THOUGHT,
        {"type": "text", "text": "4. ☼"},
        REDACTED,
        {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Köln"}},
        {"type": "text", "text": "So"},
    ]  # fmt: skip


def test_what_was_edited_wins() -> None:
    message = thinker([4, THOUGHT, "call"], "Five")
    assert turns(HELLO, message, HELLO)[1]["content"] == [THOUGHT, {"type": "text", "text": "Five"}]


def test_thoughts_that_nobody_signed_stay_here() -> None:
    message = ChatMessage(Role.ASSISTANT, "4", reasoning="2+2")
    assert turns(HELLO, message, HELLO)[1] == {"role": "assistant", "content": "4"}


@pytest.mark.parametrize(
    "data", ["", "{", "{}", "[-1]", "[true]", '["text"]', "[{}]", "[" * 100_000]
)
def test_a_damaged_state(data: str) -> None:
    message = ChatMessage(
        Role.ASSISTANT, "4", provider_state=(ProviderState("anthropic-messages", data),)
    )
    with pytest.raises(InvalidRequestError, match="provider_state for Anthropic is damaged"):
        turns(HELLO, message, HELLO)


# -- What the answer shall be ----------------------------------------------------------------------


def test_a_json_schema() -> None:
    assert encode(response_format=AS_SCHEMA)["output_config"] == {
        "format": {"type": "json_schema", "schema": SCHEMA}
    }


@pytest.mark.parametrize("effort", ["low", "medium", "high", "xhigh", "max"])
def test_reasoning(effort: str) -> None:
    body = encode(reasoning_effort=effort, response_format=AS_SCHEMA)
    assert body["thinking"] == {"type": "adaptive", "display": "summarized"}
    assert body["output_config"]["effort"] == effort
    assert "format" in body["output_config"]


def test_no_reasoning() -> None:
    body = encode(reasoning_effort="none")
    assert body["thinking"] == {"type": "disabled"}
    assert "output_config" not in body


@pytest.mark.parametrize(
    ("effort", "limit", "budget"),
    [
        ("low", 64_000, 2_048),
        ("medium", 64_000, 8_192),
        ("high", 64_000, 24_576),
        ("high", 4_096, 2_048),
    ],
)
def test_older_models_think_to_a_budget(effort: str, limit: int, budget: int) -> None:
    for model in ("claude-haiku-4-5", "claude-opus-4-5-20251101", "claude-sonnet-4-20250514"):
        body = encode(model=model, reasoning_effort=effort, sampling=Sampling(limit))
        assert body["thinking"] == {"type": "enabled", "budget_tokens": budget}
        assert "output_config" not in body


def test_a_budget_needs_room() -> None:
    changes = {"model": "claude-haiku-4-5", "sampling": Sampling(2_047), "reasoning_effort": "low"}
    assert "max_tokens of at least 2048" in refused("reasoning_effort", **changes)
    assert "take reasoning_effort low, medium, high or none" in refused(
        "reasoning_effort", **changes | {"reasoning_effort": "max", "sampling": Sampling(64_000)}
    )


def test_an_answer_that_is_continued() -> None:
    prefix = ChatMessage.assistant("The best answer is (")
    assert turns(HELLO, prefix, continue_final_message=True)[-1] == {
        "role": "assistant", "content": "The best answer is ("
    }  # fmt: skip


def test_nothing_to_continue_is_nothing() -> None:
    assert turns(HELLO, ChatMessage.assistant(), continue_final_message=True) == turns(HELLO)


@pytest.mark.parametrize(
    "prefix",
    [ChatMessage.assistant("So "), ChatMessage.assistant("So\n"), ChatMessage.assistant("", CALLS)],
)
def test_what_cannot_be_continued(prefix: ChatMessage) -> None:
    said = refused("continue_final_message", messages=(HELLO, prefix), continue_final_message=True)
    assert "ends with white space or a tool call" in said


@pytest.mark.parametrize("last", [(), (SYSTEM("Rhyme."),)])
def test_an_answer_is_not_continued_by_accident(last: tuple[ChatMessage, ...]) -> None:
    said = refused(None, messages=(HELLO, ChatMessage.assistant("Hi"), *last))
    assert "set continue_final_message=True" in said


@pytest.mark.parametrize(
    ("parameter", "changes"),
    [
        (None, {"messages": (), "prompt": "Once"}),
        (None, {"messages": (SYSTEM("Be brief."),)}),
        ("seed", {"sampling": Sampling(seed=0)}),
        ("top_logprobs", {"top_logprobs": 0}),
        ("temperature", {"sampling": Sampling(temperature=1.1)}),
        ("stop", {"sampling": Sampling(stop=("END", "\n"))}),
        ("response_format", {"response_format": ResponseFormat("json_object")}),
        ("reasoning_effort", {"reasoning_effort": "minimal"}),
    ],
)
def test_what_the_protocol_cannot_say(parameter: str | None, changes: dict[str, Any]) -> None:
    assert "Anthropic" in refused(parameter, **changes)


@pytest.mark.parametrize(
    ("parameter", "changes"),
    [
        ("reasoning_effort", {"reasoning_effort": "low"}),
        ("response_format", {"response_format": AS_SCHEMA}),
    ],
)
def test_what_does_not_go_with_a_continuation(parameter: str, changes: dict[str, Any]) -> None:
    messages = (HELLO, ChatMessage.assistant("So"))
    refused(parameter, messages=messages, continue_final_message=True, **changes)


def test_tokens_of_a_raw_prompt_cannot_be_counted() -> None:
    with pytest.raises(UnsupportedParameterError, match="no raw prompt"):
        AnthropicMessages().count_tokens(ChatRequest(model="m", prompt="Once"))


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="cannot be written as JSON"):
        encode(tools=(Tool("f", "", {"default": float("nan")}),))
