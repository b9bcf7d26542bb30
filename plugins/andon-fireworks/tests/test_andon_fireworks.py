"""What andon-fireworks says of its backend, and the request that is built from it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

import pytest

import andon_fireworks
from andon import BackendContext, Client, Locality, Price
from andon.backends.http_options import read_base_url
from andon.chat import ChatRequest, Sampling
from andon.messages import ChatMessage
from andon.testing import Recorded, Recorder
from andon.wire.openai_chat import OpenAIChat
from andon_fireworks import ENDPOINT, QUIRKS

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
    [spec] = andon_fireworks.andon_register_backends()
    assert (spec.name, spec.locality) == ("fireworks", Locality.PUBLIC)
    assert ENDPOINT.locality is Locality.PUBLIC
    assert ENDPOINT.base_url == "https://api.fireworks.ai/inference/v1"
    assert ENDPOINT.key_variables == ("FIREWORKS_API_KEY",)
    assert ENDPOINT.key_optional is False


def test_a_request_that_is_really_sent(server: tuple[str, list[Recorded]]) -> None:
    url, seen = server
    with Client(
        discover=False,
        plugins=[andon_fireworks],
        endpoints={"fireworks": {"base_url": f"{url}/v1", "api_key": "K"}},
        prices={"fireworks:some-model": Price(input=Decimal(1), output=Decimal(1))},
    ) as client:
        reply = client.chat("fireworks:some-model", "Hello", max_tokens=9)
    assert (reply.text, reply.usage.total_tokens) == ("Hi", 6)
    body = {
        "model": "some-model",
        "messages": [{"role": "user", "content": "Hello"}],
        "max_tokens": 9,
        "context_length_exceeded_behavior": "error",
    }
    assert seen == [("/v1/chat/completions", "Bearer K", body)]


def test_thoughts_go_back_and_usage_comes_unasked() -> None:
    thinker = ChatMessage.from_openai(
        {"role": "assistant", "content": "4", "reasoning_content": "2+2"}
    )
    request = replace(HELLO, messages=(thinker, *HELLO.messages), stream=True)
    body = json.loads(OpenAIChat(QUIRKS).encode(request).body)
    assert body["messages"][0]["reasoning_content"] == "2+2"
    assert "stream_options" not in body


def test_raw_prompts() -> None:
    call = OpenAIChat(QUIRKS).encode(ChatRequest(model="m", prompt="Once"))
    assert call.path == "/completions"
    assert json.loads(call.body)["context_length_exceeded_behavior"] == "error"


@pytest.mark.parametrize(
    ("environment", "options", "address"),
    [
        ({}, {}, "https://api.fireworks.ai/inference/v1"),
        (
            {"FIREWORKS_BASE_URL": "https://gate.test/inference/"},
            {},
            "https://gate.test/inference/v1",
        ),
        (
            {"FIREWORKS_BASE_URL": "https://gate.test/inference/v1"},
            {},
            "https://gate.test/inference/v1",
        ),
        (
            {"FIREWORKS_BASE_URL": "https://gate.test"},
            {"base_url": "https://x.test/v1"},
            "https://x.test/v1",
        ),
    ],
)
def test_the_address(environment: dict[str, str], options: dict[str, str], address: str) -> None:
    context = BackendContext(options=options, environment=environment)
    assert read_base_url("fireworks", ENDPOINT, context) == address
