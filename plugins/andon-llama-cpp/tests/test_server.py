"""Where the backend llama-cpp runs: in this process, or at a llama-server."""

from __future__ import annotations

import json

import pytest

import andon_llama_cpp
from andon import BackendContext, Locality
from andon.backends.http_backend import HTTPBackend
from andon.errors import SettingsError
from andon.testing.provider import SampleAnswer
from andon.testing.providers.openai_chat import OpenAIChatProvider
from andon.testing.server import ScriptedServer, send_reply

[SPEC] = andon_llama_cpp.andon_register_backends()
HERE = "http://127.0.0.1:8080/v1"
AWAY = "https://llama.example.com/v1"


@pytest.mark.parametrize(
    ("options", "environment", "locality"),
    [
        ({}, {}, Locality.IN_PROCESS),
        ({"n_ctx": 512}, {}, Locality.IN_PROCESS),
        ({"base_url": HERE}, {}, Locality.LOCAL),
        ({"base_url": AWAY}, {}, Locality.PUBLIC),
        ({}, {"LLAMA_SERVER_URL": HERE}, Locality.LOCAL),
        ({}, {"LLAMA_SERVER_URL": AWAY}, Locality.PUBLIC),
        ({"base_url": HERE}, {"LLAMA_SERVER_URL": AWAY}, Locality.LOCAL),
        ({}, {"LLAMA_SERVER_URL": ""}, Locality.IN_PROCESS),
    ],
)
def test_its_locality_follows_its_address(
    options: dict[str, object], environment: dict[str, str], locality: Locality
) -> None:
    context = BackendContext(options=options, environment=environment)
    assert SPEC.locate is not None
    assert SPEC.locate(context) is locality
    backend = SPEC.create(context)
    backend.close()
    assert isinstance(backend, HTTPBackend) is (locality is not Locality.IN_PROCESS)


def test_settings_of_one_place_are_wrong_in_the_other() -> None:
    with pytest.raises(SettingsError, match="n_ctx"):
        SPEC.create(BackendContext(options={"base_url": HERE, "n_ctx": 512}))
    with pytest.raises(SettingsError, match="api"):
        SPEC.create(BackendContext(options={"api": "completions"}))
    with pytest.raises(SettingsError, match="resumable"):
        SPEC.create(BackendContext(options={"resumable": True}))


def test_the_environment() -> None:
    from andon.chat import ChatRequest
    from andon.messages import ChatMessage

    with ScriptedServer() as server:
        server.says([send_reply(OpenAIChatProvider().whole(SampleAnswer()))])
        environment = {"LLAMA_SERVER_URL": server.url, "LLAMA_API_KEY": "key-1"}
        backend = SPEC.create(BackendContext(environment=environment))
        request = ChatRequest(model="any", messages=(ChatMessage.user("Hello"),))
        text = "".join(delta.text for delta in backend.stream(request, None))
        backend.close()
        [sent] = server.requests
    assert text == "Hello, wörld!"
    assert sent.headers["authorization"] == "Bearer key-1"
    assert json.loads(sent.body)["model"] == "any"
