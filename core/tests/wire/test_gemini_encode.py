"""Requests: what Gemini is sent. That Google's SDK sends the same is tested with the plugin."""

from __future__ import annotations

import json
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest

from andon.chat import ChatRequest, ResponseFormat, Sampling, Tool
from andon.errors import InvalidRequestError, UnsupportedParameterError
from andon.messages import ChatMessage, ImagePart, ProviderState, Role, TextPart, ToolCall
from andon.wire.gemini_generate import GeminiGenerateContent

PNG = "data:image/png;base64,iVBORw0KGgo="
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = Tool("weather", "Tell the weather.", SCHEMA)
TIME = Tool("time")
HELLO = (ChatMessage.user("Hello"),)
HELLO_WIRE = {"role": "user", "parts": [{"text": "Hello"}]}
DIALECT = GeminiGenerateContent("/projects/p/locations/global")


def chat(*messages: ChatMessage, **fields: Any) -> ChatRequest:
    return ChatRequest(**({"model": "gemini-2.5-flash", "messages": messages or HELLO} | fields))


def body(*messages: ChatMessage, **fields: Any) -> dict[str, Any]:
    return json.loads(DIALECT.encode(chat(*messages, **fields)).body)


def config(**fields: Any) -> Any:
    return body(**fields).get("generationConfig")


# -- Where it goes ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("gemini-3-pro", "/projects/p/locations/global/publishers/google/models/gemini-3-pro"),
        ("meta/llama-4", "/projects/p/locations/global/publishers/meta/models/llama-4"),
        (
            "publishers/google/models/gemini-3-pro",
            "/projects/p/locations/global/publishers/google/models/gemini-3-pro",
        ),
        ("projects/q/locations/us/endpoints/123", "/projects/q/locations/us/endpoints/123"),
    ],
)
def test_the_path_of_a_model(model: str, path: str) -> None:
    call = DIALECT.encode(chat(model=model))
    assert (call.method, call.path) == ("POST", f"{path}:generateContent")
    assert call.headers == {"content-type": "application/json"}


def test_a_stream_is_one_of_events() -> None:
    call = GeminiGenerateContent().encode(chat(stream=True))
    assert call.path == "/publishers/google/models/gemini-2.5-flash:streamGenerateContent?alt=sse"
    assert call.body == DIALECT.encode(chat()).body


@pytest.mark.parametrize("model", ["../x", "a?b", "a b", "", "a#b", "/a", "a//b", "a%2fb", "é"])
def test_names_that_no_model_has(model: str) -> None:
    with pytest.raises(InvalidRequestError, match="no name of a model"):
        DIALECT.encode(chat(model=model))


# -- Turns -----------------------------------------------------------------------------------------


def test_a_plain_request_is_compact() -> None:
    call = DIALECT.encode(chat(ChatMessage.user("é\u2028")))
    assert call.body.decode() == '{"contents":[{"role":"user","parts":[{"text":"é\u2028"}]}]}'


def test_instructions_stand_apart_wherever_they_were() -> None:
    sent = body(
        ChatMessage.system("Be brief."), *HELLO, ChatMessage.assistant("Hi"),
        ChatMessage.system("Be kind."), ChatMessage.user("Bye"),
    )  # fmt: skip
    assert sent["systemInstruction"] == {"parts": [{"text": "Be brief."}, {"text": "Be kind."}]}
    assert [turn["role"] for turn in sent["contents"]] == ["user", "model", "user"]


def test_messages_of_one_side_are_one_turn_and_empty_ones_are_none() -> None:
    sent = body(
        *HELLO, ChatMessage.user(""), ChatMessage.user("there"),
        ChatMessage.assistant("A"), ChatMessage.assistant(""), ChatMessage.assistant("B"), *HELLO,
    )  # fmt: skip
    assert sent["contents"] == [
        {"role": "user", "parts": [{"text": "Hello"}, {"text": "there"}]},
        {"role": "model", "parts": [{"text": "A"}, {"text": "B"}]},
        HELLO_WIRE,
    ]


def test_images() -> None:
    sent = body(
        ChatMessage.user(
            [
                TextPart("What?"), ImagePart(PNG), ImagePart("data:image/jpg;base64,AA=="),
                ImagePart("gs://bucket/a.webp"), ImagePart("https://example.org/a/B.JPG?x=1.png"),
            ]
        )
    )  # fmt: skip
    assert sent["contents"][0]["parts"] == [
        {"text": "What?"},
        {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}},
        {"inlineData": {"mimeType": "image/jpeg", "data": "AA=="}},
        {"fileData": {"mimeType": "image/webp", "fileUri": "gs://bucket/a.webp"}},
        {"fileData": {"mimeType": "image/jpeg", "fileUri": "https://example.org/a/B.JPG?x=1.png"}},
    ]


@pytest.mark.parametrize(
    "url",
    ["https://example.org/cat", "data:image/svg+xml,<svg/>", "ftp://x/a.png", "https://[a.png"],
)
def test_images_that_gemini_cannot_take(url: str) -> None:
    with pytest.raises(UnsupportedParameterError, match="Gemini takes an image") as caught:
        body(ChatMessage.user([ImagePart(url)]))
    assert caught.value.parameter is None


def test_an_image_among_the_instructions_is_refused() -> None:
    with pytest.raises(UnsupportedParameterError, match="no image among its instructions"):
        body(ChatMessage(Role.SYSTEM, (ImagePart(PNG),)), *HELLO)


CALLS = [ToolCall("c1", "weather", '{"city":"Köln"}'), ToolCall("c2", "time", "")]


def test_parallel_calls_and_their_results() -> None:
    sent = body(
        *HELLO,
        ChatMessage.assistant("Let me see.", CALLS),
        ChatMessage.tool("noon", "c2"),
        ChatMessage.tool('{"sky": "grau", "degrees": 4.5}', "c1"),
        tools=(WEATHER, TIME),
    )
    assert sent["contents"][1:] == [
        {
            "role": "model",
            "parts": [
                {"text": "Let me see."},
                {"functionCall": {"name": "weather", "args": {"city": "Köln"}}},
                {"functionCall": {"name": "time", "args": {}}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"name": "time", "response": {"output": "noon"}}},
                {
                    "functionResponse": {
                        "name": "weather", "response": {"sky": "grau", "degrees": 4.5}
                    }
                },
            ],
        },
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["[1]", "3", "NaN", '{"a": NaN}', "{", "", "{" * 100_000])
def test_a_result_that_is_no_object_becomes_one(text: str) -> None:
    sent = body(*HELLO, ChatMessage.assistant("", CALLS[:1]), ChatMessage.tool(text, "c1"))
    [part] = sent["contents"][2]["parts"]
    assert part["functionResponse"]["response"] == {"output": text}


def test_made_up_ids_that_repeat_mean_the_call_before() -> None:
    def step(name: str) -> tuple[ChatMessage, ChatMessage]:
        call = ToolCall("call_0", name, "{}")
        return ChatMessage.assistant("", [call]), ChatMessage.tool("done", "call_0")

    turns = body(*HELLO, *step("first"), *step("second"))["contents"]
    assert [turn["parts"][0]["functionResponse"]["name"] for turn in turns[2::2]] == [
        "first", "second"
    ]  # fmt: skip


def test_an_image_as_a_result() -> None:
    result = replace(ChatMessage.tool("", "c1"), content=(TextPart("see"), ImagePart(PNG)))
    sent = body(*HELLO, ChatMessage.assistant("", CALLS[:1]), result)
    assert sent["contents"][2]["parts"][0]["functionResponse"] == {
        "name": "weather",
        "response": {"output": "see"},
        "parts": [{"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}}],
    }


def test_a_result_without_its_call_needs_a_name() -> None:
    lost = ChatMessage.tool("sunny", "c9")
    with pytest.raises(InvalidRequestError, match="'c9', which no message before it makes"):
        body(*HELLO, lost)
    sent = body(*HELLO, replace(lost, name="weather"))
    assert sent["contents"][0]["parts"][1]["functionResponse"]["name"] == "weather"


@pytest.mark.parametrize("arguments", ["[1]", "{", "null", '{"a": Infinity}', "[" * 100_000])
def test_arguments_that_are_no_object(arguments: str) -> None:
    with pytest.raises(InvalidRequestError, match="'c1' of 'weather' are no JSON object"):
        body(*HELLO, ChatMessage.assistant("", [ToolCall("c1", "weather", arguments)]), *HELLO)


# -- What does not fit -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "messages",
    [(ChatMessage.system("x"),), (ChatMessage.assistant("Hi"), *HELLO), (ChatMessage.user(""),)],
)
def test_a_chat_begins_with_the_user(messages: tuple[ChatMessage, ...]) -> None:
    with pytest.raises(UnsupportedParameterError, match="begin with the user") as caught:
        body(*messages)
    assert caught.value.parameter is None


def test_an_assistants_last_message_is_continued_only_on_demand() -> None:
    messages = (*HELLO, ChatMessage.assistant("One, two,"))
    with pytest.raises(UnsupportedParameterError, match="continue_final_message=True") as caught:
        body(*messages)
    assert caught.value.parameter is None
    sent = body(*messages, continue_final_message=True)
    assert sent["contents"] == [HELLO_WIRE, {"role": "model", "parts": [{"text": "One, two,"}]}]


@pytest.mark.parametrize(
    "last",
    [ChatMessage.assistant(" \n"), ChatMessage.assistant(""), ChatMessage.assistant("Hi", CALLS)],
)
def test_what_cannot_be_continued(last: ChatMessage) -> None:
    with pytest.raises(UnsupportedParameterError) as caught:
        body(*HELLO, last, continue_final_message=True)
    assert caught.value.parameter == "continue_final_message"


def test_raw_prompts_are_refused() -> None:
    raw = ChatRequest(model="gemini-3-pro", prompt="Once")
    for ask in (DIALECT.encode, DIALECT.count_tokens):
        with pytest.raises(UnsupportedParameterError, match="no raw prompt") as caught:
            ask(raw)
        assert caught.value.parameter is None


# -- Tools, form and sampling ----------------------------------------------------------------------


def test_tools_are_declared_with_their_json_schemas() -> None:
    sent = body(tools=(WEATHER, TIME))
    assert sent["tools"] == [
        {
            "functionDeclarations": [
                {
                    "name": "weather", "description": "Tell the weather.",
                    "parametersJsonSchema": SCHEMA,
                },
                {"name": "time"},
            ]
        }
    ]  # fmt: skip
    assert "toolConfig" not in sent


@pytest.mark.parametrize(
    ("choice", "calling"),
    [
        ("none", {"mode": "NONE"}),
        ("required", {"mode": "ANY"}),
        ("time", {"mode": "ANY", "allowedFunctionNames": ["time"]}),
    ],
)
def test_tool_choice(choice: str, calling: dict[str, Any]) -> None:
    sent = body(tools=(WEATHER, TIME), tool_choice=choice)
    assert sent["toolConfig"] == {"functionCallingConfig": calling}


def test_a_choice_without_tools_is_not_sent() -> None:
    assert "toolConfig" not in body(tool_choice="none")


def test_sampling() -> None:
    sampling = Sampling(99, temperature=0, top_p=0.5, stop=("END", "\n"), seed=7)
    assert config(sampling=sampling) == {
        "temperature": 0, "topP": 0.5, "maxOutputTokens": 99, "stopSequences": ["END", "\n"], "seed": 7
    }  # fmt: skip
    assert config() is None


@pytest.mark.parametrize(
    ("top", "sent"),
    [(0, {"responseLogprobs": True}), (3, {"responseLogprobs": True, "logprobs": 3})],
)
def test_logprobs(top: int, sent: dict[str, Any]) -> None:
    assert config(top_logprobs=top) == sent


def test_forms() -> None:
    assert config(response_format=ResponseFormat("json_object")) == {
        "responseMimeType": "application/json"
    }
    frozen = MappingProxyType(SCHEMA)
    assert config(response_format=ResponseFormat("json_schema", frozen)) == {
        "responseMimeType": "application/json", "responseJsonSchema": SCHEMA
    }  # fmt: skip


# -- Thinking --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "effort", "thinking"),
    [
        ("gemini-2.5-flash", "low", {"thinkingBudget": 1024, "includeThoughts": True}),
        ("gemini-2.5-pro", "high", {"thinkingBudget": 24576, "includeThoughts": True}),
        ("publishers/google/models/gemini-2.5-flash-lite", "none", {"thinkingBudget": 0}),
        ("gemini-3-pro-preview", "low", {"thinkingLevel": "LOW", "includeThoughts": True}),
        ("gemini-3.5-flash", "minimal", {"thinkingLevel": "MINIMAL", "includeThoughts": True}),
        ("gemini-flash-latest", "high", {"thinkingLevel": "HIGH", "includeThoughts": True}),
        ("gemini-4-argon", "xhigh", {"thinkingLevel": "XHIGH", "includeThoughts": True}),
        (
            "projects/p/locations/l/endpoints/1",
            "low",
            {"thinkingLevel": "LOW", "includeThoughts": True},
        ),
    ],
)
def test_effort_is_a_level_or_a_budget(model: str, effort: str, thinking: dict[str, Any]) -> None:
    assert config(model=model, reasoning_effort=effort) == {"thinkingConfig": thinking}


@pytest.mark.parametrize(
    ("model", "effort"),
    [
        ("gemini-2.0-flash", "low"), ("gemini-2.5-pro", "none"), ("gemini-2.5-flash", "xhigh"),
        ("gemini-3-pro", "none"), ("gemini-3-pro", "max"),
    ],
)  # fmt: skip
def test_efforts_that_a_model_does_not_take(model: str, effort: str) -> None:
    with pytest.raises(UnsupportedParameterError, match=effort) as caught:
        config(model=model, reasoning_effort=effort)
    assert caught.value.parameter == "reasoning_effort"


# -- Signatures ------------------------------------------------------------------------------------


def state(*pieces: dict[str, Any]) -> tuple[ProviderState, ...]:
    return (ProviderState("gemini-generate-content", json.dumps(pieces)),)


def model_parts(message: ChatMessage, **fields: Any) -> list[dict[str, Any]]:
    return body(*HELLO, message, *HELLO, **fields)["contents"][1]["parts"]


SIGNED = replace(
    ChatMessage.assistant("Let me see. Wait.", CALLS),
    reasoning="Hm. Ah!",
    provider_state=state(
        {"thought": 3}, {"thought": 4, "signature": "T"}, {"text": 11}, {"text": 6, "signature": "S"},
        {"text": 0, "signature": "E"}, {"call": "g1", "signature": "C"}, {"call": ""},
    ),
)  # fmt: skip


def test_signatures_go_back_on_the_parts_that_they_came_with() -> None:
    assert model_parts(SIGNED, model="gemini-3-pro") == [
        {"text": " Ah!", "thought": True, "thoughtSignature": "T"},
        {"text": "Let me see."},
        {"text": " Wait.", "thoughtSignature": "S"},
        {"text": "", "thoughtSignature": "E"},
        {
            "functionCall": {"name": "weather", "args": {"city": "Köln"}, "id": "g1"},
            "thoughtSignature": "C",
        },
        {"functionCall": {"name": "time", "args": {}}},
    ]


def test_a_result_repeats_the_id_that_gemini_gave_and_no_other() -> None:
    sent = body(*HELLO, SIGNED, ChatMessage.tool("a", "c1"), ChatMessage.tool("b", "c2"))
    results = [part["functionResponse"] for part in sent["contents"][2]["parts"]]
    assert [result.get("id") for result in results] == ["g1", None]


def test_of_an_edited_answer_only_the_calls_are_signed() -> None:
    edited = replace(SIGNED, content="Let me look.", reasoning=None)
    assert model_parts(edited, model="gemini-3-pro") == [
        {"text": "Let me look."},
        {
            "functionCall": {"name": "weather", "args": {"city": "Köln"}, "id": "g1"},
            "thoughtSignature": "C",
        },
        {"functionCall": {"name": "time", "args": {}}},
    ]
    no_thoughts = model_parts(replace(SIGNED, reasoning=None))
    assert no_thoughts == model_parts(SIGNED)[1:]


@pytest.mark.parametrize(
    ("model", "signature"),
    [
        ("gemini-3-pro", "skip_thought_signature_validator"),
        ("gemini-pro-latest", "skip_thought_signature_validator"),
        ("gemini-2.5-pro", None),
        ("gemini-pro", None),
        ("projects/p/locations/l/endpoints/1", None),
    ],
)
@pytest.mark.parametrize(
    "states",
    [
        (),
        (ProviderState("anthropic-messages", '[{"type": "thinking"}]'),),
        state({"call": "g1", "signature": "C"}),  # of an answer with another number of calls
    ],
)
def test_calls_that_gemini_did_not_make(
    model: str, signature: str | None, states: tuple[ProviderState, ...]
) -> None:
    foreign = replace(ChatMessage.assistant("", CALLS), provider_state=states)
    first, second = model_parts(foreign, model=model)
    assert first.get("thoughtSignature") == signature
    assert "thoughtSignature" not in second
    assert "id" not in first["functionCall"]


@pytest.mark.parametrize(
    "data", ["{", "{}", "[1]", '[{"text": -1}]', '[{"text": true}]', '[{"call": 1}]', "[" * 100_000,
             '[{"text": 1, "signature": 1}]', "[{}]"],
)  # fmt: skip
def test_damaged_state_is_refused(data: str) -> None:
    damaged = replace(
        ChatMessage.assistant("Hi"),
        provider_state=(ProviderState("gemini-generate-content", data),),
    )
    with pytest.raises(InvalidRequestError, match="damaged"):
        model_parts(damaged)


# -- Questions -------------------------------------------------------------------------------------


def test_counting_sends_what_makes_up_the_prompt() -> None:
    request = chat(
        ChatMessage.system("Be brief."), *HELLO, tools=(TIME,), tool_choice="required",
        sampling=Sampling(5),
    )  # fmt: skip
    call = DIALECT.count_tokens(request).call
    assert call.path.endswith("/publishers/google/models/gemini-2.5-flash:countTokens")
    assert json.loads(call.body) == {
        "contents": [HELLO_WIRE],
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "tools": [{"functionDeclarations": [{"name": "time"}]}],
    }


def test_models_are_asked_for_without_a_project() -> None:
    call = DIALECT.list_models().call
    assert (call.method, call.path, call.body) == ("GET", "/publishers/google/models", b"")
    assert DIALECT.health() is None


@pytest.mark.parametrize("value", [float("nan"), object(), "\ud800"])
def test_what_is_no_json_is_refused(value: object) -> None:
    with pytest.raises(InvalidRequestError, match="cannot be written as JSON"):
        body(tools=(Tool("f", "", {"default": value}),))
