"""Tokens become bytes one by one, and together they are what the tokenizer decodes."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from andon_transformers.detokenize import Detokenizer

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def byte_level() -> Tokenizer:
    """A byte-level vocabulary with tokens that hold several bytes, and added ones."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: number for number, letter in enumerate([*letters, "ðŁ", "Ġthe", "æĿ"])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_tokens(["<|im_end|>", "two words", "東京"])
    return tokenizer


def sentencepiece(*, strip: bool) -> Tokenizer:
    """A vocabulary with bytes as tokens."""
    pieces = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256))]
    pieces += ["▁the", "▁", "e", "東", "▁▁▁", "<|im_end|>"]
    tokenizer = Tokenizer(models.BPE(vocab={piece: i for i, piece in enumerate(pieces)}, merges=[]))
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    if strip:
        steps.append(decoders.Strip(" ", 1, 0))
    tokenizer.decoder = decoders.Sequence(steps)
    return tokenizer


def wordpiece() -> Tokenizer:
    """A vocabulary of words, whose decoder looks at a token's neighbours."""
    vocabulary = ["[UNK]", "the", "##re", "is", ",", "no", "##t", "東", "'", "s"]
    model = models.WordPiece({word: i for i, word in enumerate(vocabulary)}, unk_token="[UNK]")
    tokenizer = Tokenizer(model)
    tokenizer.decoder = decoders.WordPiece(cleanup=False)
    return tokenizer


def detokenizer(tokenizer: Tokenizer) -> Detokenizer:
    return Detokenizer(tokenizer, json.loads(tokenizer.to_str())["decoder"])


def decode(tokenizer: Tokenizer, ids: Sequence[int]) -> str:
    text: str = tokenizer.decode(ids, skip_special_tokens=False)
    return text


def run(tokenizer: Tokenizer, prompt: Sequence[int], ids: Sequence[int]) -> bytes:
    feed = detokenizer(tokenizer).start(prompt)
    return b"".join(map(feed, ids))


BYTES = byte_level()
ids_of_bytes = st.lists(st.integers(0, BYTES.get_vocab_size() - 1))


@given(ids=ids_of_bytes)
def test_byte_level_tokens_give_what_the_tokenizer_decodes(ids: list[int]) -> None:
    assert run(BYTES, [], ids).decode(errors="replace") == decode(BYTES, ids)


@given(text=st.text())
def test_every_text_comes_back_from_its_bytes(text: str) -> None:
    tokenizer = Tokenizer(BYTES.model)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    assert run(BYTES, [], tokenizer.encode(text).ids) == text.encode()


@pytest.mark.parametrize("strip", [False, True])
@given(text=st.text(), ids=st.lists(st.integers(257, 262)))
def test_sentencepiece_tokens_continue_the_prompt(strip: bool, text: str, ids: list[int]) -> None:
    tokenizer = sentencepiece(strip=strip)
    ids = [*ids, *(byte + 1 for byte in text.encode()), *ids]
    before = [259]
    whole = decode(tokenizer, before + ids)
    assert run(tokenizer, before, ids).decode() == whole[len(decode(tokenizer, before)) :]


def test_a_byte_that_completes_nothing_is_given_as_it_is() -> None:
    assert run(sentencepiece(strip=True), [], [0xE6 + 1, 0x41 + 1]) == b"\xe6A"


def test_an_answer_keeps_the_space_before_its_first_word() -> None:
    tokenizer = sentencepiece(strip=True)
    assert run(tokenizer, [], [tokenizer.token_to_id("▁the")]) == b" the"


@given(ids=st.lists(st.integers(1, 9), max_size=60), cut=st.integers(0, 60))
def test_other_vocabularies_are_decoded_in_a_window(ids: list[int], cut: int) -> None:
    tokenizer = wordpiece()
    prompt, answer = ids[:cut], ids[cut:]
    expected = decode(tokenizer, ids)[len(decode(tokenizer, prompt)) :]
    assert run(tokenizer, prompt, answer).decode() == expected


def test_a_window_waits_for_the_end_of_a_character() -> None:
    tokenizer = Tokenizer.from_str(BYTES.to_str())
    tokenizer.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Fuse()])
    feed = detokenizer(tokenizer).start([])
    letters = {letter: BYTES.token_to_id(letter) for letter in "æĿ±"}
    assert [feed(letters[letter]) for letter in "æĿ±"] == [b"", b"", "東".encode()]


def test_a_window_gives_up_on_what_never_ends() -> None:
    tokenizer = Tokenizer.from_str(BYTES.to_str())
    tokenizer.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Fuse()])
    feed = detokenizer(tokenizer).start([])
    given_ = b"".join(feed(BYTES.token_to_id("æ")) for _ in range(40)).decode()
    assert set(given_) == {REPLACEMENT}


def test_an_output_without_a_token_is_empty() -> None:
    assert run(BYTES, [], [10**6]) == b""
