"""What is kept of a chat fits as it is sent: rendered by every format, read by real tokenizers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from andon import (
    ChatMessage,
    ChatTemplateEngine,
    ContextManager,
    ContextOverflowError,
    ContextWindow,
    Exactness,
    Role,
    TemplateError,
    TemplateFormat,
    TruncationStrategy,
)
from andon.context import RenderedCounter
from andon.templates.formats import variants
from andon.tokens import upper_bound

tokenizers = pytest.importorskip("tokenizers")

FORMATS = [
    (template, variant)
    for template in TemplateFormat
    for variant in (variants(template) or (None,))
]

TEXTS = [
    "The quick brown fox jumps over the lazy dog. " * 20,
    "Was ist die Hauptstadt von Frankreich? Ein Satz genügt. " * 10,
    "def add(one: int, two: int) -> int:\n    return one + two\n" * 10,
    "人工智能正在改变世界。" * 10,
]


class Trained:
    """A tokenizer trained on a few texts, with a format's control tokens.

    :param kind: byte-level BPE, which loses nothing, or WordPiece, which normalises.
    :param control: texts that it reads as control tokens.
    """

    def __init__(self, kind: str, control: Sequence[str]) -> None:
        self._prompts, self._texts = (
            tokenizers.Tokenizer.from_str(_trained(kind)) for _ in range(2)
        )
        for tokenizer in (self._prompts, self._texts):
            tokenizer.add_special_tokens(list(control))
        self._texts.encode_special_tokens = True

    def encode(self, text: str) -> list[int]:
        ids: list[int] = self._texts.encode(text, add_special_tokens=False).ids
        return ids

    def encode_prompt(self, text: str) -> list[int]:
        ids: list[int] = self._prompts.encode(text, add_special_tokens=False).ids
        return ids

    def decode(self, tokens: list[int]) -> str:
        raise NotImplementedError


@cache
def _trained(kind: str) -> str:
    from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

    if kind == "bpe":
        tokenizer = tokenizers.Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer: Any = trainers.BpeTrainer(vocab_size=600, initial_alphabet=alphabet)
    else:
        tokenizer = tokenizers.Tokenizer(models.WordPiece(unk_token="[UNK]"))
        tokenizer.normalizer = normalizers.NFKC()
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        trainer = trainers.WordPieceTrainer(vocab_size=500, special_tokens=["[UNK]"])
    trainer.show_progress = False
    tokenizer.train_from_iterator(TEXTS, trainer)
    written: str = tokenizer.to_str()
    return written


@cache
def counter_of(template: TemplateFormat, variant: str | None, kind: str) -> RenderedCounter:
    engine = ChatTemplateEngine(template, variant=variant)
    tokenizer = Trained(kind, engine.spec.control_tokens)
    return RenderedCounter(tokenizer, engine, name=kind, normalize="merge")


@st.composite
def chats(draw: st.DrawFn) -> list[ChatMessage]:
    texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30) | st.sampled_from(TEXTS)
    said = texts.map(lambda text: f"so: {text}.")
    messages = [ChatMessage.system(draw(said))] if draw(st.booleans()) else []
    for _ in range(draw(st.integers(0, 6))):
        messages += [ChatMessage.user(draw(said)), ChatMessage.assistant(draw(said))]
    return [*messages, ChatMessage.user(draw(said))]


@pytest.mark.parametrize(("template", "variant"), FORMATS)
@pytest.mark.parametrize("kind", ["bpe", "wordpiece"])
def test_what_is_kept_fits_as_it_is_sent(
    template: TemplateFormat, variant: str | None, kind: str
) -> None:
    counter = counter_of(template, variant, kind)

    @settings(max_examples=25)
    @given(
        chats(),
        st.integers(50, 1500),
        st.integers(1, 40),
        st.sampled_from(["sliding_window", "middle_out"]),
        st.integers(1, 2),
    )
    def check(
        messages: list[ChatMessage], window: int, reserve: int, strategy: str, block: int
    ) -> None:
        manager = ContextManager(
            ContextWindow(window, reserve), counter, strategy=strategy, block=block
        )
        try:
            whole = counter.count(messages).tokens
        except TemplateError:
            return
        try:
            kept = manager.truncate(messages)
        except ContextOverflowError:
            pinned = [m for m in messages if m.role is Role.SYSTEM] + messages[-1:]
            assert counter.count(pinned).tokens > window - reserve
            return
        # Counted once more, as it would be sent.
        assert counter.count(kept.messages).tokens == kept.tokens <= window - reserve
        assert bool(kept.dropped) == (whole > window - reserve)
        assert kept.messages[-1] is messages[-1]
        assert all(m in kept.messages for m in messages if m.role is Role.SYSTEM)
        again = manager.truncate(kept.messages)
        assert (again.messages, again.dropped) == (kept.messages, ())

    check()


@pytest.mark.parametrize("kind", ["bpe", "wordpiece"])
@given(text=st.text() | st.sampled_from(TEXTS) | st.text("ﷺﬁ①⑩㎯Å½\u0301é漢", max_size=50))
def test_no_text_has_more_tokens_than_its_bound(kind: str, text: str) -> None:
    text = text.encode("utf-8", "replace").decode()
    tokenizer = counter_of(TemplateFormat.CHATML, None, kind)._tokenizer
    assert tokenizer is not None
    assert len(tokenizer.encode(text)) <= upper_bound(text)


def test_no_turn_is_left_out_that_would_fit() -> None:
    counter = counter_of(TemplateFormat.CHATML, None, "bpe")
    messages = [
        message
        for turn in range(20)
        for message in (ChatMessage.user(f"{turn} {TEXTS[0]}"), ChatMessage.assistant("yes"))
    ] + [ChatMessage.user("and?")]
    kept = ContextManager(ContextWindow(2000), counter).truncate(messages)
    one_more = messages[kept.dropped[-1] - 1 :]
    assert kept.tokens <= 1999 < counter.count(one_more).tokens


def test_the_count_is_exact_where_control_tokens_can_be_told() -> None:
    counter = counter_of(TemplateFormat.CHATML, None, "bpe")
    count = counter.count([ChatMessage.user("hi")])
    # <|im_start|> and <|im_end|> are one token each, and so is everything of "user\n" at most.
    assert count.exactness is Exactness.EXACT
    assert count.tokens < 30

    class PlainOnly:
        def encode(self, text: str) -> list[int]:
            return list(text.encode())

        def decode(self, tokens: list[int]) -> str:
            raise NotImplementedError

    bytes_only = RenderedCounter(PlainOnly(), ChatTemplateEngine(TemplateFormat.CHATML))
    assert bytes_only.count([ChatMessage.user("hi")]).exactness is Exactness.UPPER_BOUND


def test_the_prompt_is_rendered_a_few_times_and_not_once_a_message() -> None:
    asked: list[int] = []

    class Counted(RenderedCounter):
        def count(self, messages: Any, tools: Any = (), schema: Any = None) -> Any:
            asked.append(len(messages))
            return super().count(messages, tools, schema)

    inner = counter_of(TemplateFormat.CHATML, None, "bpe")
    counter = Counted(Trained("bpe", ()), ChatTemplateEngine(TemplateFormat.CHATML))
    messages = [ChatMessage.user("a"), ChatMessage.assistant("b")] * 500 + [ChatMessage.user("c")]
    strategy = TruncationStrategy.SLIDING_WINDOW
    ContextManager(ContextWindow(1000), counter, strategy=strategy).truncate(messages)
    assert len(asked) <= 2 + 10
    assert inner.renders
