"""Streams that OpenAI keeps: what its own SDK asks for and reads is what andon does."""

from __future__ import annotations

import asyncio
from contextlib import closing
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import TypeAdapter

import andon_openai
from andon import AsyncClient, Client, Price, Settings, StreamInterrupted, events
from andon.chat import ChatRequest
from andon.errors import SettingsError
from andon.messages import ChatMessage, ToolCall
from andon.specs import BackendContext
from andon.testing import EventLog
from andon.testing.keeping import KeptEvents
from andon.testing.provider import SampleAnswer
from andon.testing.providers.openai_responses import OpenAIResponsesProvider
from andon.testing.server import ReceivedRequest, ScriptedServer, send_reply
from andon.wire.sse import SSEDecoder

openai = pytest.importorskip("openai", reason="the official SDK is not installed")

#: The headers that mean something to OpenAI.
HEADERS = ("content-type", "authorization", "accept", "openai-organization", "openai-project")
PROVIDER = OpenAIResponsesProvider(background=True)
SAMPLE = SampleAnswer(
    reasoning=("2", "+2"),
    text=("It is", " four", "."),
    tool_calls=(ToolCall("call_a", "weather", '{"city":"Köln"}'),),
)
STREAM = PROVIDER.stream(SAMPLE)
EVENTS = (*STREAM.events, STREAM.end)
#: The number of the last event before the second piece of the text.
LAST = next(place for place, event in enumerate(EVENTS) if b'"delta":" four"' in event) - 1
BEFORE = sum(map(len, EVENTS[: LAST + 1]))

MODEL = "openai:gpt-5.4-mini"
PRICES = {MODEL: Price(input=Decimal(1), output=Decimal(8))}
OPTIONS = {"api_key": "K", "api": "responses", "resumable": True, "organization": "org-1"}


def settings(server: ScriptedServer) -> Settings:
    return Settings(endpoints={"openai": {"base_url": f"{server.url}/v1", **OPTIONS}})


def client(server: ScriptedServer, *plugins: Any) -> Client:
    plugins = (andon_openai, *plugins)
    return Client(discover=False, plugins=plugins, settings=settings(server), prices=PRICES)


def sdk(server: ScriptedServer) -> Any:
    url = f"{server.url}/v1"
    return openai.OpenAI(api_key="K", base_url=url, organization="org-1", max_retries=0)


def asked(request: ReceivedRequest) -> Any:
    """Return what means something in a request."""
    url = urlsplit(request.target)
    body = request.json() if request.body else None
    # The SDK leaves the type of nothing out.
    telling = HEADERS if request.body else HEADERS[1:]
    headers = [request.headers.get(name) for name in telling]
    return request.method, url.path, parse_qs(url.query), headers, body


# -- The SDK says the same -------------------------------------------------------------------------


def test_the_calls_are_those_of_the_sdk() -> None:
    include = ["reasoning.encrypted_content", "message.output_text.logprobs"]
    with ScriptedServer(KeptEvents(EVENTS)) as server:
        with sdk(server) as theirs:
            list(
                theirs.responses.create(
                    model="gpt-5.4-mini",
                    input=[{"role": "user", "content": "2+2?"}],
                    max_output_tokens=99,
                    top_logprobs=1,
                    reasoning={"effort": "low"},
                    include=include,
                    background=True,
                    store=True,
                    stream=True,
                )
            )
            list(
                theirs.responses.retrieve(
                    "resp_sample", include=include, starting_after=LAST, stream=True
                )
            )
            theirs.responses.cancel("resp_sample")
        wanted = [asked(request) for request in server.requests]
    with ScriptedServer(KeptEvents(EVENTS, [BEFORE + 20])) as server:
        with client(server) as ours:
            options = {"max_tokens": 99, "top_logprobs": 1, "reasoning_effort": "low"}
            with ours.stream(MODEL, "2+2?", **options) as stream:
                assert any(delta.text == " four" for delta in stream)
        assert [asked(request) for request in server.requests] == wanted


def test_the_fixture_has_the_types_of_the_sdk() -> None:
    known: Any = TypeAdapter(openai.types.responses.ResponseStreamEvent)
    numbers = []
    for event in SSEDecoder().feed(STREAM.body):
        numbers.append(known.validate_json(event.data).sequence_number)
    assert numbers == list(range(len(EVENTS)))
    kinds = [event.name for event in SSEDecoder().feed(STREAM.body)]
    assert kinds[:3] == ["response.created", "response.queued", "response.in_progress"]


def test_the_sdk_goes_on_with_it_as_well() -> None:
    texts, numbers = [], []

    def read(stream: Any) -> None:
        for event in stream:
            numbers.append(event.sequence_number)
            if event.type == "response.output_text.delta":
                texts.append(event.delta)

    with ScriptedServer(KeptEvents(EVENTS, [BEFORE])) as server, sdk(server) as theirs:
        kept = {"background": True, "store": True, "stream": True}
        with pytest.raises(openai.APIConnectionError):
            read(theirs.responses.create(model="m", input="2+2?", **kept))
        assert (texts, numbers[-1]) == (["It is"], LAST)
        read(theirs.responses.retrieve("resp_sample", starting_after=LAST, stream=True))
    assert "".join(texts) == "It is four."
    assert numbers == list(range(len(EVENTS)))


# -- Through the client ----------------------------------------------------------------------------


def test_an_answer_whose_connection_breaks() -> None:
    log, keeping = EventLog(), KeptEvents(EVENTS)
    with ScriptedServer(keeping) as server, client(server, log.plugin) as ours:
        whole = ours.stream(MODEL, "2+2?", max_tokens=99)
        wanted = list(whole)
        for places in ([BEFORE + 20], [1500, 1200, 1100, 1000, 1000]):
            keeping.breaks, keeping.asked = places, 0
            log.events.clear()
            stream = ours.stream(MODEL, "2+2?", max_tokens=99)
            assert list(stream) == wanted
            assert keeping.asked == 1
            # Thoughts, sealed ones too, calls, usage and money are those of one answer.
            assert stream.response == whole.response
            told = [e for e in log.events if isinstance(e, events.StreamReconnected)]
            assert told
            assert {(e.backend, e.attempt) for e in told} == {("openai", 1)}
    assert keeping.stopped == 0


def test_a_task_is_told_the_same() -> None:
    async def ask(server: ScriptedServer) -> Any:
        async with AsyncClient(
            discover=False, plugins=[andon_openai], settings=settings(server), prices=PRICES
        ) as ours:
            stream = ours.stream(MODEL, "2+2?", max_tokens=99)
            deltas = [delta async for delta in stream]
            return deltas, stream.response

    with ScriptedServer(KeptEvents(EVENTS)) as server:
        wanted = asyncio.run(ask(server))
    with ScriptedServer(KeptEvents(EVENTS, [BEFORE + 20])) as server:
        assert asyncio.run(ask(server)) == wanted


def test_an_answer_that_comes_whole_is_not_stored() -> None:
    seen: list[ReceivedRequest] = []

    def answer(request: ReceivedRequest) -> Any:
        seen.append(request)
        return [send_reply(OpenAIResponsesProvider().whole(SAMPLE))]

    with ScriptedServer(answer) as server, client(server) as ours:
        ours.chat(MODEL, "2+2?", max_tokens=99)
    assert seen[0].json()["store"] is False


# -- Settings --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"resumable": True}, 'set api to "responses"'),
        ({"resumable": True, "api": "chat"}, 'set api to "responses"'),
        ({"resumable": "yes", "api": "responses"}, "must be true or false"),
    ],
)
def test_wrong_settings(options: dict[str, Any], said: str) -> None:
    [spec] = andon_openai.andon_register_backends()
    with pytest.raises(SettingsError, match=said):
        spec.create(BackendContext(options={"api_key": "K", **options}))


def test_without_it_nothing_is_stored() -> None:
    [spec] = andon_openai.andon_register_backends()
    keeping = KeptEvents(EVENTS, [BEFORE])
    with ScriptedServer(keeping) as server:
        options = {"base_url": server.url, "api_key": "K", "api": "responses", "resumable": False}
        with closing(spec.create(BackendContext(options=options))) as backend:
            request = ChatRequest(model="m", messages=(ChatMessage.user("Hi"),), stream=True)
            with pytest.raises(StreamInterrupted):
                list(backend.stream(request, 10))
        body = server.requests[0].json()
    assert (body["store"], "background" in body) == (False, False)
    assert (keeping.rejoined, keeping.stopped) == (0, 0)
