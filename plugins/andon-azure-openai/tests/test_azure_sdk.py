"""The same request through OpenAI's own SDK for Azure and through andon: the same arrives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

import andon_azure_openai
from andon.chat import ChatRequest, Sampling, Tool
from andon.messages import ChatMessage
from andon.specs import BackendContext
from andon.testing.keeping import KeptEvents
from andon.testing.provider import SampleAnswer
from andon.testing.providers.openai_chat import OpenAIChatProvider
from andon.testing.providers.openai_responses import OpenAIResponsesProvider
from andon.testing.server import (
    LAST_CHUNK,
    ReceivedRequest,
    Script,
    ScriptedServer,
    chunk,
    send_reply,
    stream_head,
)

openai = pytest.importorskip("openai", reason="the official SDK is not installed")

HEADERS = ("api-key", "content-type", "accept")
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
CHAT = OpenAIChatProvider()


@pytest.fixture
def azure() -> Iterator[ScriptedServer]:
    def reply(request: ReceivedRequest) -> Script:
        if request.method == "GET":
            models = CHAT.models(["gpt-5.4"])
            assert models is not None
            return [send_reply(models)]
        provider = OpenAIResponsesProvider() if "/responses" in request.target else CHAT
        if not request.json().get("stream"):
            return [send_reply(provider.whole(SampleAnswer()))]
        stream = provider.stream(SampleAnswer())
        return [stream_head(stream.headers), chunk(stream.body), LAST_CHUNK]

    with ScriptedServer(reply) as server:
        yield server


def old(server: ScriptedServer, **credentials: Any) -> Any:
    version = {"azure_endpoint": server.url, "api_version": "2024-10-21"}
    return openai.AzureOpenAI(**version, **credentials, max_retries=0)


def new(server: ScriptedServer, **credentials: Any) -> Any:
    # Microsoft documents the v1 API with OpenAI's plain client.
    url = f"{server.url}/openai/v1/"
    return openai.OpenAI(base_url=url, **credentials, max_retries=0)


VERSIONS: dict[str, tuple[Callable[..., Any], dict[str, str]]] = {
    "deployments": (old, {"api_version": "2024-10-21"}),
    "v1": (new, {}),
}


def backend(server: ScriptedServer, options: dict[str, Any]) -> Any:
    [spec] = andon_azure_openai.andon_register_backends()
    given = {"azure_endpoint": server.url, "max_retries": 0, **options}
    return spec.create(BackendContext(options=given))


def send(server: ScriptedServer, options: dict[str, str], **request: Any) -> None:
    messages = (ChatMessage.user("Hello"),)
    with closing(backend(server, options)) as asked:
        assert list(asked.stream(ChatRequest(model="mine", messages=messages, **request), 10))


def check_same(server: ScriptedServer, *headers: str) -> None:
    theirs, ours = server.requests
    assert (ours.method, ours.target) == (theirs.method, theirs.target)
    assert ours.json() == theirs.json()
    for name in headers:
        assert ours.headers.get(name) == theirs.headers.get(name), name


#: Where andon's headers differ: the plain client sends a key as a bearer token, which Azure's v1
#: API takes as well; andon sends it as Azure's own header for both of its APIs.
BY_VERSION = {"deployments": HEADERS, "v1": HEADERS[1:]}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("version", VERSIONS)
def test_chat_completions(azure: ScriptedServer, version: str, stream: bool) -> None:
    create, options = VERSIONS[version]
    usage = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    function = {"name": "weather", "description": "How it is.", "parameters": SCHEMA}
    with create(azure, api_key="K") as client:
        answer = client.chat.completions.create(
            model="mine",
            messages=[{"role": "user", "content": "Hello"}],
            max_completion_tokens=9,
            temperature=0.5,
            seed=7,
            tools=[{"type": "function", "function": function}],
            **usage,
        )
        if stream:
            list(answer)
    send(
        azure,
        options | {"api_key": "K"},
        sampling=Sampling(9, temperature=0.5, seed=7),
        tools=(Tool("weather", "How it is.", SCHEMA),),
        stream=stream,
    )
    check_same(azure, *BY_VERSION[version])


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("version", VERSIONS)
def test_responses(azure: ScriptedServer, version: str, stream: bool) -> None:
    create, options = VERSIONS[version]
    more = {"stream": True} if stream else {}
    with create(azure, api_key="K") as client:
        answer = client.responses.create(
            model="mine",
            input=[{"role": "user", "content": "Hello"}],
            max_output_tokens=9,
            store=False,
            **more,
        )
        if stream:
            list(answer)
    options = options | {"api_key": "K", "api": "responses"}
    send(azure, options, sampling=Sampling(9), stream=stream)
    check_same(azure, *BY_VERSION[version])


@pytest.mark.parametrize("version", ["v1", "preview", "2025-04-01-preview"])
def test_a_stream_that_is_kept(version: str) -> None:
    """What goes on with a stream, and what stops it, are told the version as every call is."""
    stream = OpenAIResponsesProvider(background=True).stream(SampleAnswer(text=("Hel", "lo", "!")))
    events = (*stream.events, stream.end)
    with ScriptedServer(KeptEvents(events)) as server:
        if version in {"v1", "preview"}:
            # The plain client leaves the version to its user.
            url, query = f"{server.url}/openai/v1/", {"api-version": version}
            client = openai.OpenAI(base_url=url, default_query=query, api_key="K")
        else:
            client = openai.AzureOpenAI(azure_endpoint=server.url, api_version=version, api_key="K")
        with client:
            list(client.responses.retrieve("resp_sample", starting_after=5, stream=True))
            client.responses.cancel("resp_sample")
        theirs = list(server.requests)
    breaks = [sum(map(len, events[:6])) + 9]
    with ScriptedServer(KeptEvents(events, breaks)) as server:
        options = {"api_key": "K", "api": "responses", "resumable": True, "api_version": version}
        request = ChatRequest(model="mine", messages=(ChatMessage.user("Hello"),), stream=True)
        with (
            closing(backend(server, options)) as asked,
            closing(asked.stream(request, 10)) as pieces,
        ):
            assert "lo" in (delta.text for delta in pieces)
        _, *ours = server.requests
    for one, other in zip(ours, theirs, strict=True):
        assert one.method == other.method
        assert urlsplit(one.target).path == urlsplit(other.target).path
        assert parse_qs(urlsplit(one.target).query) == parse_qs(urlsplit(other.target).query)


@pytest.mark.parametrize("version", VERSIONS)
def test_tokens_of_entra(azure: ScriptedServer, version: str) -> None:
    create, options = VERSIONS[version]
    token = {"azure_ad_token": "T"} if version == "deployments" else {"api_key": "T"}
    with create(azure, **token) as client:
        client.chat.completions.create(
            model="mine", messages=[{"role": "user", "content": "Hello"}]
        )
    send(azure, options | {"ad_token": "T"})
    check_same(azure, "authorization", "api-key")


@pytest.mark.parametrize("version", VERSIONS)
def test_the_list_of_models(azure: ScriptedServer, version: str) -> None:
    create, options = VERSIONS[version]
    with create(azure, api_key="K") as client:
        names = [model.id for model in client.models.list()]
    with closing(backend(azure, options | {"api_key": "K"})) as asked:
        assert [card.name for card in asked.list_models()] == names
    theirs, ours = azure.requests
    assert (ours.method, ours.target) == (theirs.method, theirs.target)
