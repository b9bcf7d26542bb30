"""Requests of OpenAI's Responses: what goes over the wire."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from andon.chat import ChatRequest, ResponseFormat, Sampling, Tool
from andon.errors import InvalidRequestError, SettingsError, UnsupportedParameterError
from andon.messages import ChatMessage, ImagePart, ProviderState, TextPart, ToolCall
from andon.specs import BackendContext, ModelProfile
from andon.wire.dialect import HTTPReply
from andon.wire.openai_responses import OpenAIResponses, responses_dialect

HELLO = (ChatMessage.user("Hello"),)
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
WEATHER = Tool("weather", "Tell the weather.", SCHEMA)
CALL = ToolCall("call_1", "weather", '{"city":"Rome"}')
THINKER = ModelProfile(sampling=False, system_role="developer")


def chat(**fields: Any) -> ChatRequest:
    return ChatRequest(**({"model": "m", "messages": HELLO} | fields))


def body(request: ChatRequest, profile: ModelProfile = ModelProfile(), **dialect: Any) -> Any:  # noqa: B008
    return json.loads(OpenAIResponses(**dialect).encode(request, profile).body)


def test_a_plain_request() -> None:
    call = OpenAIResponses().encode(chat())
    assert (call.method, call.path) == ("POST", "/responses")
    assert call.body.decode() == (
        '{"model":"m","input":[{"role":"user","content":"Hello"}],"store":false}'
    )


def test_the_first_instructions_stand_apart_and_later_ones_in_the_chat() -> None:
    system = ChatMessage.system("Be brief.")
    later = ChatMessage.system("Now be long.")
    sent = body(chat(messages=(system, *HELLO, later)), THINKER)
    assert sent["instructions"] == "Be brief."
    assert sent["input"][1:] == [{"role": "developer", "content": "Now be long."}]
    # Without anything else to answer, they are the input.
    assert body(chat(messages=(system,)))["input"] == [{"role": "system", "content": "Be brief."}]


def test_images() -> None:
    parts = [TextPart("What?"), ImagePart("https://x.test/a.png", "low"), ImagePart("data:,a")]
    [message] = body(chat(messages=(ChatMessage.user(parts),)))["input"]
    assert message["content"] == [
        {"type": "input_text", "text": "What?"},
        {"type": "input_image", "image_url": "https://x.test/a.png", "detail": "low"},
        {"type": "input_image", "image_url": "data:,a", "detail": "auto"},
    ]


def test_calls_and_their_results() -> None:
    messages = (*HELLO, ChatMessage.assistant("Wait.", [CALL]), ChatMessage.tool("sunny", "call_1"))
    assert body(chat(messages=messages))["input"][1:] == [
        {"role": "assistant", "content": "Wait."},
        {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": CALL.arguments},
        {"type": "function_call_output", "call_id": "call_1", "output": "sunny"},
    ]  # fmt: skip


def test_tools_are_flat_and_say_whether_they_are_strict() -> None:
    sent = body(chat(tools=(WEATHER, Tool("time", strict=True)), tool_choice="time"))
    assert sent["tools"] == [
        {
            "type": "function", "name": "weather", "description": "Tell the weather.",
            "parameters": SCHEMA, "strict": False,
        },
        {
            "type": "function", "name": "time",
            "parameters": {"type": "object", "properties": {}}, "strict": True,
        },
    ]  # fmt: skip
    assert sent["tool_choice"] == {"type": "function", "name": "time"}


@pytest.mark.parametrize("choice", ["none", "required"])
def test_tool_choice(choice: str) -> None:
    assert body(chat(tools=(WEATHER,), tool_choice=choice))["tool_choice"] == choice
    assert "tool_choice" not in body(chat(tools=(WEATHER,)))
    assert "tool_choice" not in body(chat(tool_choice="none"))


def test_forms_of_the_answer() -> None:
    form = ResponseFormat("json_schema", SCHEMA, "place")
    assert body(chat(response_format=form))["text"] == {
        "format": {"type": "json_schema", "name": "place", "schema": SCHEMA, "strict": True}
    }
    form = ResponseFormat("json_object")
    assert body(chat(response_format=form))["text"] == {"format": {"type": "json_object"}}


def test_sampling() -> None:
    sent = body(chat(sampling=Sampling(99, temperature=0, top_p=0.5), stream=True))
    assert sent | {"input": 0} == {
        "model": "m", "input": 0, "max_output_tokens": 99, "temperature": 0, "top_p": 0.5,
        "stream": True, "store": False,
    }  # fmt: skip


def test_log_probabilities() -> None:
    sent = body(chat(top_logprobs=0))
    assert (sent["top_logprobs"], sent["include"]) == (0, ["message.output_text.logprobs"])


@pytest.mark.parametrize(
    ("effort", "profile", "reasons"),
    [
        (None, ModelProfile(), False),
        (None, THINKER, True),
        (None, ModelProfile(reasoning_efforts=("low",)), True),
        (None, ModelProfile(reasoning_efforts=()), False),
        ("low", ModelProfile(), True),
        ("none", THINKER, False),
    ],
)
def test_thoughts_are_asked_for_where_the_model_has_some(
    effort: str | None, profile: ModelProfile, reasons: bool
) -> None:
    sent = body(chat(reasoning_effort=effort), profile, summary="auto")
    assert sent.get("include") == (["reasoning.encrypted_content"] if reasons else None)
    wanted = ({"effort": effort} if effort else {}) | ({"summary": "auto"} if reasons else {})
    assert sent.get("reasoning", {}) == wanted


@pytest.mark.parametrize(
    ("request_", "parameter"),
    [
        (chat(sampling=Sampling(seed=1)), "seed"),
        (chat(sampling=Sampling(stop=("END",))), "stop"),
        (
            chat(messages=(*HELLO, ChatMessage.assistant("Hi")), continue_final_message=True),
            "continue_final_message",
        ),
        (ChatRequest(model="m", prompt="Once"), None),
        (
            chat(messages=(*HELLO, replace(HELLO[0], role="assistant", content=(ImagePart("data:,"),)))),
            None,
        ),
    ],
)  # fmt: skip
def test_what_the_protocol_cannot_say_is_refused(
    request_: ChatRequest, parameter: str | None
) -> None:
    with pytest.raises(UnsupportedParameterError, match="Responses") as caught:
        OpenAIResponses().encode(request_)
    assert caught.value.parameter == parameter


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="cannot be written as JSON"):
        OpenAIResponses().encode(chat(tools=(Tool("f", "", {"default": float("nan")}),)))


# -- What goes back unchanged ----------------------------------------------------------------------

ITEMS = [
    {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "c2VhbGVk"},
    {
        "type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
        "phase": "commentary",
        "content": [{"type": "output_text", "text": "Wait.", "annotations": []}],
    },
    {
        "type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "weather",
        "arguments": CALL.arguments, "status": "completed",
    },
]  # fmt: skip
ANSWER = {"id": "resp_1", "status": "completed", "output": ITEMS}


def state_of(answer: Any) -> tuple[ProviderState, ...]:
    reply = HTTPReply(status=200, headers={}, body=json.dumps(answer).encode())
    [delta] = OpenAIResponses().decode(reply)
    return delta.provider_state


def test_an_answer_goes_back_as_it_came() -> None:
    nothing = {"status": None, "content": None}
    [state] = state_of(ANSWER | {"output": [ITEMS[0] | nothing, *ITEMS[1:]]})
    message = replace(ChatMessage.assistant("Wait.", [CALL]), provider_state=(state,))
    assert body(chat(messages=(*HELLO, message)))["input"][1:] == ITEMS


@pytest.mark.parametrize(
    "changes",
    [
        {"content": "Stop."},
        {"tool_calls": ()},
        {"provider_state": (ProviderState("anthropic", "[]"),)},
        {"provider_state": (ProviderState("openai-responses", "{oops"),)},
        {"provider_state": (ProviderState("openai-responses", "[1]"),)},
        {"provider_state": (ProviderState("openai-responses", '[{"type":"function_call"}]'),)},
    ],
)
def test_what_no_longer_says_the_same_goes_back_as_it_stands(changes: Any) -> None:
    message = replace(ChatMessage.assistant("Wait.", [CALL]), provider_state=state_of(ANSWER))
    message = replace(message, **changes)
    sent = body(chat(messages=(*HELLO, message)))["input"][1:]
    assert sent[0] == {"role": "assistant", "content": message.content}
    assert [item["call_id"] for item in sent[1:]] == [call.id for call in message.tool_calls]


def test_nothing_is_kept_where_there_is_nothing_to_keep() -> None:
    plain = {name: value for name, value in ITEMS[1].items() if name != "phase"}
    # Thoughts that are stored nowhere and not encrypted are unknown to the server.
    lost = {"type": "reasoning", "id": "rs_1", "summary": []}
    assert state_of(ANSWER | {"output": [lost, plain, ITEMS[2]]}) == ()


# -- Settings, and questions besides the chat ------------------------------------------------------


def test_the_summary_is_a_setting() -> None:
    dialect = responses_dialect()(BackendContext(options={"reasoning_summary": "concise"}))
    sent = json.loads(dialect.encode(chat(reasoning_effort="low")).body)
    assert sent["reasoning"] == {"effort": "low", "summary": "concise"}
    with pytest.raises(SettingsError, match=r'"auto", "concise", "detailed", not .long'):
        responses_dialect()(BackendContext(options={"reasoning_summary": "long"}))


def test_tokens_are_counted_of_the_prompt_alone() -> None:
    system = ChatMessage.system("Be brief.")
    sampling = Sampling(9, temperature=0.5, stop=("END",), seed=1)
    request = chat(messages=(system, *HELLO), tools=(WEATHER,), sampling=sampling, stream=True)
    query = OpenAIResponses(headers={"openai-project": "p"}).count_tokens(request)
    assert query is not None
    assert (query.call.method, query.call.path) == ("POST", "/responses/input_tokens")
    assert query.call.headers["openai-project"] == "p"
    assert set(json.loads(query.call.body)) == {"model", "instructions", "input", "tools"}
    counted = b'{"object":"response.input_tokens","input_tokens":37}'
    assert query.read(HTTPReply(status=200, headers={}, body=counted)) == 37
    with pytest.raises(ValueError, match="no number"):
        query.read(HTTPReply(status=200, headers={}, body=b'{"input_tokens":"37"}'))
    assert OpenAIResponses().count_tokens(ChatRequest(model="m", prompt="Once")) is None
