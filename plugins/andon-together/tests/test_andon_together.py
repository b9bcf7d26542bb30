"""What andon-together says of its backend, and the request that is built from it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

import pytest

import andon_together
from andon import BackendContext, Client, Locality, Price
from andon.backends.http_options import read_base_url
from andon.chat import ChatRequest, Sampling, Usage
from andon.messages import ChatMessage
from andon.testing import Recorded, Recorder
from andon.wire.openai_chat import OpenAIChat
from andon_together import ENDPOINT, QUIRKS

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
    [spec] = andon_together.andon_register_backends()
    assert (spec.name, spec.locality) == ("together", Locality.PUBLIC)
    assert ENDPOINT.locality is Locality.PUBLIC
    assert ENDPOINT.base_url == "https://api.together.ai/v1"
    assert ENDPOINT.key_variables == ("TOGETHER_API_KEY",)
    assert ENDPOINT.key_optional is False


def test_a_request_that_is_really_sent(server: tuple[str, list[Recorded]]) -> None:
    url, seen = server
    with Client(
        discover=False,
        plugins=[andon_together],
        endpoints={"together": {"base_url": f"{url}/v1", "api_key": "K"}},
        prices={"together:some-model": Price(input=Decimal(1), output=Decimal(1))},
    ) as client:
        reply = client.chat("together:some-model", "Hello", max_tokens=9)
    assert (reply.text, reply.usage.total_tokens) == ("Hi", 6)
    body = {
        "model": "some-model",
        "messages": [{"role": "user", "content": "Hello"}],
        "max_tokens": 9,
    }
    assert seen == [("/v1/chat/completions", "Bearer K", body)]


def test_its_own_words() -> None:
    call = OpenAIChat(QUIRKS).encode(replace(HELLO, stream=True))
    assert "stream_options" not in json.loads(call.body)
    last = {
        "choices": [{"index": 0, "delta": {"content": "."}, "finish_reason": "eos"}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9},
    }
    text, end = OpenAIChat(QUIRKS).decoder({}).feed(f"data: {json.dumps(last)}\n\n".encode())
    assert (text.text, end.finish_reason, end.raw_finish_reason) == (".", "stop", "eos")
    assert end.usage == Usage(7, 2)


def test_raw_prompts() -> None:
    call = OpenAIChat(QUIRKS).encode(ChatRequest(model="m", prompt="Once"))
    assert (call.path, json.loads(call.body)) == ("/completions", {"model": "m", "prompt": "Once"})


@pytest.mark.parametrize(
    ("environment", "options", "address"),
    [
        ({}, {}, "https://api.together.ai/v1"),
        ({"TOGETHER_BASE_URL": "https://gate.test/"}, {}, "https://gate.test/v1"),
        ({"TOGETHER_BASE_URL": "https://gate.test/v1"}, {}, "https://gate.test/v1"),
        (
            {"TOGETHER_BASE_URL": "https://gate.test"},
            {"base_url": "https://x.test/v1"},
            "https://x.test/v1",
        ),
    ],
)
def test_the_address(environment: dict[str, str], options: dict[str, str], address: str) -> None:
    context = BackendContext(options=options, environment=environment)
    assert read_base_url("together", ENDPOINT, context) == address
