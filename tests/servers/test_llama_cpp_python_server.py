"""An OpenAI-style server with habits of its own: the one of llama-cpp-python."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from andon import Client, FinishReason
from andon.errors import PromptTooLongError, ServerError
from andon.messages import ChatMessage
from andon.wire.openai_chat import Quirks

FRANCE = "What is the capital of France?"
PARIS = "The capital of France is Paris."
QUIRKS = Quirks(max_tokens_field="max_tokens")


@pytest.fixture(scope="module")
def server(demo_gguf: Path, start_server: Callable[..., str]) -> str:
    """The server's address."""
    for module in ("llama_cpp", "fastapi", "uvicorn", "sse_starlette", "starlette_context"):
        pytest.importorskip(module)
    options = ["--model", str(demo_gguf), "--model_alias", "demo", "--n_ctx", "1024"]
    command = [sys.executable, "-m", "llama_cpp.server", *options, "--port", "{port}"]
    return start_server(command)


@pytest.fixture
def client(server: str, connect_to: Callable[[str, Quirks], Client]) -> Client:
    """A client of the server."""
    return connect_to(f"{server}/v1", QUIRKS)


def test_a_chat(client: Client) -> None:
    reply = client.chat("some:demo", FRANCE, temperature=0, max_tokens=30)
    assert (reply.text, reply.finish_reason) == (PARIS, FinishReason.STOP)
    assert not reply.usage.estimated
    # The token that ends the answer is not counted there.
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (15, 8)


def test_a_stream_whose_usage_it_never_tells(client: Client) -> None:
    stream = client.stream("some:demo", FRANCE, temperature=0, max_tokens=30)
    assert "".join(delta.text for delta in stream) == PARIS
    usage = stream.response.usage
    assert usage.estimated
    assert usage.output_tokens > 0
    assert usage.input_tokens > 0


def test_a_raw_prompt_and_log_probabilities(client: Client) -> None:
    prompt = f"<|im_start|>user\n{FRANCE}<|im_end|>\n<|im_start|>assistant\n"
    reply = client.complete("some:demo", prompt, temperature=0, max_tokens=30)
    assert reply.text == PARIS
    chat = client.chat("some:demo", FRANCE, temperature=0, max_tokens=30, top_logprobs=1)
    assert chat.text == PARIS


def test_models(client: Client) -> None:
    assert [card.name for card in client.list_models("some")] == ["demo"]
    client.check_health("some")


def test_a_prompt_that_is_too_long(client: Client) -> None:
    with pytest.raises(PromptTooLongError) as caught:
        client.chat("some:demo", "word " * 3000)
    assert (caught.value.status, caught.value.code) == (400, "context_length_exceeded")


def test_an_error_of_500(client: Client) -> None:
    # It takes a schema that it cannot keep for a fault of its own.
    schema = {"type": "object", "properties": {"a": {"$ref": "#/nowhere"}}}
    with pytest.raises(ServerError):
        client.chat("some:demo", FRANCE, response_format=schema, max_tokens=9, timeout=20)
    assert client.chat("some:demo", FRANCE, temperature=0, max_tokens=30).text == PARIS


def test_it_begins_a_new_answer(client: Client) -> None:
    # So a continuation is not offered there; what it makes of such a chat is an answer.
    messages = [ChatMessage.user(FRANCE), ChatMessage.assistant("The capital of")]
    assert client.chat("some:demo", messages, temperature=0, max_tokens=20).text
