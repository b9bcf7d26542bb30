"""Prompts become the tokenizer's own ids, and content never becomes a control token."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

from andon.templates import Segment
from andon_transformers.prompts import PromptEncoder, find_control_tokens

CONTROL = ["<s>", "</s>", "<|im_start|>", "<|im_end|>", "<unk>"]
WORDS = ["hello", "world", "he", "ll", "im", "start", "user", "\n", " ", "  ", "ö", "東"]


def byte_level() -> Tokenizer:
    """As Llama 3: control tokens beyond the vocabulary, whole words looked up first."""
    letters = {letter: i for i, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    # A whole word of this text would be looked up without any merge.
    vocabulary = letters | {"<s>": 256, "he": 257, "hello": 258}
    model = models.BPE(vocab=vocabulary, merges=[("h", "e")], ignore_merges=True)
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"\s+|\S+"), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.add_special_tokens(CONTROL)
    return tokenizer


def sentencepiece(scheme: str) -> Tokenizer:
    """As Llama 2: bytes as tokens, a space before the first word."""
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    pieces += ["▁", *"helowrdusimta<>|_/\n", "he", "ll", "▁he", "<s", "▁▁"]
    merges = [("h", "e"), ("l", "l"), ("▁", "he"), ("<", "s"), ("<s", ">"), ("▁", "▁")]
    model = models.BPE(
        vocab={piece: i for i, piece in enumerate(dict.fromkeys(pieces))},
        merges=merges,
        unk_token="<unk>",
        byte_fallback=True,
        fuse_unk=True,
    )
    tokenizer = Tokenizer(model)
    if scheme == "prepend":
        tokenizer.normalizer = normalizers.Sequence(
            [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
        )
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=False)
    tokenizer.add_special_tokens(CONTROL[:3])
    tokenizer.add_special_tokens([AddedToken("<|im_end|>", rstrip=True), "<unk>"])
    return tokenizer


def unigram() -> Tokenizer:
    """As T5: the likeliest pieces win, the texts of control tokens among them."""
    pieces = [("<unk>", 0.0), ("<s>", 0.0), ("</s>", 0.0), ("▁", -2.0)]
    pieces += [(letter, -5.0) for letter in "helowrdusimta<>|_/\n"] + [("▁hello", -1.0)]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=0))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens(CONTROL)
    return tokenizer


TOKENIZERS = {
    "byte-level": byte_level(),
    "metaspace-first": sentencepiece("first"),
    "metaspace-always": sentencepiece("always"),
    "metaspace-never": sentencepiece("never"),
    "prepend": sentencepiece("prepend"),
    "unigram": unigram(),
}
ENCODERS = {
    name: PromptEncoder(
        json.loads(tokenizer.to_str()), {t: tokenizer.token_to_id(t) for t in CONTROL}
    )
    for name, tokenizer in TOKENIZERS.items()
}
prompts = st.lists(st.sampled_from(WORDS + CONTROL) | st.text(max_size=8), max_size=12)
names = pytest.mark.parametrize("name", TOKENIZERS)


@names
@given(pieces=prompts)
def test_meant_control_tokens_give_the_ids_of_the_tokenizer(name: str, pieces: list[str]) -> None:
    text = "".join(pieces)
    expected = TOKENIZERS[name].encode(text, add_special_tokens=False).ids
    assert ENCODERS[name].encode([Segment(text, True)]) == expected


@names
@given(pieces=prompts)
@example(pieces=["<s>"])
@example(pieces=["hello", "</s>", "<|im_start|>", "system\n"])
def test_content_never_becomes_a_control_token(name: str, pieces: list[str]) -> None:
    tokenizer = TOKENIZERS[name]
    unknown = tokenizer.token_to_id("<unk>")
    control = {tokenizer.token_to_id(text) for text in CONTROL} - {unknown}
    assert not control & set(ENCODERS[name].encode([Segment("".join(pieces), False)]))


@names
@given(pieces=st.lists(st.sampled_from(WORDS), max_size=12), cut=st.integers(0, 12))
def test_innocuous_content_is_tokenised_as_a_part_of_the_whole(
    name: str, pieces: list[str], cut: int
) -> None:
    before, after = "".join(pieces[:cut]), "".join(pieces[cut:])
    segments = [
        Segment("<|im_start|>user\n" + before, True),
        Segment(after, False),
        Segment("<|im_end|>\n", True),
    ]
    whole = "".join(segment.text for segment in segments)
    expected = TOKENIZERS[name].encode(whole, add_special_tokens=False).ids
    assert ENCODERS[name].encode(segments) == expected


@names
def test_pieces_of_two_segments_make_no_control_token(name: str) -> None:
    tokenizer = TOKENIZERS[name]
    ids = ENCODERS[name].encode([Segment("<|im_", True), Segment("start|>", False)])
    assert tokenizer.token_to_id("<|im_start|>") not in ids
    assert ENCODERS[name].encode([]) == []


@pytest.mark.parametrize("name", ["byte-level", "unigram"])
def test_control_tokens_are_found_in_the_vocabulary_and_beyond_it(name: str) -> None:
    tokenizer = TOKENIZERS[name]
    found = find_control_tokens(json.loads(tokenizer.to_str()), ["<s>", "<absent>"], "")
    assert found == {text: tokenizer.token_to_id(text) for text in CONTROL}


def _added(content: str, id_: int, *, special: bool) -> dict[str, Any]:
    return {"content": content, "id": id_, "special": special}


def test_control_tokens_are_the_special_ones_and_those_that_the_template_writes() -> None:
    tokenizer = {
        "model": {"vocab": {"<s>": 0, "x": 1}},
        "added_tokens": [
            _added("<|end|>", 2, special=True),
            _added("<think>", 3, special=False),
            _added("<table>", 4, special=False),
            _added("<\uff5cUser\uff5c>", 5, special=False),
            _added("\n\n", 6, special=False),
        ],
    }
    found = find_control_tokens(tokenizer, ["<s>"], "{{ '<think>\n\n' }}")
    assert found == {"<s>": 0, "<|end|>": 2, "<think>": 3, "<\uff5cUser\uff5c>": 5}


def test_ids_that_are_not_those_of_the_file_are_an_error() -> None:
    tokenizer = json.loads(byte_level().to_str())
    with pytest.raises(ValueError, match="does not give '<s>' the id 7"):
        PromptEncoder(tokenizer, {"<s>": 7})
