"""What andon-openai says of its backend, and the request that is built from it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from types import MappingProxyType

import pytest

import andon_openai
from andon import Client, Locality, Price
from andon.chat import ChatRequest, Sampling
from andon.errors import (
    MissingKeyError,
    ServerError,
    SettingsError,
    UnsupportedParameterError,
)
from andon.messages import ChatMessage
from andon.specs import BackendContext, ModelProfile
from andon.testing import Recorded, Recorder
from andon.testing.provider import Provider, SampleAnswer
from andon.testing.providers.openai_chat import OpenAIChatProvider
from andon.testing.providers.openai_responses import OpenAIResponsesProvider
from andon.testing.server import ScriptedServer, chunk, hold, stream_head
from andon.wire.api_choice import choose_api
from andon.wire.dialect import Dialect
from andon.wire.openai_chat import OpenAIChat
from andon_openai import ENDPOINT, QUIRKS

HELLO = ChatRequest(model="some-model", messages=(ChatMessage.user("Hello"),), sampling=Sampling(9))
REPLY = {
    "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "some-model",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
    ],
    "usage": {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6},
}  # fmt: skip


@pytest.fixture
def server() -> Iterator[tuple[str, list[Recorded]]]:
    with Recorder(REPLY) as recorder:
        yield recorder.url, recorder.seen


def test_the_facts() -> None:
    [spec] = andon_openai.andon_register_backends()
    assert (spec.name, spec.locality) == ("openai", Locality.PUBLIC)
    assert ENDPOINT.locality is Locality.PUBLIC
    assert ENDPOINT.base_url == "https://api.openai.com/v1"
    assert ENDPOINT.key_variables == ("OPENAI_API_KEY",)
    assert ENDPOINT.key_optional is False


def test_a_request_that_is_really_sent(server: tuple[str, list[Recorded]]) -> None:
    url, seen = server
    with Client(
        discover=False,
        plugins=[andon_openai],
        endpoints={"openai": {"base_url": f"{url}/v1", "api_key": "K"}},
        prices={"openai:some-model": Price(input=Decimal(1), output=Decimal(1))},
    ) as client:
        reply = client.chat("openai:some-model", "Hello", max_tokens=9)
    assert (reply.text, reply.usage.total_tokens) == ("Hi", 6)
    body = {
        "model": "some-model",
        "messages": [{"role": "user", "content": "Hello"}],
        "max_completion_tokens": 9,
    }
    assert seen == [("/v1/chat/completions", "Bearer K", body)]


def test_usage_is_asked_for_in_streams() -> None:
    call = OpenAIChat(QUIRKS).encode(replace(HELLO, stream=True))
    assert json.loads(call.body)["stream_options"] == {"include_usage": True}


def test_an_answer_cannot_be_continued() -> None:
    messages = (*HELLO.messages, ChatMessage.assistant("Hi,"))
    with pytest.raises(UnsupportedParameterError, match="continue_final_message"):
        OpenAIChat(QUIRKS).encode(replace(HELLO, messages=messages, continue_final_message=True))


# -- Settings --------------------------------------------------------------------------------------


def make_dialect(environment: Mapping[str, str] = MappingProxyType({}), **options: str) -> Dialect:
    context = BackendContext(options=options, environment=environment)
    return choose_api(andon_openai.DIALECTS)(context)


@pytest.mark.parametrize(
    ("environment", "options", "sent"),
    [
        ({}, {}, {}),
        ({"OPENAI_ORG_ID": "org-1"}, {}, {"openai-organization": "org-1"}),
        ({"OPENAI_PROJECT_ID": "p1", "OPENAI_PROJECT": "p2"}, {}, {"openai-project": "p1"}),
        ({"OPENAI_PROJECT": "p2"}, {}, {"openai-project": "p2"}),
        (
            {"OPENAI_ORG_ID": "org-1", "OPENAI_PROJECT": "p2"},
            {"organization": "org-3", "project": "p3"},
            {"openai-organization": "org-3", "openai-project": "p3"},
        ),
    ],
)
@pytest.mark.parametrize("api", ["chat", "responses"])
def test_the_account_that_a_request_counts_to(
    environment: dict[str, str], options: dict[str, str], sent: dict[str, str], api: str
) -> None:
    headers = make_dialect(environment, api=api, **options).encode(HELLO, ModelProfile()).headers
    assert {name: headers[name] for name in headers if name.startswith("openai-")} == sent


def test_a_setting_chooses_the_protocol() -> None:
    assert make_dialect().encode(HELLO, ModelProfile()).path == "/chat/completions"
    assert make_dialect(api="responses").encode(HELLO, ModelProfile()).path == "/responses"
    with pytest.raises(SettingsError, match='api must be one of "chat", "responses", not'):
        make_dialect(api="assistants")


@pytest.mark.parametrize(
    ("options", "environment", "said"),
    [
        ({"api_key": "K", "organisation": "o"}, {}, "no setting 'organisation'.* organization"),
        ({"api_key": "K", "api": "chats"}, {}, "api must be one of"),
        ({}, {"OPENAI_API_KEY": ""}, "OPENAI_API_KEY.*api_key.*llama-cpp:demo"),
    ],
)
def test_wrong_settings(options: dict[str, str], environment: dict[str, str], said: str) -> None:
    [spec] = andon_openai.andon_register_backends()
    with pytest.raises((SettingsError, MissingKeyError), match=said):
        spec.create(BackendContext(options=options, environment=environment))


@pytest.mark.parametrize(
    ("api", "provider"),
    [("chat", OpenAIChatProvider()), ("responses", OpenAIResponsesProvider())],
)
def test_an_error_beside_text_is_told_though_the_server_stays(api: str, provider: Provider) -> None:
    stream = provider.stream(SampleAnswer())
    data = b"".join(stream.events[:-1]) + provider.stream_error("Busy")
    [spec] = andon_openai.andon_register_backends()
    with ScriptedServer() as server:
        server.says([stream_head(stream.headers), chunk(data), hold])
        options = {"base_url": server.url, "api_key": "K", "api": api, "stall_timeout": 600.0}
        with closing(spec.create(BackendContext(options=options))) as backend:
            deltas = backend.stream(replace(HELLO, stream=True), None)
            assert next(deltas).text == "Hello"
            with pytest.raises(ServerError, match="Busy") as caught:
                list(deltas)
    assert caught.value.request_id == "req_sample"
