"""The same through Groq's own SDK and through andon: requests, answers and errors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

import pytest

import andon_groq
from andon import BackendContext, Client, Price, Settings
from andon.answer import Answer
from andon.chat import ChatRequest, FinishReason, Usage
from andon.errors import BackendError
from andon.messages import ChatMessage, ToolCall
from andon.testing.provider import SampleAnswer
from andon.testing.providers.openai_chat import OpenAIChatProvider
from andon.testing.server import (
    LAST_CHUNK,
    ReceivedRequest,
    Script,
    ScriptedServer,
    chunk,
    send_reply,
    stream_head,
)

groq = pytest.importorskip("groq", reason="the official SDK is not installed")

PROVIDER = OpenAIChatProvider(usage="x_groq", reasoning_field="reasoning")

#: The headers that mean something to Groq.
HEADERS = ("authorization", "content-type", "accept")

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
HELLO = {"role": "user", "content": "Hello"}
SYSTEM = {"role": "system", "content": "Be brief.\u2028Grüße 😀"}
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
LOOK = {"role": "user", "content": [{"type": "text", "text": "What?"}, PICTURE]}
WEATHER = {
    "type": "function",
    "function": {"name": "weather", "description": "How it is.", "parameters": SCHEMA},
}
TIME = {"type": "function", "function": {"name": "time", "parameters": SCHEMA}}
CALLS = [
    {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}},
    {"id": "call_2", "type": "function", "function": {"name": "time", "arguments": "{}"}},
]
TURN = [
    HELLO,
    {"role": "assistant", "content": None, "tool_calls": CALLS},
    {"role": "tool", "tool_call_id": "call_1", "content": "Rain"},
    {"role": "tool", "tool_call_id": "call_2", "content": "noon"},
]
FORM = {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA, "strict": True}}


class Same(NamedTuple):
    """One logical request: andon's arguments, and the SDK's."""

    ours: dict[str, Any]
    theirs: dict[str, Any]


def same(**arguments: Any) -> Same:
    """Return a request that has the same arguments in both."""
    given = {"messages": [HELLO], **arguments}
    return Same(given, given)


def also(theirs: dict[str, Any], **ours: Any) -> Same:
    return Same({"messages": [HELLO], **ours}, {"messages": [HELLO], **theirs})


NAMED = {"type": "function", "function": {"name": "time"}}
SAMPLING = {"temperature": 0.5, "top_p": 0.25, "seed": 7, "stop": ["END"]}
REQUESTS: dict[str, Same] = {
    "plain": same(),
    "system": same(messages=[SYSTEM, HELLO]),
    "images": same(messages=[LOOK]),
    "tools": same(tools=[WEATHER, TIME]),
    "tool results": same(messages=TURN, tools=[WEATHER, TIME]),
    "a call that must be": same(tools=[WEATHER], tool_choice="required"),
    "a tool by its name": also(
        {"tools": [WEATHER, TIME], "tool_choice": NAMED},
        tools=[WEATHER, TIME],
        tool_choice="time",
    ),
    "JSON schema": same(response_format=FORM),
    "JSON object": same(response_format={"type": "json_object"}),
    "sampling": also(SAMPLING | {"max_completion_tokens": 9}, **SAMPLING, max_tokens=9),
    "reasoning": same(reasoning_effort="low"),
    "thoughts of an earlier turn": Same(
        {"messages": [{"role": "assistant", "content": "4", "reasoning_content": "2+2"}, HELLO]},
        {"messages": [{"role": "assistant", "content": "4", "reasoning": "2+2"}, HELLO]},
    ),
}

#: Members of every body in which the two differ, each with its reason.
DIFFERS: Mapping[str, str] = {}


@dataclass
class Server:
    """What the server says, and what it was sent.

    :param url: its address.
    :param seen: the requests so far.
    :param answer: what it answers.
    :param broken: whether streams end with an error.
    :param status: the error's status that it answers with, or 200.
    """

    url: str = ""
    seen: list[ReceivedRequest] = field(default_factory=list)
    answer: SampleAnswer = field(default_factory=SampleAnswer)
    broken: bool = False
    status: int = 200

    def reply(self, request: ReceivedRequest) -> Script:
        if self.status != 200:
            return [send_reply(PROVIDER.error(self.status, "Because"))]
        if request.method == "GET":
            models = PROVIDER.models(["first", "second"])
            assert models is not None
            return [send_reply(models)]
        if not request.json().get("stream"):
            raw = PROVIDER.route(request.method, request.target, request.body, self.answer)
            return [send_reply(raw or PROVIDER.whole(self.answer))]
        stream = PROVIDER.stream(self.answer)
        end = PROVIDER.stream_error("Busy") if self.broken else stream.end
        return [stream_head(stream.headers), chunk(b"".join(stream.events) + end), LAST_CHUNK]


@pytest.fixture
def server() -> Iterator[Server]:
    played = Server()
    with ScriptedServer(played.reply) as listening:
        played.url, played.seen = listening.url, listening.requests
        yield played


@pytest.fixture
def sdk(server: Server) -> Iterator[Any]:
    with groq.Groq(api_key="K", base_url=server.url, max_retries=0) as client:
        yield client


#: What the SDK appends to its own base URL: andon's has it already.
BASE = "/openai/v1"


# -- Requests --------------------------------------------------------------------------------------


def ask_andon(server: Server, arguments: dict[str, Any], *, stream: bool) -> None:
    options = {"base_url": server.url + BASE, "api_key": "K"}
    model = "groq:sample-model"
    with Client(
        discover=False,
        plugins=[andon_groq],
        settings=Settings(endpoints={"groq": options}),
        prices={model: Price(input=Decimal(0), output=Decimal(0))},
    ) as client:
        if stream:
            assert list(client.stream(model, **arguments))
        else:
            client.chat(model, **arguments)


def check_same(seen: list[ReceivedRequest]) -> None:
    theirs, ours = seen
    assert (ours.method, ours.target) == (theirs.method, theirs.target)
    assert [ours.headers.get(name) for name in HEADERS] == [
        theirs.headers.get(name) for name in HEADERS
    ]
    our_body, their_body = ours.json(), theirs.json()
    # A difference is listed as long as there is one, and no longer.
    assert all(our_body.pop(name, None) != their_body.pop(name, None) for name in DIFFERS)
    assert our_body == their_body


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("case", REQUESTS.values(), ids=REQUESTS)
def test_requests(case: Same, stream: bool, sdk: Any, server: Server) -> None:
    more = {"stream": True} if stream else {}
    answer = sdk.chat.completions.create(model="sample-model", **case.theirs, **more)
    if stream:
        list(answer)
    ask_andon(server, case.ours, stream=stream)
    check_same(server.seen)


def test_the_list_of_models(sdk: Any, server: Server) -> None:
    names = [model.id for model in sdk.models.list().data]
    with closing(make_backend(server)) as backend:
        assert [card.name for card in backend.list_models()] == names
    theirs, ours = server.seen
    assert (ours.method, ours.target) == (theirs.method, theirs.target)


# -- Answers ---------------------------------------------------------------------------------------

CALLED = (ToolCall("call_a", "weather", '{"city":"Köln"}'), ToolCall("call_b", "time", "{}"))
SAMPLES = {
    "text": SampleAnswer(usage=Usage(20, 9, 5, 0, 4)),
    "tools": SampleAnswer(text=(), tool_calls=CALLED, finish_reason=FinishReason.TOOL_CALLS),
    "cut": SampleAnswer(finish_reason=FinishReason.LENGTH),
    "thoughts": SampleAnswer(reasoning=("2", "+2"), text=("4",)),
}


def make_backend(server: Server) -> Any:
    [spec] = andon_groq.andon_register_backends()
    options = {"base_url": server.url + BASE, "api_key": "K", "max_retries": 0}
    return spec.create(BackendContext(options=options))


def ours(server: Server, *, stream: bool = False) -> Answer:
    request = ChatRequest(model="m", messages=(ChatMessage.user("Hello"),), stream=stream)
    answer = Answer()
    with closing(make_backend(server)) as backend:
        for delta in backend.stream(request, 10):
            answer.append(delta)
    return answer


@pytest.mark.parametrize("sample", SAMPLES.values(), ids=SAMPLES)
def test_whole_answers(sample: SampleAnswer, sdk: Any, server: Server) -> None:
    server.answer = sample
    theirs = sdk.chat.completions.create(model="m", messages=[HELLO])
    [choice] = theirs.choices
    answer = ours(server)
    message = answer.message()
    assert (choice.message.content or "") == message.text == "".join(sample.text)
    assert (choice.message.reasoning or "") == (message.reasoning or "")
    calls = tuple(
        ToolCall(one.id, one.function.name, one.function.arguments)
        for one in choice.message.tool_calls or ()
    )
    assert calls == message.tool_calls == sample.tool_calls
    assert choice.finish_reason == answer.raw_finish_reason == sample.finish_reason.value
    assert theirs.usage.prompt_tokens == answer.usage.input_tokens == sample.usage.input_tokens
    assert theirs.usage.completion_tokens == answer.usage.output_tokens


@pytest.mark.parametrize("sample", SAMPLES.values(), ids=SAMPLES)
def test_streams(sample: SampleAnswer, sdk: Any, server: Server) -> None:
    server.answer = sample
    chunks = list(sdk.chat.completions.create(model="m", messages=[HELLO], stream=True))
    choices = [one.choices[0] for one in chunks if one.choices]
    answer = ours(server, stream=True)
    message = answer.message()
    text = "".join(choice.delta.content or "" for choice in choices)
    assert text == message.text == "".join(sample.text)
    thoughts = "".join(choice.delta.reasoning or "" for choice in choices)
    assert thoughts == (message.reasoning or "") == "".join(sample.reasoning)
    pieces = [one for choice in choices for one in choice.delta.tool_calls or ()]
    arguments = [
        "".join(p.function.arguments or "" for p in pieces if p.index == i) for i in (0, 1)
    ]
    assert arguments == ([call.arguments for call in message.tool_calls] or ["", ""])
    assert choices[-1].finish_reason == answer.raw_finish_reason
    assert chunks[-1].x_groq.usage.prompt_tokens == answer.usage.input_tokens


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422, 429, 500, 503])
def test_errors(status: int, sdk: Any, server: Server) -> None:
    server.status = status
    with pytest.raises(groq.APIStatusError, match="Because") as theirs:
        sdk.chat.completions.create(model="m", messages=[HELLO])
    with pytest.raises(BackendError, match="Because") as caught:
        ours(server)
    assert caught.value.status == theirs.value.status_code == status
    assert caught.value.request_id == theirs.value.response.headers["x-request-id"]


def test_errors_inside_a_stream(sdk: Any, server: Server) -> None:
    server.broken = True
    chunks = sdk.chat.completions.create(model="m", messages=[HELLO], stream=True)
    with pytest.raises(groq.APIError, match="Busy"):
        list(chunks)
    with pytest.raises(BackendError, match="Busy"):
        ours(server, stream=True)
