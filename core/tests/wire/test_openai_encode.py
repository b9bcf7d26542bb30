"""Requests: what goes over the wire, and that OpenAI's own SDK would have sent the same."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import Any

import pytest

from andon.chat import ChatRequest, ResponseFormat, Sampling, Tool
from andon.errors import InvalidRequestError, UnsupportedParameterError
from andon.messages import ChatMessage, ImagePart, TextPart, ToolCall
from andon.specs import ModelProfile
from andon.wire.openai_chat import OpenAIChat, Quirks

CHAT_REPLY = {
    "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
    ],
}  # fmt: skip
PROMPT_REPLY = {
    "id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m",
    "choices": [{"index": 0, "text": "Hi", "finish_reason": "stop", "logprobs": None}],
}  # fmt: skip

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
WEATHER = Tool("weather", "Tell the weather.", SCHEMA)
TIME = Tool("time", "", {})
WEATHER_WIRE = {
    "type": "function",
    "function": {"name": "weather", "description": "Tell the weather.", "parameters": SCHEMA},
}
TIME_WIRE = {
    "type": "function",
    "function": {"name": "time", "parameters": {"type": "object", "properties": {}}},
}
HELLO = (ChatMessage.user("Hello"),)
HELLO_WIRE = [{"role": "user", "content": "Hello"}]


@dataclass
class Case:
    """One logical request: andon's form, and the SDK's arguments for it."""

    request: ChatRequest
    arguments: dict[str, Any]
    quirks: Quirks = field(default_factory=Quirks)
    profile: ModelProfile = field(default_factory=ModelProfile)
    #: Members of the body in which the two differ, each with its reason.
    differs: Mapping[str, str] = field(default_factory=dict)


def chat(**fields: Any) -> ChatRequest:
    return ChatRequest(**({"model": "m", "messages": HELLO} | fields))


def sdk(**arguments: Any) -> dict[str, Any]:
    return {"model": "m", "messages": HELLO_WIRE} | arguments


CASES = {
    "plain": Case(chat(), sdk()),
    "system and user": Case(
        chat(messages=(ChatMessage.system("Be brief."), *HELLO)),
        sdk(messages=[{"role": "system", "content": "Be brief."}, *HELLO_WIRE]),
    ),
    "named speaker": Case(
        chat(messages=(ChatMessage.from_openai({"role": "user", "content": "é\u2028😀", "name": "Zoë"}),)),
        sdk(messages=[{"role": "user", "content": "é\u2028😀", "name": "Zoë"}]),
    ),
    "images": Case(
        chat(
            messages=(
                ChatMessage.user(
                    [
                        TextPart("What is this?"),
                        ImagePart("https://example.org/cat.png", "low"),
                        ImagePart("data:image/png;base64,iVBORw0KGgo="),
                    ]
                ),
            )
        ),
        sdk(
            messages=[
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "What is this?"},
                        {
                            "type": "image_url",
                            "image_url": {"url": "https://example.org/cat.png", "detail": "low"},
                        },
                        {
                            "type": "image_url",
                            "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="},
                        },
                    ],
                }
            ]
        ),
    ),
    "tools, choice left open": Case(
        chat(tools=(WEATHER, TIME)), sdk(tools=[WEATHER_WIRE, TIME_WIRE])
    ),
    "tools, auto": Case(
        chat(tools=(WEATHER,), tool_choice="auto"),
        sdk(tools=[WEATHER_WIRE], tool_choice="auto"),
        differs={"tool_choice": "auto is every server's default, and left out"},
    ),
    "tools, none": Case(
        chat(tools=(WEATHER,), tool_choice="none"), sdk(tools=[WEATHER_WIRE], tool_choice="none")
    ),
    "tools, required": Case(
        chat(tools=(WEATHER,), tool_choice="required"),
        sdk(tools=[WEATHER_WIRE], tool_choice="required"),
    ),
    "tools, one by name": Case(
        chat(tools=(WEATHER, TIME), tool_choice="time"),
        sdk(
            tools=[WEATHER_WIRE, TIME_WIRE],
            tool_choice={"type": "function", "function": {"name": "time"}},
        ),
    ),
    "tool results": Case(
        chat(
            messages=(
                *HELLO,
                ChatMessage.assistant("", [ToolCall("c1", "weather", '{"city":"Rome"}'), ToolCall("c2", "time", "{}")]),
                ChatMessage.tool("sunny", "c1"),
                ChatMessage.tool("noon", "c2"),
            ),
            tools=(WEATHER, TIME),
        ),
        sdk(
            messages=[
                *HELLO_WIRE,
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [
                        {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Rome"}'}},
                        {"id": "c2", "type": "function", "function": {"name": "time", "arguments": "{}"}},
                    ],
                },
                {"role": "tool", "content": "sunny", "tool_call_id": "c1"},
                {"role": "tool", "content": "noon", "tool_call_id": "c2"},
            ],
            tools=[WEATHER_WIRE, TIME_WIRE],
        ),
    ),
    "JSON object": Case(
        chat(response_format=ResponseFormat("json_object")),
        sdk(response_format={"type": "json_object"}),
    ),
    "JSON schema": Case(
        chat(response_format=ResponseFormat("json_schema", SCHEMA, "place", strict=True)),
        sdk(
            response_format={
                "type": "json_schema",
                "json_schema": {"name": "place", "schema": SCHEMA, "strict": True},
            }
        ),
    ),
    "sampling": Case(
        chat(sampling=Sampling(99, temperature=0, top_p=0.5, stop=("END", "\n"), seed=7)),
        sdk(max_completion_tokens=99, temperature=0, top_p=0.5, stop=["END", "\n"], seed=7),
    ),
    "one stop text": Case(
        chat(sampling=Sampling(stop=("END",))),
        sdk(stop="END"),
        differs={"stop": "several servers take a list only, so andon always sends one"},
    ),
    "old name of max_tokens": Case(
        chat(sampling=Sampling(99)), sdk(max_tokens=99), Quirks(max_tokens_field="max_tokens")
    ),
    "strict tool": Case(
        chat(tools=(Tool("weather", "Tell the weather.", SCHEMA, strict=True),)),
        sdk(tools=[{"type": "function", "function": WEATHER_WIRE["function"] | {"strict": True}}]),
    ),
    "instructions to a developer's model": Case(
        chat(messages=(ChatMessage.system("Be brief."), *HELLO), sampling=Sampling(9)),
        sdk(messages=[{"role": "developer", "content": "Be brief."}, *HELLO_WIRE], max_completion_tokens=9),
        Quirks(max_tokens_field="max_tokens"),
        ModelProfile(system_role="developer", max_tokens_field="max_completion_tokens"),
    ),
    "log probabilities": Case(chat(top_logprobs=3), sdk(logprobs=True, top_logprobs=3)),
    "log probabilities of the answer alone": Case(
        chat(top_logprobs=0), sdk(logprobs=True, top_logprobs=0)
    ),
    "log probabilities by their number": Case(
        chat(top_logprobs=0), sdk(extra_body={"logprobs": 1}), Quirks(logprobs="number")
    ),
    "log probabilities of a raw prompt": Case(
        ChatRequest(model="m", prompt="Once", top_logprobs=2),
        {"model": "m", "prompt": "Once", "logprobs": 2},
    ),
    "reasoning": Case(chat(reasoning_effort="low"), sdk(reasoning_effort="low")),
    "stream with usage": Case(
        chat(stream=True), sdk(stream=True, stream_options={"include_usage": True})
    ),
    "stream without usage": Case(
        chat(stream=True), sdk(stream=True), Quirks(stream_options=False)
    ),
    "continued message": Case(
        chat(messages=(*HELLO, ChatMessage.assistant("Hi,")), continue_final_message=True),
        sdk(
            messages=[*HELLO_WIRE, {"role": "assistant", "content": "Hi,"}],
            extra_body={"continue_final_message": True, "add_generation_prompt": False},
        ),
        Quirks(continuation=True),
    ),
    "thoughts of an earlier turn": Case(
        chat(messages=(ChatMessage.from_openai({"role": "assistant", "content": "4", "reasoning_content": "2+2"}), *HELLO)),
        sdk(messages=[{"role": "assistant", "content": "4", "reasoning": "2+2"}, *HELLO_WIRE]),
        Quirks(reasoning_field="reasoning"),
    ),
    "extra members": Case(
        chat(), sdk(extra_body={"top_k": 4}), Quirks(extra={"top_k": 4})
    ),
    "raw prompt": Case(
        ChatRequest(model="m", prompt="Once upon", sampling=Sampling(5, stop=(".",))),
        {"model": "m", "prompt": "Once upon", "max_tokens": 5, "stop": ["."]},
    ),
    "raw prompt, streamed": Case(
        ChatRequest(model="m", prompt="Once upon", stream=True),
        {"model": "m", "prompt": "Once upon", "stream": True, "stream_options": {"include_usage": True}},
    ),
}  # fmt: skip


class Recorder(BaseHTTPRequestHandler):
    """Keeps what it was sent, and answers enough for an SDK to be content."""

    seen: list[tuple[str, str, Mapping[str, str], bytes]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.seen.append((self.command, self.path, headers, body))
        reply = CHAT_REPLY if self.path.endswith("/chat/completions") else PROMPT_REPLY
        streamed = json.loads(body).get("stream")
        data = b"data: [DONE]\n\n" if streamed else json.dumps(reply).encode()
        self.send_response(200)
        self.send_header("content-type", "text/event-stream" if streamed else "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def recorder() -> Iterator[tuple[str, list[Any]]]:
    handler = type("OneRecorder", (Recorder,), {"seen": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", handler.seen
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_official_sdk_sends_the_same(case: Case, recorder: tuple[str, list[Any]]) -> None:
    openai = pytest.importorskip("openai", reason="the official SDK is not installed")
    url, seen = recorder
    seen.clear()
    with openai.OpenAI(api_key="K", base_url=f"{url}/v1", max_retries=0) as client:
        calls = client.completions if "prompt" in case.arguments else client.chat.completions
        answer = calls.create(**case.arguments)
        if case.arguments.get("stream"):
            list(answer)
    [(method, path, headers, body)] = seen

    call = OpenAIChat(case.quirks).encode(case.request, case.profile)
    assert (call.method, f"/v1{call.path}") == (method, path)
    assert all(headers[name] == value for name, value in call.headers.items())
    ours, theirs = json.loads(call.body), json.loads(body)
    # A difference is listed as long as there is one, and no longer.
    assert all(ours.get(name) != theirs.get(name) for name in case.differs)
    for name in case.differs:
        ours.pop(name, None)
        theirs.pop(name, None)
    assert ours == theirs


def test_the_body_is_compact_and_in_a_stable_order() -> None:
    request = chat(
        messages=(ChatMessage.user("é"),), stream=True, sampling=Sampling(5, temperature=0.5)
    )
    assert OpenAIChat().encode(request).body.decode() == (
        '{"model":"m","messages":[{"role":"user","content":"é"}],"max_completion_tokens":5,'
        '"temperature":0.5,"stream":true,"stream_options":{"include_usage":true}}'
    )


def test_thoughts_stay_here_where_nobody_asks_for_them() -> None:
    message = ChatMessage.from_openai(
        {"role": "assistant", "content": "4", "reasoning_content": "2+2"}
    )
    body = json.loads(OpenAIChat().encode(chat(messages=(message, *HELLO))).body)
    assert body["messages"][0] == {"role": "assistant", "content": "4"}


def test_a_choice_without_tools_is_not_sent() -> None:
    assert "tool_choice" not in json.loads(OpenAIChat().encode(chat(tool_choice="none")).body)


def test_frozen_schemas_are_written() -> None:
    frozen = MappingProxyType({"type": "object", "properties": MappingProxyType({})})
    call = OpenAIChat().encode(chat(tools=(Tool("f", "", frozen),)))
    parameters = json.loads(call.body)["tools"][0]["function"]["parameters"]
    assert parameters == {"type": "object", "properties": {}}


RAW: dict[str, Any] = {"model": "m", "prompt": "Once"}


@pytest.mark.parametrize(
    ("request_", "quirks", "named"),
    [
        (chat(tools=(WEATHER,)), Quirks(tools=False), "tools"),
        (chat(sampling=Sampling(seed=1)), Quirks(seed=False), "seed"),
        (chat(reasoning_effort="low"), Quirks(reasoning_effort=False), "reasoning_effort"),
        (chat(top_logprobs=1), Quirks(logprobs=None), "top_logprobs"),
        (
            chat(response_format=ResponseFormat("json_schema", SCHEMA)),
            Quirks(json_schema=False),
            "response_format",
        ),
        (
            chat(messages=(*HELLO, ChatMessage.assistant("Hi")), continue_final_message=True),
            Quirks(),
            "continue_final_message",
        ),
        (ChatRequest(**RAW), Quirks(completions=False), "a raw prompt"),
        (ChatRequest(**RAW, tools=(WEATHER,)), Quirks(), "tools together with a raw prompt"),
        (ChatRequest(**RAW, reasoning_effort="low"), Quirks(), "reasoning_effort together"),
        (
            ChatRequest(**RAW, response_format=ResponseFormat("json_object")),
            Quirks(),
            "response_format together",
        ),
    ],
)
def test_what_the_server_cannot_do_is_refused(
    request_: ChatRequest, quirks: Quirks, named: str
) -> None:
    with pytest.raises(UnsupportedParameterError, match=f"does not take {named}") as caught:
        OpenAIChat(quirks).encode(request_)
    # A raw prompt cannot be left out.
    option = named.partition(" ")[0]
    assert caught.value.parameter == (None if option == "a" else option)


@pytest.mark.parametrize("value", [float("nan"), object(), "\ud800"])
def test_what_is_no_json_is_refused(value: object) -> None:
    with pytest.raises(InvalidRequestError, match="cannot be written as JSON"):
        OpenAIChat().encode(chat(tools=(Tool("f", "", {"default": value}),)))
