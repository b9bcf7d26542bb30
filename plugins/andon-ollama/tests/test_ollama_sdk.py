"""Ollama's own SDK as the judge: it sends what andon sends, and reads what the provider writes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest

from andon.chat import (
    ChatRequest,
    FinishReason,
    ResponseFormat,
    Sampling,
    TokenLogprob,
    Tool,
    Usage,
)
from andon.messages import ChatMessage, ImagePart, Role, TextPart, ToolCall
from andon.testing.provider import SampleAnswer
from andon.testing.providers.ollama import OllamaProvider
from andon.testing.server import ScriptedServer, respond, send_reply
from andon.wire.ollama import OllamaChat, OllamaOptions
from andon_ollama.host import parse_host

ollama = pytest.importorskip("ollama", reason="the official SDK is not installed")

PROVIDER = OllamaProvider()
PNG = "iVBORw0KGgo="
HELLO = ChatRequest(model="llama3.1", messages=(ChatMessage.user("Hello"),))
RAW = ChatRequest(model="llama3.1", prompt="Once")
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
WEATHER = Tool(
    "weather", "Tells it.", {"type": "object", "properties": {"city": {"type": "string"}}}
)
TIME = Tool("time", parameters={"type": "object", "properties": {}})
CALLS = (
    ToolCall("call_a", "weather", '{"city":"Köln"}'),
    ToolCall("call_b", "time", "{}"),
)

#: What andon says besides, and why.
ONLY_ANDON = {
    "truncate": "the SDK has no argument for it; without it long prompts are cut in silence",
    "id": "the SDK's type of a call has no id; templates that write ids need it",
    "index": "likewise; parallel calls are told apart by it",
    "tool_call_id": "likewise, for the result of a call",
}
#: Empty values that only one of the two sends, and why that is the same.
EMPTY = {
    "tools": ([], "the SDK's empty list of tools means none"),
    "content": ("", "the SDK leaves an empty text out, the server's type of a message has one"),
}

USER = {"role": "user", "content": "Hello"}
CHATS: dict[str, tuple[ChatRequest, dict[str, Any]]] = {
    "plain": (HELLO, {}),
    "stream": (replace(HELLO, stream=True), {"stream": True}),
    "system": (
        replace(HELLO, messages=(ChatMessage.system("Be brief."), *HELLO.messages)),
        {"messages": [{"role": "system", "content": "Be brief."}, USER]},
    ),
    "image": (
        replace(
            HELLO,
            messages=(
                ChatMessage.user([TextPart("What?"), ImagePart(f"data:image/png;base64,{PNG}")]),
            ),
        ),
        {"messages": [{"role": "user", "content": "What?", "images": [PNG]}]},
    ),
    "tools": (
        replace(HELLO, tools=(WEATHER, TIME)),
        {"tools": [WEATHER.to_openai(), TIME.to_openai()]},
    ),
    "tools that are not to be used": (replace(HELLO, tools=(TIME,), tool_choice="none"), {}),
    "parallel calls and their results": (
        replace(
            HELLO,
            messages=(
                *HELLO.messages,
                ChatMessage.assistant("", CALLS),
                ChatMessage.tool("sunny", "call_a"),
                ChatMessage.tool("12:00", "call_b"),
            ),
            tools=(WEATHER,),
        ),
        {
            "messages": [
                USER,
                {
                    "role": "assistant",
                    "content": "",
                    "tool_calls": [
                        {"function": {"name": "weather", "arguments": {"city": "Köln"}}},
                        {"function": {"name": "time", "arguments": {}}},
                    ],
                },
                {"role": "tool", "content": "sunny", "tool_name": "weather"},
                {"role": "tool", "content": "12:00", "tool_name": "time"},
            ],
            "tools": [WEATHER.to_openai()],
        },
    ),
    "JSON": (replace(HELLO, response_format=ResponseFormat("json_object")), {"format": "json"}),
    "JSON schema": (
        replace(HELLO, response_format=ResponseFormat("json_schema", SCHEMA)),
        {"format": SCHEMA},
    ),
    "reasoning": (replace(HELLO, reasoning_effort="high"), {"think": "high"}),
    "no reasoning": (replace(HELLO, reasoning_effort="none"), {"think": False}),
    "thoughts that go back": (
        replace(
            HELLO,
            messages=(
                *HELLO.messages,
                ChatMessage(Role.ASSISTANT, "Hi", reasoning="Hm."),
                *HELLO.messages,
            ),
        ),
        {"messages": [USER, {"role": "assistant", "content": "Hi", "thinking": "Hm."}, USER]},
    ),
    "sampling and stop": (
        replace(HELLO, sampling=Sampling(9, temperature=0.5, top_p=0.9, stop=("END",), seed=1)),
        {
            "options": {
                "num_predict": 9,
                "temperature": 0.5,
                "top_p": 0.9,
                "stop": ["END"],
                "seed": 1,
                "num_ctx": 4096,
            },
            "keep_alive": "5m",
        },
    ),
    "log probabilities": (
        replace(HELLO, top_logprobs=3, stream=True),
        {"logprobs": True, "top_logprobs": 3, "stream": True},
    ),
}
PROMPTS: dict[str, tuple[ChatRequest, dict[str, Any]]] = {
    "a raw prompt": (RAW, {}),
    "a raw prompt, streamed, with an end": (
        replace(RAW, stream=True, sampling=Sampling(stop=("END",))),
        {"stream": True, "options": {"stop": ["END"]}},
    ),
}


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        yield server


@pytest.fixture
def client(server: ScriptedServer) -> Iterator[Any]:
    with ollama.Client(host=server.url) as client:
        yield client


def without(value: Any) -> Any:
    """Return a body without the differences that are listed."""
    if isinstance(value, list):
        return [without(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        name: without(inner)
        for name, inner in value.items()
        if name not in ONLY_ANDON and not (name in EMPTY and inner == EMPTY[name][0])
    }


@pytest.mark.parametrize("name", [*CHATS, *PROMPTS])
def test_the_sdk_sends_the_same(server: ScriptedServer, client: Any, name: str) -> None:
    raw = name in PROMPTS
    request, arguments = (PROMPTS if raw else CHATS)[name]
    asked = json.dumps({"stream": request.stream}).encode()
    answer = PROVIDER.route("POST", "/api/generate", asked, SampleAnswer()) if raw else None
    server.says([send_reply(answer or PROVIDER.whole(SampleAnswer()))])
    if raw:
        given = client.generate(model="llama3.1", prompt="Once", raw=True, **arguments)
    else:
        given = client.chat(**{"model": "llama3.1", "messages": [USER], **arguments})
    if request.stream:
        list(given)
    sized = "sampling" in name
    dialect = OllamaChat(OllamaOptions(num_ctx=4096, keep_alive="5m") if sized else None)
    call = dialect.encode(request)
    [sent] = server.requests
    assert (sent.method, sent.target) == (call.method, call.path)
    assert sent.headers["content-type"] == call.headers["content-type"]
    assert sent.headers["accept"] in call.headers["accept"]
    assert without(json.loads(call.body)) == without(sent.json())


@pytest.mark.parametrize("host", ["", "1.2.3.4", ":5", "http://x", "https://x:9/p/", "[::2]:7/a"])
def test_the_sdk_reads_the_host_in_the_same_way(host: str) -> None:
    with ollama.Client(host=host) as client:
        told, read = urlsplit(str(client._client.base_url)), urlsplit(parse_host(host))
    assert (told.scheme, told.hostname, told.path.strip("/")) == (
        read.scheme,
        read.hostname,
        read.path.strip("/"),
    )
    usual = {"http": 80, "https": 443}[read.scheme]
    assert (told.port or usual) == (read.port or usual)


# -- What the provider writes ----------------------------------------------------------------------

ANSWER = SampleAnswer(
    text=("So", "!"),
    reasoning=("Hm",),
    tool_calls=CALLS,
    finish_reason=FinishReason.TOOL_CALLS,
    usage=Usage(12, 5),
    logprobs=(TokenLogprob("So", -0.5, (("So", -0.5), ("No", -1.0))), TokenLogprob("!", -0.1)),
)


def check_calls(calls: Any) -> None:
    assert [(call.function.name, dict(call.function.arguments)) for call in calls] == [
        (call.name, json.loads(call.arguments)) for call in CALLS
    ]


def test_the_sdk_reads_a_whole_answer(server: ScriptedServer, client: Any) -> None:
    server.says([send_reply(PROVIDER.whole(ANSWER))])
    answer = client.chat(model="m", messages=[USER])
    assert (answer.message.content, answer.message.thinking) == ("So!", "Hm")
    check_calls(answer.message.tool_calls)
    assert (answer.done, answer.done_reason) == (True, "stop")
    assert (answer.prompt_eval_count, answer.eval_count) == (12, 5)
    assert [one.logprob for one in answer.logprobs] == [-0.5, -0.1]
    assert [one.token for one in answer.logprobs[0].top_logprobs] == ["So", "No"]


def test_the_sdk_reads_a_stream(server: ScriptedServer, client: Any) -> None:
    server.says([respond(200, PROVIDER.stream(ANSWER).body, "application/x-ndjson")])
    parts = list(client.chat(model="m", messages=[USER], stream=True))
    assert "".join(part.message.content or "" for part in parts) == "So!"
    assert "".join(part.message.thinking or "" for part in parts) == "Hm"
    check_calls([call for part in parts for call in part.message.tool_calls or ()])
    assert (parts[-1].done, parts[-1].eval_count) == (True, 5)


@pytest.mark.parametrize("stream", [True, False])
def test_the_sdk_reads_a_completion(server: ScriptedServer, client: Any, stream: bool) -> None:
    body = json.dumps({"stream": stream}).encode()
    reply = PROVIDER.route("POST", "/api/generate", body, ANSWER)
    assert reply is not None
    server.says([send_reply(reply)])
    given = client.generate(model="m", prompt="p", raw=True, stream=stream)
    parts = list(given) if stream else [given]
    assert "".join(part.response for part in parts) == "So!"
    assert parts[-1].done_reason == "stop"


def test_the_sdk_reads_errors(server: ScriptedServer, client: Any) -> None:
    server.says([send_reply(PROVIDER.error(404, "model 'm' not found"))])
    with pytest.raises(ollama.ResponseError, match="model 'm' not found") as caught:
        client.chat(model="m", messages=[USER])
    assert caught.value.status_code == 404
    broken = b"".join(PROVIDER.stream(ANSWER).events) + PROVIDER.stream_error("out of memory")
    server.says([respond(200, broken, "application/x-ndjson")])
    with pytest.raises(ollama.ResponseError, match="out of memory"):
        list(client.chat(model="m", messages=[USER], stream=True))


def test_the_sdk_reads_what_the_server_tells(server: ScriptedServer, client: Any) -> None:
    shown = PROVIDER.route("POST", "/api/show", b"", ANSWER)
    assert shown is not None
    server.says([send_reply(PROVIDER.models(["a:1", "b:2"]))], [send_reply(shown)])
    assert [model.model for model in client.list().models] == ["a:1", "b:2"]
    assert client.show("a:1").details.format == "gguf"
