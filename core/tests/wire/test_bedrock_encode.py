"""Requests to Bedrock: where each part goes, and what cannot be said."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from andon.chat import ChatRequest, ResponseFormat, Sampling, Tool
from andon.errors import InvalidRequestError, UnsupportedParameterError
from andon.messages import ChatMessage, ImagePart, ProviderState, Role, TextPart, ToolCall
from andon.specs import ModelProfile
from andon.wire.bedrock_converse import BedrockConverse

DIALECT = BedrockConverse()
MODEL = "amazon.nova-pro-v1:0"
CLAUDE = "us.anthropic.claude-opus-5-5"
HELLO = ChatMessage.user("Hello")
REQUEST = ChatRequest(model=MODEL, messages=(HELLO,))
PNG = "iVBORw0KGgo="
IMAGE = ImagePart(f"data:image/png;base64,{PNG}")
IMAGE_BLOCK = {"image": {"format": "png", "source": {"bytes": PNG}}}
WEATHER = Tool("weather", "How it is.", {"type": "object", "properties": {"city": {}}}, strict=True)
NOW = Tool("now")
SPECS = [
    {"toolSpec": {"name": "weather", "description": "How it is.",
                  "inputSchema": {"json": WEATHER.parameters}, "strict": True}},
    {"toolSpec": {"name": "now", "inputSchema": {"json": {"type": "object", "properties": {}}}}},
]  # fmt: skip
CALLS = (ToolCall("a", "weather", '{"city":"Köln"}'), ToolCall("b", "now", ""))
USES = [
    {"toolUse": {"toolUseId": "a", "name": "weather", "input": {"city": "Köln"}}},
    {"toolUse": {"toolUseId": "b", "name": "now", "input": {}}},
]
RESULTS = (ChatMessage.tool("Rain", "a"), ChatMessage.tool("12:00", "b"))
RESULT_BLOCKS = [
    {"toolResult": {"toolUseId": "a", "content": [{"text": "Rain"}]}},
    {"toolResult": {"toolUseId": "b", "content": [{"text": "12:00"}]}},
]


def user(*content: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(content)}


def assistant(*content: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(content)}


def text(value: str) -> dict[str, str]:
    return {"text": value}


def body(request: ChatRequest, profile: ModelProfile | None = None) -> Any:
    return json.loads(DIALECT.encode(request, profile or ModelProfile()).body)


def chat(*messages: ChatMessage, **options: Any) -> Any:
    return body(ChatRequest(**{"model": MODEL, "messages": messages} | options))


# -- Where it goes ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("amazon.nova-pro-v1:0", "amazon.nova-pro-v1%3A0"),
        ("us.anthropic.claude-opus-5-5", "us.anthropic.claude-opus-5-5"),
        (
            "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.x-v1:0",
            "arn%3Aaws%3Abedrock%3Aeu-west-1%3A123456789012%3Ainference-profile%2Feu.x-v1%3A0",
        ),
        ("a ?#%~_é", "a%20%3F%23%25~_%C3%A9"),
    ],
)
def test_the_model_stands_in_the_path(model: str, path: str) -> None:
    whole = DIALECT.encode(replace(REQUEST, model=model))
    streamed = DIALECT.encode(replace(REQUEST, model=model, stream=True))
    assert (whole.path, streamed.path) == (
        f"/model/{path}/converse",
        f"/model/{path}/converse-stream",
    )
    assert whole.body == streamed.body
    assert (whole.method, whole.headers) == ("POST", {"content-type": "application/json"})


def test_the_least() -> None:
    assert body(REQUEST) == {"messages": [user(text("Hello"))]}


def test_sampling() -> None:
    sampling = Sampling(9, temperature=0, top_p=0.5, stop=("END", "\n"))
    assert body(replace(REQUEST, sampling=sampling))["inferenceConfig"] == {
        "maxTokens": 9,
        "temperature": 0,
        "topP": 0.5,
        "stopSequences": ["END", "\n"],
    }


# -- The chat --------------------------------------------------------------------------------------


def test_instructions_go_to_the_top() -> None:
    system = ChatMessage.system("Be brief."), ChatMessage.system([TextPart("Rhyme."), TextPart("")])  # type: ignore[arg-type]
    sent = chat(system[0], HELLO, system[1])
    assert sent["system"] == [text("Be brief."), text("Rhyme.")]
    assert sent["messages"] == [user(text("Hello"))]


def test_turns_of_one_role_become_one() -> None:
    sent = chat(
        HELLO, ChatMessage.user("there"), ChatMessage.assistant("Hi"), ChatMessage.assistant("!"),
        ChatMessage.user(" \n"), ChatMessage.user("So?"),
    )  # fmt: skip
    assert sent["messages"] == [
        user(text("Hello"), text("there")), assistant(text("Hi"), text("!")), user(text("So?"))
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "form"),
    [("image/png", "png"), ("image/jpeg", "jpeg"), ("image/JPG", "jpeg"), ("image/gif", "gif"), ("image/webp", "webp")],
)  # fmt: skip
def test_images(kind: str, form: str) -> None:
    image = ImagePart(f"data:{kind};base64,{PNG}")
    [turn] = chat(ChatMessage.user([TextPart("What?"), image]))["messages"]
    source = {"bytes": PNG}
    assert turn == user(text("What?"), {"image": {"format": form, "source": source}})


def test_tools_are_called_and_answer() -> None:
    sent = chat(
        HELLO, ChatMessage.assistant("Let me see.", CALLS), ChatMessage.user("Quick!"), *RESULTS,
        tools=(WEATHER, NOW),
    )  # fmt: skip
    assert sent["messages"] == [
        user(text("Hello")),
        assistant(text("Let me see."), *USES),
        user(*RESULT_BLOCKS, text("Quick!")),
    ]
    assert sent["toolConfig"] == {"tools": SPECS}


def test_results_with_images_and_without_anything() -> None:
    image = ChatMessage(Role.TOOL, (TextPart("Look"), IMAGE), tool_call_id="a")
    sent = chat(HELLO, ChatMessage.assistant("", CALLS), image, ChatMessage.tool("", "b"))
    assert sent["messages"][2] == user(
        {"toolResult": {"toolUseId": "a", "content": [text("Look"), IMAGE_BLOCK]}},
        {"toolResult": {"toolUseId": "b", "content": []}},
    )


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        ("auto", {"tools": SPECS}),
        ("required", {"tools": SPECS, "toolChoice": {"any": {}}}),
        ("now", {"tools": SPECS, "toolChoice": {"tool": {"name": "now"}}}),
        ("none", None),
    ],
)
def test_the_choice_of_a_tool(choice: str, sent: Any) -> None:
    request = replace(REQUEST, tools=(WEATHER, NOW), tool_choice=choice)
    assert body(request).get("toolConfig") == sent


def test_a_chat_with_calls_is_never_without_tools() -> None:
    history = HELLO, ChatMessage.assistant("", CALLS), *RESULTS
    assert chat(*history, tools=(WEATHER, NOW), tool_choice="none")["toolConfig"] == {
        "tools": SPECS
    }
    schema = {"json": {"type": "object", "properties": {}}}
    named = [{"toolSpec": {"name": name, "inputSchema": schema}} for name in ("weather", "now")]
    assert chat(*history, tool_choice="required")["toolConfig"] == {"tools": named}


@pytest.mark.parametrize(
    ("model", "given", "sent"),
    [
        (MODEL, "functions.now:0", "functions.now:0"),
        (CLAUDE, "functions.now:0", "functions_now_0"),
        (MODEL, "a b/ü", "a_b__"),
        (MODEL, "x" * 64, "x" * 64),
    ],
)
def test_ids_of_calls_from_elsewhere(model: str, given: str, sent: str) -> None:
    calling = ChatMessage.assistant("", [ToolCall(given, "now", "{}")])
    _, turn, result = chat(HELLO, calling, ChatMessage.tool("1", given), model=model)["messages"]
    assert turn["content"][0]["toolUse"]["toolUseId"] == sent
    assert result["content"][0]["toolResult"]["toolUseId"] == sent


def test_long_ids_stay_apart() -> None:
    calls = [ToolCall("x" * 70 + end, "now", "{}") for end in "ab"]
    [_, turn, _] = chat(HELLO, ChatMessage.assistant("", calls), ChatMessage.user("So?"))[
        "messages"
    ]
    first, second = (block["toolUse"]["toolUseId"] for block in turn["content"])
    assert first != second
    assert len(first) == len(second) == 64


# -- Thoughts that go back -------------------------------------------------------------------------


def thinker(data: str, content: str = "Let me see.", **fields: Any) -> ChatMessage:
    state = (ProviderState("other", "["), ProviderState("bedrock-converse", data))
    return ChatMessage(Role.ASSISTANT, content, provider_state=state, **fields)


SIGNED = {"reasoningText": {"text": "Hm", "signature": "Eq+/="}}
SECRET = {"redactedContent": "AAEC"}


def test_signed_thoughts_go_back_in_their_places() -> None:
    data = json.dumps([SIGNED, 4, "call", SECRET, 7, "call"])
    sent = chat(HELLO, thinker(data, tool_calls=CALLS, reasoning="Hm"), *RESULTS)
    assert sent["messages"][1] == assistant(
        {"reasoningContent": SIGNED}, text("Let "), USES[0],
        {"reasoningContent": SECRET}, text("me see."), USES[1],
    )  # fmt: skip


def test_where_the_message_was_changed_they_go_first() -> None:
    sent = chat(HELLO, thinker(json.dumps([3, SIGNED, 4]), "Changed", tool_calls=CALLS), *RESULTS)
    assert sent["messages"][1] == assistant({"reasoningContent": SIGNED}, text("Changed"), *USES)


@pytest.mark.parametrize("data", ["", "{", "{}", "[null]", "[-1]", '["x"]', '[{"text":"x"}]', "[true]"])  # fmt: skip
def test_a_damaged_state_is_told(data: str) -> None:
    with pytest.raises(InvalidRequestError, match="provider_state for Bedrock is damaged"):
        chat(HELLO, thinker(data), HELLO)


def test_thoughts_that_nobody_signed_stay_here() -> None:
    message = ChatMessage(Role.ASSISTANT, "4", reasoning="2+2")
    assert chat(HELLO, message, HELLO)["messages"][1] == assistant(text("4"))


# -- What the answer must be -----------------------------------------------------------------------


def test_a_json_schema_goes_as_a_text() -> None:
    schema = {"type": "object", "properties": {"ö": {"type": "string"}}}
    form = ResponseFormat("json_schema", schema, "city")
    sent = body(replace(REQUEST, response_format=form, reasoning_effort="low"))["outputConfig"]
    definition = sent["textFormat"]["structure"]["jsonSchema"]
    assert json.loads(definition.pop("schema")) == schema
    assert sent == {
        "effort": "low",
        "textFormat": {
            "type": "json_schema",
            "structure": {"jsonSchema": {"name": "city"}},
        },
    }


ADAPTIVE = {"thinking": {"type": "adaptive", "display": "summarized"}}


@pytest.mark.parametrize(
    ("model", "effort", "output", "additional"),
    [
        ("deepseek.v3-v1:0", "high", {"effort": "high"}, None),
        (CLAUDE, "xhigh", {"effort": "xhigh"}, ADAPTIVE),
        ("anthropic.claude-sonnet-4-6", "low", {"effort": "low"}, ADAPTIVE),
        (CLAUDE, "none", None, {"thinking": {"type": "disabled"}}),
        ("us.amazon.nova-2-lite-v1:0", "medium", None,
         {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "medium"}}),
        ("us.amazon.nova-2-lite-v1:0", "none", None, {"reasoningConfig": {"type": "disabled"}}),
        ("openai.gpt-oss-120b-1:0", "low", None, {"reasoning_effort": "low"}),
        ("us.openai.gpt-5.6", "minimal", None, {"reasoning": {"effort": "minimal"}}),
    ],
)  # fmt: skip
def test_how_much_to_think(model: str, effort: str, output: Any, additional: Any) -> None:
    sent = body(replace(REQUEST, model=model, reasoning_effort=effort))
    assert sent.get("outputConfig") == output
    assert sent.get("additionalModelRequestFields") == additional


@pytest.mark.parametrize(
    ("limit", "profile", "budget"),
    [(9_000, None, 4_500), (None, 40_000, 8_192), (None, None, 8_192), (2_048, 40_000, 1_024)],
)
@pytest.mark.parametrize(
    "model",
    ["eu.anthropic.claude-haiku-4-5-20251001-v1:0", "anthropic.claude-3-7-sonnet-20250219-v1:0"],
)
def test_older_claude_thinks_within_a_budget(
    model: str, limit: int | None, profile: int | None, budget: int
) -> None:
    request = replace(REQUEST, model=model, sampling=Sampling(limit), reasoning_effort="medium")
    sent = body(request, ModelProfile(max_output_tokens=profile))
    assert sent["additionalModelRequestFields"] == {
        "thinking": {"type": "enabled", "budget_tokens": budget}
    }


# -- What cannot be said ---------------------------------------------------------------------------

GO_ON: dict[str, Any] = {
    "messages": (HELLO, ChatMessage.assistant("The")),
    "continue_final_message": True,
}


def test_an_answer_is_continued() -> None:
    request = replace(REQUEST, model=CLAUDE, **GO_ON)
    assert body(request)["messages"][-1] == assistant(text("The"))


@pytest.mark.parametrize(
    ("parameter", "options"),
    [
        ("seed", {"sampling": Sampling(seed=1)}),
        ("temperature", {"sampling": Sampling(temperature=1.5)}),
        ("top_logprobs", {"top_logprobs": 0}),
        ("response_format", {"response_format": ResponseFormat("json_object")}),
        ("response_format", {"response_format": ResponseFormat("json_schema", {}), **GO_ON}),
        ("reasoning_effort", {"reasoning_effort": "low", **GO_ON}),
        ("reasoning_effort", {"reasoning_effort": "much"}),
        ("reasoning_effort", {"reasoning_effort": "none"}),
        ("reasoning_effort", {"reasoning_effort": "max", "model": "us.amazon.nova-2-lite-v1:0"}),
        ("reasoning_effort", {"reasoning_effort": "max", "model": "anthropic.claude-haiku-4-5"}),
        ("reasoning_effort", {"reasoning_effort": "low", "model": "anthropic.claude-haiku-4-5",
                              "sampling": Sampling(2_047)}),
        ("continue_final_message", {**GO_ON, "messages": (HELLO, ChatMessage.assistant("The ")), "model": CLAUDE}),
        ("continue_final_message", {**GO_ON, "messages": (HELLO, ChatMessage.assistant("The", CALLS))}),
        ("continue_final_message", {**GO_ON, "messages": (HELLO, ChatMessage.assistant(""))}),
        (None, {"messages": (HELLO, ChatMessage.assistant("The"))}),
        (None, {"messages": (ChatMessage.system("Be brief."),)}),
        (None, {"messages": (), "prompt": "Once"}),
        (None, {"messages": (ChatMessage.user([ImagePart("https://example.org/a.png")]),)}),
        (None, {"messages": (ChatMessage.user([ImagePart("data:image/bmp;base64,AAAA")]),)}),
        (None, {"messages": (ChatMessage.user([ImagePart("data:image/png,AAAA")]),)}),
        (None, {"messages": (HELLO, ChatMessage(Role.ASSISTANT, (IMAGE,)), HELLO)}),
        (None, {"messages": (ChatMessage(Role.SYSTEM, (IMAGE,)), HELLO)}),
    ],
)  # fmt: skip
def test_what_is_refused(parameter: str | None, options: dict[str, Any]) -> None:
    request = replace(REQUEST, **options)
    with pytest.raises(UnsupportedParameterError) as caught:
        DIALECT.encode(request)
    assert caught.value.parameter == parameter


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (ChatMessage.assistant("", [ToolCall("a", "f", "[1]")]), "no JSON object"),
        (ChatMessage.assistant("", [ToolCall("a", "f", "{")]), "no JSON object"),
        (ChatMessage(Role.TOOL, "Rain"), "tool_call_id"),
        (ChatMessage.user([ImagePart("data:image/png;base64,A")]), "no base64"),
        (ChatMessage.user([ImagePart("data:image/png;base64,")]), "no base64"),
        (ChatMessage.user("\ud800"), "cannot be written"),
    ],
)
def test_what_cannot_be_read(message: ChatMessage, said: str) -> None:
    with pytest.raises(InvalidRequestError, match=said):
        chat(HELLO, message, HELLO)


# -- Counting --------------------------------------------------------------------------------------


def test_a_count_takes_what_makes_up_the_prompt() -> None:
    request = ChatRequest(
        model=CLAUDE,
        messages=(ChatMessage.system("Be brief."), HELLO),
        tools=(NOW,),
        sampling=Sampling(9),
        reasoning_effort="low",
    )
    call = DIALECT.count_tokens(request).call
    assert call.path == "/model/us.anthropic.claude-opus-5-5/count-tokens"
    assert json.loads(call.body) == {
        "input": {
            "converse": {
                "messages": [user(text("Hello"))],
                "system": [text("Be brief.")],
                "toolConfig": {"tools": SPECS[1:]},
                "additionalModelRequestFields": ADAPTIVE,
            }
        }
    }
    with pytest.raises(UnsupportedParameterError):
        DIALECT.count_tokens(ChatRequest(model=CLAUDE, prompt="Once"))


def test_there_is_no_list_of_models_and_no_health() -> None:
    assert DIALECT.list_models() is None
    assert DIALECT.health() is None
