"""What andon-localai says of its backend, and the request that is built from it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal

import pytest

import andon_localai
from andon import Client, Locality, Price
from andon.chat import ChatRequest
from andon.errors import ServerError
from andon.messages import ChatMessage
from andon.testing import Recorded, Recorder
from andon.wire.openai_chat import OpenAIChat
from andon_localai import ENDPOINT, QUIRKS

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
    [spec] = andon_localai.andon_register_backends()
    assert (spec.name, spec.locality) == ("localai", Locality.LOCAL)
    assert ENDPOINT.locality is Locality.LOCAL
    assert ENDPOINT.base_url == "http://127.0.0.1:8080/v1"
    assert ENDPOINT.key_variables == ("LOCALAI_API_KEY",)
    assert ENDPOINT.key_optional is True


def test_a_request_that_is_really_sent(server: tuple[str, list[Recorded]]) -> None:
    url, seen = server
    with Client(
        discover=False,
        plugins=[andon_localai],
        endpoints={"localai": {"base_url": f"{url}/v1", "api_key": "K"}},
        prices={"localai:some-model": Price(input=Decimal(1), output=Decimal(1))},
    ) as client:
        reply = client.chat("localai:some-model", "Hello", max_tokens=9)
    assert (reply.text, reply.usage.total_tokens) == ("Hi", 6)
    body = {
        "model": "some-model",
        "messages": [{"role": "user", "content": "Hello"}],
        "max_tokens": 9,
    }
    assert seen == [("/v1/chat/completions", "Bearer K", body)]


def test_an_error_inside_a_stream() -> None:
    error = {"message": "no memory", "type": "server_error", "code": "server_error"}
    stream = f"data: {json.dumps({'error': error})}\n\ndata: [DONE]\n\n"
    with pytest.raises(ServerError, match="no memory"):
        OpenAIChat(QUIRKS).decoder({}).feed(stream.encode())


def test_raw_prompts() -> None:
    call = OpenAIChat(QUIRKS).encode(ChatRequest(model="m", prompt="Once"))
    assert (call.path, json.loads(call.body)) == ("/completions", {"model": "m", "prompt": "Once"})


def test_what_stands_beside_the_version() -> None:
    health = OpenAIChat(QUIRKS).health()
    assert health is not None
    assert (health.call.path, health.call.at_root) == ("/readyz", True)
    # Of a chat it would count the text without the template's part.
    chat = ChatRequest(model="m", messages=(ChatMessage.user("Hello"),))
    assert OpenAIChat(QUIRKS).count_tokens(chat) is None
