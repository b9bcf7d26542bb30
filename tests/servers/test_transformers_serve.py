"""An OpenAI-style server that never sends ``[DONE]``: ``transformers serve``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from andon import Client, FinishReason
from andon.errors import BadRequestError, ServerError
from andon.wire.openai_chat import Quirks

FRANCE = "What is the capital of France?"
PARIS = "The capital of France is Paris."
QUIRKS = Quirks(
    max_tokens_field="max_tokens",
    stream_options=False,
    done_required=False,
    json_schema=False,
    json_object=False,
    logprobs=None,
    health_path="/health",
)

#: It loads torch and the model, which takes a busy machine a while.
WITHIN = 110.0


@pytest.fixture(scope="module")
def server(demo_folder: Path, start_server: Callable[..., str]) -> str:
    """The server's address."""
    for module in ("fastapi", "uvicorn", "openai", "accelerate"):
        pytest.importorskip(module)
    program = Path(sys.executable).with_name("transformers")
    if not program.exists():
        pytest.skip("transformers has no command line here")
    command = [str(program), "serve", str(demo_folder), "--port", "{port}", "--device", "cpu"]
    return start_server(command, ready="/health", within=WITHIN)


@pytest.fixture
def client(server: str, connect_to: Callable[[str, Quirks], Client]) -> Client:
    """A client of the server."""
    return connect_to(f"{server}/v1", QUIRKS)


@pytest.fixture
def model(demo_folder: Path) -> str:
    """The model's name there: where it lies."""
    return f"some:{demo_folder}"


def test_a_chat(client: Client, model: str) -> None:
    reply = client.chat(model, FRANCE, temperature=0, max_tokens=30)
    assert (reply.text, reply.finish_reason) == (PARIS, FinishReason.STOP)
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (15, 9)
    assert reply.request_id


def test_a_stream_without_its_mark(client: Client, model: str) -> None:
    stream = client.stream(model, FRANCE, temperature=0, max_tokens=30)
    assert "".join(delta.text for delta in stream) == PARIS
    assert stream.response.finish_reason is FinishReason.STOP
    assert (stream.response.usage.input_tokens, stream.response.usage.output_tokens) == (15, 9)


def test_another_model(client: Client) -> None:
    with pytest.raises(BadRequestError, match="pinned"):
        client.chat("some:another", FRANCE)


def test_health_and_a_page_of_plain_text(client: Client, model: str) -> None:
    client.check_health("some")
    # It looks for models in a cache that is not there, and fails in words that are no JSON.
    with pytest.raises(ServerError, match="Internal Server Error"):
        client.list_models("some")
    assert client.chat(model, FRANCE, temperature=0, max_tokens=30).text == PARIS
