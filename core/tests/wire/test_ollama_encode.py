"""Requests in Ollama's form: every field where the server looks for it, and what it cannot say."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from andon.chat import ChatRequest, ResponseFormat, Sampling, Tool
from andon.errors import (
    BackendError,
    InvalidRequestError,
    PrivacyViolation,
    SettingsError,
    UnsupportedParameterError,
)
from andon.messages import ChatMessage, ImagePart, Role, TextPart, ToolCall
from andon.specs import BackendContext
from andon.wire.dialect import HTTPReply
from andon.wire.ollama import OllamaChat, OllamaOptions, is_cloud, ollama_dialect

HELLO = ChatRequest(model="llama3.1:8b", messages=(ChatMessage.user("Hello"),))
RAW = ChatRequest(model="llama3.1:8b", prompt="Once")
WEATHER = Tool("weather", "Tells it.", {"type": "object", "properties": {"city": {}}})
PNG = "iVBORw0KGgo="


def body(request: ChatRequest, options: OllamaOptions | None = None) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(OllamaChat(options).encode(request).body)
    return read


def wire(*messages: ChatMessage) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = body(replace(HELLO, messages=messages))["messages"]
    return listed


# -- What is sent ---------------------------------------------------------------------------------


def test_the_least() -> None:
    call = OllamaChat().encode(HELLO)
    assert (call.method, call.path) == ("POST", "/api/chat")
    assert json.loads(call.body) == {
        "model": "llama3.1:8b",
        "messages": [{"role": "user", "content": "Hello"}],
        "truncate": False,
        "stream": False,
    }


def test_streaming_is_always_said() -> None:
    assert body(replace(HELLO, stream=True))["stream"] is True


def test_sampling() -> None:
    sampling = Sampling(9, temperature=0.0, top_p=0.5, stop=("END", "\n"), seed=0)
    assert body(replace(HELLO, sampling=sampling))["options"] == {
        "num_predict": 9,
        "temperature": 0.0,
        "top_p": 0.5,
        "stop": ["END", "\n"],
        "seed": 0,
    }


def test_settings() -> None:
    sent = body(HELLO, OllamaOptions(num_ctx=8192, keep_alive="5m"))
    assert (sent["options"], sent["keep_alive"]) == ({"num_ctx": 8192}, "5m")


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        (ResponseFormat("json_object"), "json"),
        (ResponseFormat("json_schema", {"type": "array"}), {"type": "array"}),
    ],
)
def test_formats(form: ResponseFormat, expected: object) -> None:
    assert body(replace(HELLO, response_format=form))["format"] == expected
    assert body(replace(RAW, response_format=form))["format"] == expected


@pytest.mark.parametrize(
    ("effort", "think"), [("none", False), ("low", "low"), ("high", "high"), ("max", "max")]
)
def test_reasoning(effort: str, think: object) -> None:
    assert body(replace(HELLO, reasoning_effort=effort))["think"] == think


def test_logprobs() -> None:
    assert body(replace(HELLO, top_logprobs=0))["logprobs"] is True
    assert "top_logprobs" not in body(replace(HELLO, top_logprobs=0))
    assert body(replace(RAW, top_logprobs=20))["top_logprobs"] == 20


def test_tools() -> None:
    sent = body(replace(HELLO, tools=(WEATHER,)))
    assert sent["tools"] == [WEATHER.to_openai()]
    assert "tools" not in body(replace(HELLO, tools=(WEATHER,), tool_choice="none"))


def test_calls_and_their_results() -> None:
    calls = (ToolCall("call_a", "weather", '{"city":"Köln"}'), ToolCall("", "time", ""))
    asked = ChatMessage(Role.ASSISTANT, "", tool_calls=calls, reasoning="Hm.")
    unknown = ChatMessage.tool("?", "call_x")
    named = ChatMessage(Role.TOOL, "12:00", name="time")
    assert wire(asked, ChatMessage.tool("sunny", "call_a"), named, unknown) == [
        {
            "role": "assistant",
            "content": "",
            "thinking": "Hm.",
            "tool_calls": [
                {
                    "id": "call_a",
                    "function": {"index": 0, "name": "weather", "arguments": {"city": "Köln"}},
                },
                {"function": {"index": 1, "name": "time", "arguments": {}}},
            ],
        },
        {"role": "tool", "content": "sunny", "tool_name": "weather", "tool_call_id": "call_a"},
        {"role": "tool", "content": "12:00", "tool_name": "time"},
        {"role": "tool", "content": "?", "tool_call_id": "call_x"},
    ]


def test_images_go_beside_the_text() -> None:
    parts = (TextPart("What"), ImagePart(f"data:image/png;base64,{PNG}"), TextPart(" is it?"))
    [message] = wire(ChatMessage.user(parts))
    assert message == {"role": "user", "content": "What is it?", "images": [PNG]}


def test_a_raw_prompt() -> None:
    call = OllamaChat().encode(replace(RAW, sampling=Sampling(stop=("a",)), stream=True))
    assert call.path == "/api/generate"
    assert json.loads(call.body) == {
        "model": "llama3.1:8b",
        "prompt": "Once",
        "raw": True,
        "options": {"stop": ["a"]},
        "truncate": False,
        "stream": True,
    }


def test_a_last_message_of_the_assistant_is_sent_as_it_is() -> None:
    assert wire(ChatMessage.user("2+2"), ChatMessage.assistant("It is"))[1] == {
        "role": "assistant",
        "content": "It is",
    }


# -- What cannot be said --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "parameter", "words"),
    [
        (replace(HELLO, tools=(WEATHER,), tool_choice="required"), "tool_choice", "force"),
        (replace(HELLO, tools=(WEATHER,), tool_choice="weather"), "tool_choice", "force"),
        (replace(HELLO, reasoning_effort="minimal"), "reasoning_effort", "low"),
        (replace(HELLO, top_logprobs=21), "top_logprobs", "20"),
        (replace(RAW, tools=(WEATHER,)), "tools", "raw prompt"),
        (replace(RAW, reasoning_effort="low"), "reasoning_effort", "raw prompt"),
        (replace(RAW, prompt=""), None, "empty"),
        (
            replace(HELLO, messages=(ChatMessage.user([ImagePart("https://x.example/a.png")]),)),
            None,
            "fetches none",
        ),
    ],
)
def test_refusals(request_: ChatRequest, parameter: str | None, words: str) -> None:
    with pytest.raises(UnsupportedParameterError, match=words) as caught:
        OllamaChat().encode(request_)
    assert caught.value.parameter == parameter


@pytest.mark.parametrize("arguments", ["{", "[]", "[" * 100_000])
def test_arguments_that_are_no_object(arguments: str) -> None:
    asked = ChatMessage.assistant("", [ToolCall("call_a", "weather", arguments)])
    with pytest.raises(InvalidRequestError, match="no JSON object"):
        OllamaChat().encode(replace(HELLO, messages=(asked,)))


# -- Continuing an answer -------------------------------------------------------------------------

BEGUN = replace(
    HELLO,
    messages=(*HELLO.messages, ChatMessage.assistant("Well, ")),
    sampling=Sampling(9, stop=("END",)),
    continue_final_message=True,
    stream=True,
)
CHATML = "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n"


def said(**fields: object) -> HTTPReply:
    return HTTPReply(status=200, headers={}, body=json.dumps(fields).encode())


def test_the_server_is_asked_how_it_writes_the_chat() -> None:
    call = OllamaChat().encode(BEGUN)
    assert call.path == "/api/chat"
    sent = json.loads(call.body)
    assert sent["messages"] == [{"role": "user", "content": "Hello"}]
    assert (sent["_debug_render_only"], sent["stream"], sent["think"]) == (True, False, False)


def test_the_answer_goes_on_behind_that() -> None:
    reply = said(message={}, done=False, _debug_info={"rendered_template": CHATML})
    call = OllamaChat(OllamaOptions(num_ctx=64)).follow_up(BEGUN, reply)
    assert call is not None
    assert call.path == "/api/generate"
    assert json.loads(call.body) == {
        "model": "llama3.1:8b",
        "prompt": f"{CHATML}Well, ",
        "raw": True,
        "options": {"num_predict": 9, "stop": ["END"], "num_ctx": 64},
        "truncate": False,
        "think": False,
        "stream": True,
    }


@pytest.mark.parametrize("info", [None, {}, {"rendered_template": None}, "text"])
def test_a_server_that_answers_instead(info: object) -> None:
    with pytest.raises(BackendError, match=r"0\.11\.5"):
        OllamaChat().follow_up(BEGUN, said(message={"content": "Hi"}, done=True, _debug_info=info))


@pytest.mark.parametrize("fields", [{"response": "", "done": True}, {"error": "no"}])
def test_nothing_follows_on_the_continuation(fields: dict[str, object]) -> None:
    assert OllamaChat().follow_up(BEGUN, said(**fields)) is None


@pytest.mark.parametrize(
    ("changes", "parameter"),
    [
        ({"tools": (WEATHER,)}, "tools"),
        ({"response_format": ResponseFormat("json_object")}, "response_format"),
        ({"reasoning_effort": "low"}, "reasoning_effort"),
        ({"messages": (ChatMessage.assistant("Well"),)}, "continue_final_message"),
        (
            {
                "messages": (
                    ChatMessage.user([ImagePart(f"data:image/png;base64,{PNG}")]),
                    ChatMessage.assistant("Well"),
                )
            },
            "continue_final_message",
        ),
    ],
)
def test_what_a_continuation_cannot_keep_to(changes: dict[str, Any], parameter: str) -> None:
    with pytest.raises(UnsupportedParameterError) as caught:
        OllamaChat().encode(replace(BEGUN, **changes))
    assert caught.value.parameter == parameter


# -- Settings -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "sent"), [("5m", "5m"), ("-1", -1), ("0", 0), ("1.5", 1.5), ("1h30m", "1h30m")]
)
def test_keep_alive(text: str, sent: object) -> None:
    dialect = ollama_dialect(
        BackendContext(options={"keep_alive": text}, offline=False, no_relay=False)
    )
    assert json.loads(dialect.encode(HELLO).body)["keep_alive"] == sent


@pytest.mark.parametrize(
    "options", [{"num_ctx": "8k"}, {"num_ctx": "0"}, {"num_ctx": 8192}, {"keep_alive": "soon"}]
)
def test_wrong_settings(options: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match=next(iter(options))):
        ollama_dialect(BackendContext(options=options))


# -- Where nothing may leave the machine ----------------------------------------------------------

GUARDED = OllamaChat(local_only=True)


def told(**fields: object) -> HTTPReply:
    body = {"details": {}, "model_info": {}, **fields}
    return HTTPReply(status=200, headers={}, body=json.dumps(body).encode())


@pytest.mark.parametrize("name", ["gpt-oss:120b-cloud", "kimi:CLOUD", "a/b:0731:cloud", "m:cloud "])
def test_names_of_the_cloud(name: str) -> None:
    assert is_cloud(name)
    with pytest.raises(PrivacyViolation, match="does not run"):
        GUARDED.encode(replace(HELLO, model=name))
    assert OllamaChat().encode(replace(HELLO, model=name)).path == "/api/chat"


@pytest.mark.parametrize("name", ["my-cloud", "cloud", "a:cloudy", "x:cloud/model", "llama3.1:8b"])
def test_other_names(name: str) -> None:
    assert not is_cloud(name)


def test_the_server_is_asked_before_it_gets_the_prompt() -> None:
    first = GUARDED.encode(HELLO)
    assert (first.path, json.loads(first.body)) == ("/api/show", {"model": "llama3.1:8b"})
    assert GUARDED.follow_up(HELLO, told()) == OllamaChat().encode(HELLO)
    assert GUARDED.encode(BEGUN).path == "/api/show"
    assert GUARDED.follow_up(BEGUN, told()) == OllamaChat().encode(BEGUN)


@pytest.mark.parametrize("field", ["remote_host", "remote_model"])
def test_an_alias_of_a_model_elsewhere_gets_no_prompt(field: str) -> None:
    with pytest.raises(PrivacyViolation, match=r"https://ollama\.com:443"):
        GUARDED.follow_up(HELLO, told(**{field: "https://ollama.com:443"}))


@pytest.mark.parametrize("answer", [b'{"message":{},"done":true}', b"[]", b"{}"])
def test_other_replies_are_no_statement(answer: bytes) -> None:
    reply = HTTPReply(status=200, headers={}, body=answer)
    assert GUARDED.follow_up(HELLO, reply) is None
    assert OllamaChat().follow_up(HELLO, told()) is None
