"""andon-realizar: its facts, what it is sent, and what is refused because it would be ignored."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import andon_realizar
from andon import Client, FinishReason, Locality
from andon.errors import BadRequestError, NotFoundError, UnsupportedParameterError
from andon.settings import Settings
from andon.testing.provider import SampleAnswer
from andon.testing.providers.realizar import RealizarChatProvider, RealizarProvider
from andon.testing.server import ScriptedServer, respond, send_reply
from andon.wire.dialect import HTTPReply
from andon.wire.openai_chat import OpenAIChat
from andon_realizar import ENDPOINT, QUIRKS

MODEL = "realizar:default"
CHAT = [send_reply(RealizarChatProvider().whole(SampleAnswer()))]
RAW = [send_reply(RealizarProvider().whole(SampleAnswer()))]
PARTS = [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}]
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        yield server


@pytest.fixture
def connect(server: ScriptedServer) -> Iterator[Callable[..., Client]]:
    clients: list[Client] = []

    def make(**options: Any) -> Client:
        settings = Settings(
            endpoints={"realizar": {"base_url": f"{server.url}/v1", "max_retries": 0, **options}}
        )
        clients.append(Client(discover=False, plugins=[andon_realizar], settings=settings))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


def test_the_facts() -> None:
    [spec] = andon_realizar.andon_register_backends()
    assert (spec.name, spec.locality, spec.models) == ("realizar", Locality.LOCAL, ("default",))
    assert ENDPOINT.base_url == "http://127.0.0.1:8080/v1"
    assert ENDPOINT.key_variables == ()


def test_a_chat(server: ScriptedServer, connect: Callable[..., Client]) -> None:
    server.says(CHAT)
    messages = [{"role": "user", "content": PARTS}]
    reply = connect().chat(MODEL, messages, max_tokens=9, temperature=0.5, top_p=0.9, stop="END")
    assert (reply.text, reply.finish_reason) == ("Hello, wörld!", FinishReason.STOP)
    [request] = server.requests
    assert request.target == "/v1/chat/completions"
    assert "authorization" not in request.headers
    assert json.loads(request.body) == {
        "model": "default", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 9,
        "temperature": 0.5, "top_p": 0.9, "stop": ["END"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("parameter", "options"),
    [
        ("tools", {"tools": [{"type": "function", "function": {"name": "f"}}]}),
        ("response_format", {"response_format": {"type": "json_object"}}),
        ("response_format", {"response_format": {"type": "object"}}),
        ("seed", {"seed": 7}),
        ("reasoning_effort", {"reasoning_effort": "low"}),
        ("top_logprobs", {"top_logprobs": 1}),
    ],
)
def test_what_it_would_ignore(
    server: ScriptedServer, connect: Callable[..., Client], parameter: str, options: dict[str, Any]
) -> None:
    with pytest.raises(UnsupportedParameterError) as caught:
        connect().chat(MODEL, "Hello", **options)
    assert caught.value.parameter == parameter
    assert server.requests == []


def test_images(server: ScriptedServer, connect: Callable[..., Client]) -> None:
    with pytest.raises(UnsupportedParameterError, match="images"):
        connect().chat(MODEL, [{"role": "user", "content": [PICTURE]}])
    assert server.requests == []


def test_a_raw_completion_is_never_streamed(
    server: ScriptedServer, connect: Callable[..., Client]
) -> None:
    # The server does not know the switch, and answers whole.
    server.says(RAW)
    client = connect(api="completions", chat_template="chatml")
    stream = client.stream(MODEL, "Hello")
    assert "".join(delta.text for delta in stream) == "Hello, wörld!"
    assert stream.response.usage.input_tokens == 12
    [request] = server.requests
    assert request.target == "/v1/completions"
    prompt = json.loads(request.body)["prompt"]
    assert prompt == "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n"


@pytest.mark.parametrize(
    ("status", "body", "expected", "words"),
    [
        (404, {"error": "Model not found: x"}, NotFoundError, "Model not found: x"),
        (404, {"error": "not_found", "message": "No route"}, NotFoundError, "No route"),
        (422, {"error": "Invalid request body"}, BadRequestError, "Invalid request body"),
    ],
)
def test_errors(status: int, body: dict[str, str], expected: type[Exception], words: str) -> None:
    reply = HTTPReply(status=status, headers={}, body=json.dumps(body).encode())
    error = OpenAIChat(QUIRKS).explain(reply)
    assert type(error) is expected
    assert words in str(error)


def test_health_and_tokens(server: ScriptedServer, connect: Callable[..., Client]) -> None:
    server.says([respond(200, b'{"status":"healthy"}')], [respond(200, b'{"num_tokens":7}')])
    client = connect(api="completions", chat_template="chatml")
    client.check_health("realizar")
    assert client.count_tokens(MODEL, "Hello").tokens == 7
    assert [request.target for request in server.requests] == ["/health", "/tokenize"]
