"""What andon-vllm says of its backend, and the request that is built from it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

import pytest

import andon_vllm
from andon import Client, Locality, Price
from andon.chat import ChatRequest, Sampling
from andon.errors import AuthenticationError
from andon.messages import ChatMessage
from andon.testing import Recorded, Recorder
from andon.wire.dialect import HTTPReply
from andon.wire.openai_chat import OpenAIChat
from andon_vllm import ENDPOINT, QUIRKS

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
    [spec] = andon_vllm.andon_register_backends()
    assert (spec.name, spec.locality) == ("vllm", Locality.LOCAL)
    assert ENDPOINT.locality is Locality.LOCAL
    assert ENDPOINT.base_url == "http://127.0.0.1:8000/v1"
    assert ENDPOINT.key_variables == ("VLLM_API_KEY",)
    assert ENDPOINT.key_optional is True


def test_a_request_that_is_really_sent(server: tuple[str, list[Recorded]]) -> None:
    url, seen = server
    with Client(
        discover=False,
        plugins=[andon_vllm],
        endpoints={"vllm": {"base_url": f"{url}/v1", "api_key": "K"}},
        prices={"vllm:some-model": Price(input=Decimal(1), output=Decimal(1))},
    ) as client:
        reply = client.chat("vllm:some-model", "Hello", max_tokens=9)
    assert (reply.text, reply.usage.total_tokens) == ("Hi", 6)
    body = {
        "model": "some-model",
        "messages": [{"role": "user", "content": "Hello"}],
        "max_completion_tokens": 9,
    }
    assert seen == [("/v1/chat/completions", "Bearer K", body)]


def test_an_answer_is_continued() -> None:
    messages = (*HELLO.messages, ChatMessage.assistant("Hi,"))
    request = replace(HELLO, messages=messages, continue_final_message=True)
    body = json.loads(OpenAIChat(QUIRKS).encode(request).body)
    # With the generation prompt, which is on by default, vLLM would refuse.
    assert (body["continue_final_message"], body["add_generation_prompt"]) == (True, False)


def test_errors() -> None:
    refused = HTTPReply(status=401, headers={}, body=b'{"error":"Unauthorized"}')
    error = OpenAIChat(QUIRKS).explain(refused)
    assert isinstance(error, AuthenticationError)
    assert str(error) == "Unauthorized (HTTP 401)"
