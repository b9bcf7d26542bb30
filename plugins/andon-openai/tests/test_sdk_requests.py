"""The same request through OpenAI's own SDK and through andon: what arrives is the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import closing
from decimal import Decimal
from typing import Any, NamedTuple

import pytest
from pydantic import TypeAdapter

import andon_openai
from andon import Client, Price, Settings
from andon.chat import ChatRequest, Sampling, Tool
from andon.messages import ChatMessage, ProviderState, Role, ToolCall
from andon.specs import BackendContext

openai = pytest.importorskip("openai", reason="the official SDK is not installed")

#: The headers that mean something to OpenAI.
HEADERS = ("authorization", "content-type", "accept", "openai-organization", "openai-project")

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
HELLO = {"role": "user", "content": "Hello"}
SYSTEM = {"role": "system", "content": "Be brief.\u2028Grüße 😀"}
PICTURE = {"url": "data:image/png;base64,iVBORw0KGgo=", "detail": "low"}
LOOK = {"role": "user", "content": [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": PICTURE}]}  # fmt: skip
WEATHER = {
    "type": "function",
    "function": {"name": "weather", "description": "How it is.", "parameters": SCHEMA},
}
TIME = {"type": "function", "function": {"name": "time", "parameters": SCHEMA, "strict": True}}


def call(identifier: str, name: str, arguments: str) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {"id": identifier, "type": "function", "function": function}


CALLS = [call("call_1", "weather", '{"city": "Köln"}'), call("call_2", "time", "{}")]
TURN = [
    HELLO,
    {"role": "assistant", "content": None, "tool_calls": CALLS},
    {"role": "tool", "tool_call_id": "call_1", "content": "Rain"},
    {"role": "tool", "tool_call_id": "call_2", "content": "noon"},
]
FORM = {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA, "strict": True}}


class Same(NamedTuple):
    """One logical request.

    :param ours: andon's arguments.
    :param theirs: the SDK's, besides the model.
    :param model: the model's name.
    :param differs: members of the body in which the two differ, each with its reason.
    """

    ours: dict[str, Any]
    theirs: dict[str, Any]
    model: str = "sample-model"
    differs: Mapping[str, str] = {}


def same(**arguments: Any) -> Same:
    """Return a request that has the same arguments in both."""
    given = {"messages": [HELLO], **arguments}
    return Same(given, given)


NAMED = {"type": "function", "function": {"name": "time"}}
CHATS: dict[str, Same] = {
    "plain": same(),
    "system": same(messages=[SYSTEM, HELLO]),
    "images": same(messages=[LOOK]),
    "tools": same(tools=[WEATHER, TIME]),
    "tool results": same(messages=TURN, tools=[WEATHER, TIME]),
    "a call that must be": same(tools=[WEATHER], tool_choice="required"),
    "a tool by its name": Same(
        {"messages": [HELLO], "tools": [WEATHER, TIME], "tool_choice": "time"},
        {"messages": [HELLO], "tools": [WEATHER, TIME], "tool_choice": NAMED},
    ),
    "JSON schema": same(response_format=FORM),
    "JSON object": same(response_format={"type": "json_object"}),
    "sampling": Same(
        {"messages": [HELLO], "max_tokens": 9, "temperature": 0.5, "top_p": 0.25, "seed": 7, "stop": ["END"]},
        {"messages": [HELLO], "max_completion_tokens": 9, "temperature": 0.5, "top_p": 0.25, "seed": 7, "stop": ["END"]},
    ),
    "one stop text": same(stop="END")._replace(
        differs={"stop": "some servers of this protocol take a list only, so andon always sends one"}
    ),
    "log probabilities": Same(
        {"messages": [HELLO], "top_logprobs": 2},
        {"messages": [HELLO], "top_logprobs": 2, "logprobs": True},
    ),
    "reasoning": Same(
        {"messages": [SYSTEM, HELLO], "reasoning_effort": "low", "max_tokens": 99},
        {"messages": [SYSTEM | {"role": "developer"}, HELLO], "reasoning_effort": "low", "max_completion_tokens": 99},
        "gpt-5.4-mini",
    ),
}  # fmt: skip

WEATHER_TOOL = {"type": "function", **WEATHER["function"], "strict": False}  # type: ignore[dict-item]
TIME_TOOL = {"type": "function", **TIME["function"]}  # type: ignore[dict-item]
ITEMS = [
    {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": '{"city": "Köln"}'},
    {"type": "function_call", "call_id": "call_2", "name": "time", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "call_1", "output": "Rain"},
    {"type": "function_call_output", "call_id": "call_2", "output": "noon"},
]  # fmt: skip
REASONING = [
    {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "c2VhbGVk"},
    ITEMS[0] | {"id": "fc_1", "status": "completed"},
]
THINKER = ChatMessage(
    Role.ASSISTANT,
    tool_calls=(ToolCall("call_1", "weather", '{"city": "Köln"}'),),
    provider_state=(ProviderState("openai-responses", json.dumps(REASONING)),),
)
RESPONSES: dict[str, Same] = {
    "plain": Same({"messages": [HELLO]}, {"input": [HELLO]}),
    "a text": Same(
        {"messages": [HELLO]}, {"input": "Hello"},
        differs={"input": "the short form of the same: OpenAI reads a text as one user's message"},
    ),
    "system": Same({"messages": [SYSTEM, HELLO]}, {"instructions": SYSTEM["content"], "input": [HELLO]}),
    "a later system": Same({"messages": [HELLO, SYSTEM]}, {"input": [HELLO, SYSTEM]}),
    "an earlier answer": Same(
        {"messages": [HELLO, {"role": "assistant", "content": "Hi"}, HELLO]},
        {"input": [HELLO, {"role": "assistant", "content": "Hi"}, HELLO]},
    ),
    "images": Same(
        {"messages": [LOOK]},
        {"input": [{"role": "user", "content": [
            {"type": "input_text", "text": "What?"},
            {"type": "input_image", "image_url": PICTURE["url"], "detail": "low"},
        ]}]},
    ),
    "tools": Same({"messages": [HELLO], "tools": [WEATHER, TIME]}, {"input": [HELLO], "tools": [WEATHER_TOOL, TIME_TOOL]}),
    "tool results": Same(
        {"messages": TURN, "tools": [WEATHER, TIME]},
        {"input": [HELLO, *ITEMS], "tools": [WEATHER_TOOL, TIME_TOOL]},
    ),
    "thoughts of an earlier turn": Same(
        {"messages": [HELLO, THINKER, TURN[2]]}, {"input": [HELLO, *REASONING, ITEMS[2]]}
    ),
    "a call that must be": Same(
        {"messages": [HELLO], "tools": [WEATHER], "tool_choice": "required"},
        {"input": [HELLO], "tools": [WEATHER_TOOL], "tool_choice": "required"},
    ),
    "a tool by its name": Same(
        {"messages": [HELLO], "tools": [TIME], "tool_choice": "time"},
        {"input": [HELLO], "tools": [TIME_TOOL], "tool_choice": {"type": "function", "name": "time"}},
    ),
    "JSON schema": Same(
        {"messages": [HELLO], "response_format": FORM},
        {"input": [HELLO], "text": {"format": {"type": "json_schema", **FORM["json_schema"]}}},  # type: ignore[dict-item]
    ),
    "sampling": Same(
        {"messages": [HELLO], "max_tokens": 99, "temperature": 0.5, "top_p": 0.25},
        {"input": [HELLO], "max_output_tokens": 99, "temperature": 0.5, "top_p": 0.25},
    ),
    "log probabilities": Same(
        {"messages": [HELLO], "top_logprobs": 2},
        {"input": [HELLO], "top_logprobs": 2, "include": ["message.output_text.logprobs"]},
    ),
    "reasoning": Same(
        {"messages": [HELLO], "reasoning_effort": "low"},
        {
            "input": [HELLO],
            "reasoning": {"effort": "low", "summary": "auto"},
            "include": ["reasoning.encrypted_content"],
        },
        "gpt-5.4-mini",
    ),
}  # fmt: skip


def ask_andon(url: str, case: Same, *, stream: bool, **settings: str) -> None:
    options = {"base_url": f"{url}/v1", "api_key": "K", **settings}
    free = Price(input=Decimal(0), output=Decimal(0))
    model = f"openai:{case.model}"
    with Client(
        discover=False,
        plugins=[andon_openai],
        settings=Settings(endpoints={"openai": options}),
        prices={model: free},
    ) as client:
        if stream:
            assert list(client.stream(model, **case.ours))
        else:
            client.chat(model, **case.ours)


def compare(seen: list[Any], differs: Mapping[str, str]) -> dict[str, Any]:
    """Check that two requests are the same; return the body."""
    theirs, ours = seen
    assert (ours.method, ours.target) == (theirs.method, theirs.target)
    assert [ours.headers.get(name) for name in HEADERS] == [
        theirs.headers.get(name) for name in HEADERS
    ]
    our_body, their_body = ours.json(), theirs.json()
    body = dict(our_body)
    # A difference is listed as long as there is one, and no longer.
    assert all(our_body.pop(name) != their_body.pop(name) for name in differs)
    assert our_body == their_body
    return body


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("case", CHATS.values(), ids=CHATS)
def test_chat_completions(case: Same, stream: bool, server: Any) -> None:
    usage = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    with openai.OpenAI(api_key="K", base_url=f"{server.url}/v1", max_retries=0) as client:
        answer = client.chat.completions.create(model=case.model, **case.theirs, **usage)
        if stream:
            list(answer)
    ask_andon(server.url, case, stream=stream)
    body = compare(server.seen, case.differs)
    params = openai.types.chat.completion_create_params.CompletionCreateParamsNonStreaming
    TypeAdapter(params).validate_python({n: v for n, v in body.items() if n != "stream"})


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("case", RESPONSES.values(), ids=RESPONSES)
def test_responses(case: Same, stream: bool, server: Any) -> None:
    # Nothing is to stay at the provider, which the SDK's user has to say.
    more = {"store": False} | ({"stream": True} if stream else {})
    with openai.OpenAI(api_key="K", base_url=f"{server.url}/v1", max_retries=0) as client:
        answer = client.responses.create(model=case.model, **case.theirs, **more)
        if stream:
            list(answer)
    ask_andon(server.url, case, stream=stream, api="responses", reasoning_summary="auto")
    body = compare(server.seen, case.differs)
    params = openai.types.responses.response_create_params.ResponseCreateParamsNonStreaming
    TypeAdapter(params).validate_python({n: v for n, v in body.items() if n != "stream"})


@pytest.mark.parametrize("stream", [False, True])
def test_raw_completions(stream: bool, server: Any) -> None:
    usage = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    with openai.OpenAI(api_key="K", base_url=f"{server.url}/v1", max_retries=0) as client:
        answer = client.completions.create(model="m", prompt="Once", max_tokens=9, **usage)
        if stream:
            list(answer)
    request = ChatRequest(model="m", prompt="Once", stream=stream, sampling=Sampling(9))
    with closing(make_backend(server.url)) as backend:
        assert list(backend.stream(request, 10))
    compare(server.seen, {})


def make_backend(url: str, **options: str) -> Any:
    [spec] = andon_openai.andon_register_backends()
    given = {"base_url": f"{url}/v1", "api_key": "K", "max_retries": 0, **options}
    return spec.create(BackendContext(options=given))


@pytest.mark.parametrize("api", ["chat", "responses"])
def test_the_account(api: str, server: Any) -> None:
    case = CHATS["plain"]
    account = {"organization": "org-1", "project": "proj_1"}
    with openai.OpenAI(
        api_key="K", base_url=f"{server.url}/v1", max_retries=0, **account
    ) as client:
        if api == "chat":
            client.chat.completions.create(model=case.model, messages=[HELLO])
        else:
            client.responses.create(model=case.model, input=[HELLO], store=False)
    ask_andon(server.url, case, stream=False, api=api, **account)
    compare(server.seen, {})
    assert server.seen[1].headers["openai-organization"] == "org-1"


def test_questions_besides_the_chat(server: Any) -> None:
    with openai.OpenAI(api_key="K", base_url=f"{server.url}/v1", max_retries=0) as client:
        names = [model.id for model in client.models.list()]
        counted = client.responses.input_tokens.count(
            model="m", instructions=SYSTEM["content"], input=[HELLO], tools=[WEATHER_TOOL]
        )
    theirs, server.seen[:] = list(server.seen), []
    messages = tuple(map(ChatMessage.from_openai, (SYSTEM, HELLO)))
    request = ChatRequest(model="m", messages=messages, tools=(Tool.from_openai(WEATHER),))
    for api in ("chat", "responses"):
        with closing(make_backend(server.url, api=api)) as backend:
            assert [card.name for card in backend.list_models()] == names
            assert backend.count_tokens(request) == counted.input_tokens == 12
    for ours in (server.seen[:2], server.seen[2:]):
        assert [(one.method, one.target) for one in ours] == [
            (one.method, one.target) for one in theirs
        ]
        assert ours[1].json() == theirs[1].json()
