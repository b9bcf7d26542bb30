"""Rank files are read from this machine, checked, and fetched only when told to."""

from __future__ import annotations

import base64
import hashlib
import os
import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import tiktoken

import andon_tiktoken
from andon import ConfigurationError, ContextManager, Exactness, Tool
from andon_tiktoken import MODELS, command
from andon_tiktoken.encodings import TiktokenTokenizer, describe, load, rank_files
from andon_tiktoken.rank_files import RankFile, folder

#: A small encoding of our own: every byte, and two words.
RANKS = {bytes([byte]): byte for byte in range(256)} | {b"he": 256, b"ll": 257, b"hell": 258}
DATA = b"".join(base64.b64encode(token) + b" %d\n" % rank for token, rank in RANKS.items())
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def server() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = self.path == "/good.tiktoken"
            self.send_response(200 if found else 404)
            self.end_headers()
            self.wfile.write(DATA if found else b"not here")

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        Thread(target=httpd.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()


def test_every_encoding_is_described_without_a_file_or_a_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> Any:
        raise AssertionError("a connection")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    for name in MODELS:
        [file] = rank_files(name)
        assert file.url.endswith(".tiktoken")
        assert len(file.sha256) == 64
    # The harmony encoding is made of the same file as the one before it.
    assert rank_files("o200k_harmony") == rank_files("o200k_base")


def test_a_missing_file_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="andon tokenizers fetch"):
        load("o200k_base", tmp_path)


def test_a_file_is_fetched_once_and_read_from_then_on(server: str, tmp_path: Path) -> None:
    file = RankFile(f"{server}/good.tiktoken", SHA256)
    cache = tmp_path / "deep" / "cache"
    file.fetch(cache)
    assert file.read(cache) == DATA
    assert [entry.name for entry in cache.iterdir()] == [file.name]


def test_another_file_is_never_kept(server: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="SHA-256"):
        RankFile(f"{server}/good.tiktoken", "0" * 64).fetch(tmp_path)
    with pytest.raises(ConfigurationError, match="cannot be fetched"):
        RankFile(f"{server}/missing.tiktoken", SHA256).fetch(tmp_path)
    assert list(tmp_path.iterdir()) == []
    file = RankFile(f"{server}/good.tiktoken", SHA256)
    (tmp_path / file.name).write_bytes(DATA + b"!")
    with pytest.raises(ConfigurationError, match="is not the rank file"):
        file.read(tmp_path)


def test_text_that_looks_like_a_control_token_is_text() -> None:
    described = describe("cl100k_base", lambda file: RANKS)
    tokenizer = TiktokenTokenizer(tiktoken.Encoding(**described))
    assert tokenizer.encode("hello") == [258, ord("o")]
    assert len(tokenizer.encode("<|endoftext|>")) == len("<|endoftext|>")
    assert tokenizer.decode([258, ord("o")]) == "hello"


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the small encoding in the place of the real ones."""
    monkeypatch.setattr(
        "andon_tiktoken._create",
        lambda name: TiktokenTokenizer(tiktoken.Encoding(**describe(name, lambda file: RANKS))),
    )


@pytest.mark.parametrize(
    ("model", "encoding"),
    [
        ("gpt-4o-mini", "o200k_base"),
        ("openai:gpt-5-mini", "o200k_base"),
        ("gpt-4-turbo", "cl100k_base"),
        ("gpt-3.5-turbo", "cl100k_base"),
        ("groq:openai/gpt-oss-120b", "o200k_harmony"),
    ],
)
def test_models_find_their_encoding(model: str, encoding: str, small: object) -> None:
    specs = list(andon_tiktoken.andon_register_tokenizers())
    manager = ContextManager.for_model(model, tokenizers=specs)
    assert manager.counter.exactness is Exactness.EXACT_TEXT
    assert encoding in manager.counter.method


def test_the_command_lists_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    assert command.run([]) == 0
    assert capsys.readouterr().out.count("missing  https://") == 2
    assert command.run(["fetch", "all"]) == 2


def test_nothing_is_fetched_under_the_sovereign_tier(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("ANDON_PRIVACY", "sovereign")
    assert command.run(["fetch"]) == 1
    assert "sovereign" in capsys.readouterr().err


# -- With the real files, where they are ------------------------------------------------------------


def real(name: str) -> TiktokenTokenizer:
    try:
        return load(name, folder(os.environ))
    except ConfigurationError:
        pytest.skip("the rank files are not on this machine: andon tokenizers fetch")


@pytest.mark.parametrize(
    ("encoding", "text", "ids"),
    [
        ("cl100k_base", "tiktoken is great!", [83, 1609, 5963, 374, 2294, 0]),
        ("o200k_base", "hello world", [24912, 2375]),
        ("cl100k_base", "1234567", [4513, 10961, 22]),
    ],
)
def test_ids_are_those_of_the_real_encoding(encoding: str, text: str, ids: list[int]) -> None:
    assert real(encoding).encode(text) == ids


#: What OpenAI's API reported for these chats (OpenAI cookbook, "How to count tokens").
EXPERT = (
    "You are a helpful, pattern-following assistant that translates corporate jargon into plain "
    "English."
)
CIRCLE_BACK = (
    "Let's circle back when we have more bandwidth to touch base on opportunities for increased "
    "leverage."
)
LATER = "Let's talk later when we're less busy about how to do better."
PIVOT = "This late pivot means we don't have time to boil the ocean for the client deliverable."
JARGON = [
    ("system", None, EXPERT),
    ("system", "example_user", "New synergies will help drive top-line growth."),
    ("system", "example_assistant", "Things working well together will increase revenue."),
    ("system", "example_user", CIRCLE_BACK),
    ("system", "example_assistant", LATER),
    ("user", None, PIVOT),
]


@pytest.mark.parametrize(("model", "reported"), [("gpt-4-0613", 129), ("gpt-4o", 124)])
def test_chats_count_as_the_api_reported(model: str, reported: int) -> None:
    real("cl100k_base" if model.startswith("gpt-4-") else "o200k_base")
    specs = list(andon_tiktoken.andon_register_tokenizers())
    messages = [
        {"role": role, "content": text} | ({} if name is None else {"name": name})
        for role, name, text in JARGON
    ]
    count = ContextManager.for_model(model, tokenizers=specs).count(messages)
    assert (count.tokens, count.exactness) == (reported, Exactness.EXACT_TEXT)


WEATHER = [
    {
        "role": "system",
        "content": "You are a helpful assistant that can answer to questions about the weather.",
    },
    {"role": "user", "content": "What's the weather like in San Francisco?"},
]
LOOK_UP = {
    "name": "get_current_weather",
    "description": "Get the current weather in a given location",
    "parameters": {
        "type": "object",
        "properties": {
            "location": {
                "type": "string",
                "description": "The city and state, e.g. San Francisco, CA",
            },
            "unit": {
                "type": "string",
                "description": "The unit of temperature to return",
                "enum": ["celsius", "fahrenheit"],
            },
        },
        "required": ["location"],
    },
}


@pytest.mark.parametrize(
    ("model", "reported"),
    [("gpt-3.5-turbo", 105), ("gpt-4-0613", 105), ("gpt-4o", 101), ("gpt-4o-mini", 101)],
)
def test_tools_count_as_the_api_reported(model: str, reported: int) -> None:
    real("o200k_base" if model.startswith("gpt-4o") else "cl100k_base")
    specs = list(andon_tiktoken.andon_register_tokenizers())
    tool = Tool.from_openai({"type": "function", "function": LOOK_UP})
    count = ContextManager.for_model(model, tokenizers=specs).count(WEATHER, [tool])
    assert (count.tokens, count.exactness) == (reported, Exactness.EXACT_TEXT)


@pytest.mark.parametrize(
    "parameters",
    [
        {"properties": {"spot": {"type": "object", "properties": {"x": {"type": "number"}}}}},
        {"properties": {"names": {"type": "array", "items": {"type": "string"}}}},
        {"properties": {"one": {"anyOf": [{"type": "string"}]}}},
        {"properties": [1]},
    ],
)
def test_tools_whose_framing_nobody_tells_are_bounded(parameters: Any, small: object) -> None:
    specs = list(andon_tiktoken.andon_register_tokenizers())
    manager = ContextManager.for_model("gpt-4o", tokenizers=specs)
    plain = manager.count(WEATHER, [Tool("look", "Looks.", {"type": "object"})])
    count = manager.count(WEATHER, [Tool("look", "Looks.", {"type": "object", **parameters})])
    assert (plain.exactness, count.exactness) == (Exactness.EXACT_TEXT, Exactness.UPPER_BOUND)
    assert count.tokens > plain.tokens
