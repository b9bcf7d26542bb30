"""What andon-groq says of its backend, and the request that is built from it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

import pytest

import andon_groq
from andon import BackendContext, Client, Locality, Price
from andon.backends.http_options import read_base_url
from andon.chat import ChatRequest, Sampling, Usage
from andon.errors import UnsupportedParameterError
from andon.messages import ChatMessage
from andon.testing import Recorded, Recorder
from andon.wire.openai_chat import OpenAIChat
from andon_groq import ENDPOINT, QUIRKS

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
    [spec] = andon_groq.andon_register_backends()
    assert (spec.name, spec.locality) == ("groq", Locality.PUBLIC)
    assert ENDPOINT.locality is Locality.PUBLIC
    assert ENDPOINT.base_url == "https://api.groq.com/openai/v1"
    assert ENDPOINT.key_variables == ("GROQ_API_KEY",)
    assert ENDPOINT.key_optional is False


def test_a_request_that_is_really_sent(server: tuple[str, list[Recorded]]) -> None:
    url, seen = server
    with Client(
        discover=False,
        plugins=[andon_groq],
        endpoints={"groq": {"base_url": f"{url}/v1", "api_key": "K"}},
        prices={"groq:some-model": Price(input=Decimal(1), output=Decimal(1))},
    ) as client:
        reply = client.chat("groq:some-model", "Hello", max_tokens=9)
    assert (reply.text, reply.usage.total_tokens) == ("Hi", 6)
    body = {
        "model": "some-model",
        "messages": [{"role": "user", "content": "Hello"}],
        "max_completion_tokens": 9,
    }
    assert seen == [("/v1/chat/completions", "Bearer K", body)]


def test_usage_is_not_asked_for_and_read_from_groqs_own_field() -> None:
    call = OpenAIChat(QUIRKS).encode(replace(HELLO, stream=True))
    assert "stream_options" not in json.loads(call.body)
    usage = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9, "queue_time": 0.1}
    last = {
        "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],
        "x_groq": {"id": "req_1", "usage": usage},
    }
    decoder = OpenAIChat(QUIRKS).decoder({})
    [delta] = decoder.feed(f"data: {json.dumps(last)}\n\n".encode())
    assert delta.usage == Usage(7, 2)


def test_thoughts_go_back() -> None:
    thinker = ChatMessage.from_openai(
        {"role": "assistant", "content": "4", "reasoning_content": "2+2"}
    )
    call = OpenAIChat(QUIRKS).encode(replace(HELLO, messages=(thinker, *HELLO.messages)))
    assert json.loads(call.body)["messages"][0]["reasoning"] == "2+2"


def test_raw_prompts_and_log_probabilities_are_refused() -> None:
    with pytest.raises(UnsupportedParameterError, match="a raw prompt"):
        OpenAIChat(QUIRKS).encode(ChatRequest(model="m", prompt="Once"))
    with pytest.raises(UnsupportedParameterError, match="top_logprobs"):
        OpenAIChat(QUIRKS).encode(replace(HELLO, top_logprobs=1))


@pytest.mark.parametrize(
    ("environment", "options", "address"),
    [
        ({}, {}, "https://api.groq.com/openai/v1"),
        ({"GROQ_BASE_URL": "https://gate.test/"}, {}, "https://gate.test/openai/v1"),
        ({"GROQ_BASE_URL": "https://gate.test/openai/v1"}, {}, "https://gate.test/openai/v1"),
        (
            {"GROQ_BASE_URL": "https://gate.test"},
            {"base_url": "https://x.test/v1"},
            "https://x.test/v1",
        ),
    ],
)
def test_the_address(environment: dict[str, str], options: dict[str, str], address: str) -> None:
    context = BackendContext(options=options, environment=environment)
    assert read_base_url("groq", ENDPOINT, context) == address
