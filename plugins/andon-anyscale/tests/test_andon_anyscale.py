"""andon-anyscale: its facts, its address and its token."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

import andon_anyscale
from andon import BackendContext, Client, Locality, Price
from andon.chat import ChatRequest
from andon.errors import MissingKeyError, SettingsError
from andon.messages import ChatMessage
from andon.testing.provider import SampleAnswer
from andon.testing.providers.openai_chat import OpenAIChatProvider
from andon.testing.server import ScriptedServer, send_reply
from andon_anyscale import ENDPOINT

WHOLE = [send_reply(OpenAIChatProvider().whole(SampleAnswer()))]


def client(**options: Any) -> Client:
    return Client(
        discover=False,
        plugins=[andon_anyscale],
        endpoints={"anyscale": options},
        prices={"anyscale:m": Price(input=Decimal(0), output=Decimal(0))},
    )


def test_the_facts() -> None:
    [spec] = andon_anyscale.andon_register_backends()
    assert (spec.name, spec.locality) == ("anyscale", Locality.PUBLIC)
    assert (ENDPOINT.base_url, ENDPOINT.key_variables) == ("", ("ANYSCALE_API_KEY",))


def test_the_environment() -> None:
    [spec] = andon_anyscale.andon_register_backends()
    messages = (ChatMessage.user("Hello"), ChatMessage.assistant("Hi,"))
    request = ChatRequest(model="m", messages=messages, continue_final_message=True)
    with ScriptedServer() as server:
        server.says(WHOLE)
        variables = {"ANYSCALE_BASE_URL": f"{server.url}/v1", "ANYSCALE_API_KEY": "token-1"}
        backend = spec.create(BackendContext(environment=variables))
        assert [delta.text for delta in backend.stream(request, None)] == ["Hello, wörld!"]
        backend.close()
        [sent] = server.requests
    assert sent.target == "/v1/chat/completions"
    assert sent.headers["authorization"] == "Bearer token-1"
    body = json.loads(sent.body)
    assert (body["continue_final_message"], body["add_generation_prompt"]) == (True, False)


def test_what_is_missing() -> None:
    with client(api_key="token-1") as asking, pytest.raises(SettingsError, match="ANYSCALE_BASE"):
        asking.chat("anyscale:m", "Hello")
    url = "http://127.0.0.1:9/v1"
    with client(base_url=url) as asking, pytest.raises(MissingKeyError, match="ANYSCALE_API_KEY"):
        asking.chat("anyscale:m", "Hello")
