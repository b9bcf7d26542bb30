"""Counting chats, each message once, and keeping them within a window."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon import (
    ChatMessage,
    ConfigurationError,
    ContextManager,
    ContextOverflowError,
    ContextWindow,
    Exactness,
    ImagePart,
    TextPart,
    TokenizerSpec,
    Tool,
    TruncationStrategy,
)
from andon.context import ChatCounter
from andon.tokens import upper_bound


class Words:
    """A tokenizer with a token for each word, which remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def encode(self, text: str) -> list[int]:
        self.asked.append(text)
        return [0] * len(text.split())

    def decode(self, tokens: list[int]) -> str:
        raise NotImplementedError


CHAT = [
    {"role": "system", "content": "be brief"},
    {"role": "user", "content": "one two three"},
    {"role": "assistant", "content": "four"},
    {"role": "user", "content": "five six"},
]


def test_the_framing_is_counted() -> None:
    counter = ChatCounter(Words(), name="words")
    count = ContextManager(ContextWindow(100), counter).count(CHAT)
    # Three for each message, one for its role, its words, and three for the answer's opening.
    assert count.tokens == 4 * (3 + 1) + 2 + 3 + 1 + 2 + 3
    assert count.exactness is Exactness.EXACT_TEXT
    assert "words" in count.method


def test_one_more_message_costs_only_that_message() -> None:
    words = Words()
    manager = ContextManager(ContextWindow(1000), ChatCounter(words))
    chat = tuple(ChatMessage.from_openai(message) for message in CHAT)
    manager.count(chat)
    words.asked.clear()
    manager.count((*chat, ChatMessage.assistant("seven")))
    assert words.asked == ["assistant", "seven"]
    words.asked.clear()
    manager.truncate((*chat, ChatMessage.assistant("seven")))
    assert words.asked == []


def test_fits_and_truncate_agree() -> None:
    manager = ContextManager(ContextWindow(30, 4), ChatCounter(Words()))
    assert not manager.fits(CHAT)
    kept = manager.truncate(CHAT)
    assert manager.fits(kept.messages)
    assert [message.text for message in kept.messages] == ["be brief", "five six"]
    assert kept.dropped == (1, 2)


def test_tools_count_as_well() -> None:
    manager = ContextManager(ContextWindow(1000), ChatCounter(Words()))
    tool = Tool("look", "Looks around.", {"type": "object", "properties": {}})
    assert manager.count(CHAT, [tool]).tokens > manager.count(CHAT).tokens + 5


def test_an_image_is_counted_by_what_it_may_cost() -> None:
    image = ChatMessage.user([TextPart("look"), ImagePart("data:image/png;base64,AAAA")])
    count = ChatCounter(Words()).count([image])
    assert count.exactness is Exactness.UPPER_BOUND
    assert count.tokens > 5000


@given(st.text())
def test_without_a_tokenizer_the_bound_is_never_below_the_bytes(text: str) -> None:
    normal = unicodedata.normalize("NFKC", text)
    assert upper_bound(text) > len(text.encode("utf-8", "surrogatepass"))
    assert upper_bound(text) > len(normal.encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize(
    ("model", "window"),
    [
        ("gpt-4-turbo", 128_000),
        ("gpt-4", 8_192),
        ("gpt-4-32k", 32_768),
        ("gpt-3.5-turbo", 16_385),
        ("gpt-3.5-turbo-16k", 16_385),
        ("gpt-5-mini", 400_000),
        ("gpt-5.2", 400_000),
        ("openai:gpt-5.6-sol", 1_050_000),
        ("o3", 200_000),
        ("claude-2.0", 100_000),
        ("claude-2.1", 200_000),
        ("claude-3-opus-20240229", 200_000),
        ("claude-opus-4-1", 200_000),
        ("claude-opus-5-5", 1_000_000),
        ("llama-3-8b-instruct", 8_192),
        ("togethercomputer/Llama-2-7B-32K-Instruct", 32_768),
        ("mistral-7b-instruct", 32_768),
        ("openai:gpt-4o-mini", 128_000),
        ("claude-haiku-4-5", 200_000),
        ("llama-2-7b-chat", 4_096),
        ("meta-llama/Llama-3.1-8B-Instruct", 131_072),
        ("groq:openai/gpt-oss-120b", 131_072),
    ],
)
def test_windows_of_known_models(model: str, window: int) -> None:
    manager = ContextManager.for_model(model, tokenizers=[])
    assert manager.window.tokens == window
    assert manager.window.output_reserve == min(4096, window // 4)


def test_an_unknown_model_is_no_guess() -> None:
    with pytest.raises(ConfigurationError, match="ContextWindow"):
        ContextManager.for_model("my-own-model", tokenizers=[])


def test_the_most_precise_tokenizer_counts() -> None:
    def spec(name: str, pattern: str, *, exact: bool = True) -> TokenizerSpec:
        return TokenizerSpec(name=name, create=Words, models=(pattern,), exact=exact)

    specs = [spec("all", "gpt-*", exact=False), spec("four", "gpt-4-*"), spec("other", "llama*")]
    counter = ContextManager.for_model("openai:gpt-4-turbo", tokenizers=specs).counter
    assert (counter.exactness, counter.method.split(",")[0]) == (Exactness.EXACT_TEXT, "four")
    counter = ContextManager.for_model("gpt-5.4", tokenizers=specs).counter
    assert counter.exactness is Exactness.ESTIMATE


def test_a_tokenizer_whose_files_are_missing_gives_way_to_the_bound() -> None:
    def missing() -> Words:
        raise ConfigurationError("run: andon tokenizers fetch")

    spec = TokenizerSpec(name="t", create=missing, models=("gpt-*",), exact=True)
    counter = ContextManager.for_model("gpt-4", tokenizers=[spec]).counter
    assert counter.exactness is Exactness.UPPER_BOUND


def test_the_strategy_error() -> None:
    manager = ContextManager(
        ContextWindow(20, 4), ChatCounter(Words()), strategy=TruncationStrategy.ERROR
    )
    with pytest.raises(ContextOverflowError):
        manager.truncate(CHAT)
