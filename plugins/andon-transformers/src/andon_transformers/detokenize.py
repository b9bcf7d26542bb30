"""Tokens as bytes: the UTF-8 bytes of one token after another, however long the answer gets.

Byte-level vocabularies spell each byte as a letter of an alphabet of their own; vocabularies in
the manner of SentencePiece write a space as ``▁`` and rare bytes as ``<0xNN>``. In both, the
bytes of a token do not depend on its neighbours. Everything else is decoded in a short window.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

#: Gives the bytes of each token of one answer, in order.
Feed: TypeAlias = Callable[[int], bytes]


class Vocabulary(Protocol):
    """What of a tokenizer is used here."""

    def id_to_token(self, id: int) -> str | None:  # noqa: A002 - the tokenizer's own name for it
        """Return the text by which the vocabulary has a token."""
        ...

    def decode(self, ids: Sequence[int], skip_special_tokens: bool = True) -> str:
        """Return the text of tokens."""
        ...


class Detokenizer:
    """What turns the tokens of answers into bytes.

    The bytes continue the prompt: where a vocabulary's decoder drops the space before the first
    word of a text, an answer keeps it, because its text is not the first.

    :param vocabulary: the tokenizer.
    :param decoder: its decoder, as its JSON file has it, or None where it has none.
    """

    def __init__(self, vocabulary: Vocabulary, decoder: Mapping[str, Any] | None) -> None:
        self._vocabulary = vocabulary
        self._spell = _speller(decoder)
        self._known: dict[int, bytes] = {}

    def start(self, prompt: Sequence[int]) -> Feed:
        """Return a function that gives the bytes of each token of a new answer.

        :param prompt: the tokens that stand before the answer.
        """
        if self._spell is None:
            return _Window(self._vocabulary, prompt)
        return self._lookup

    def _lookup(self, token: int) -> bytes:
        known = self._known.get(token)
        if known is None:
            known = self._known[token] = self._read(token)
        return known

    def _read(self, token: int) -> bytes:
        # Models often have more outputs than their tokenizer has tokens; those are empty.
        text = self._vocabulary.id_to_token(token)
        return self._spell(text) if self._spell is not None and text is not None else b""


class _Window:
    """Decodes each token together with the few before it, and takes what is new.

    A text that ends inside a character is held back until a token completes it.
    """

    _BEFORE = 8
    _HELD = 16

    def __init__(self, vocabulary: Vocabulary, prompt: Sequence[int]) -> None:
        self._vocabulary = vocabulary
        self._window = list(prompt[-self._BEFORE :])
        self._done = self._decode(self._window)
        self._held = 0

    def __call__(self, token: int) -> bytes:
        """Return the bytes that a token adds."""
        self._window.append(token)
        self._held += 1
        text = self._decode(self._window)
        if text.endswith("\N{REPLACEMENT CHARACTER}") and self._held < self._HELD:
            return b""
        new = text[len(self._done) :]
        self._window = self._window[-self._BEFORE :]
        self._done = self._decode(self._window)
        self._held = 0
        return new.encode()

    def _decode(self, tokens: Sequence[int]) -> str:
        return self._vocabulary.decode(tokens, skip_special_tokens=False)


def _speller(decoder: Mapping[str, Any] | None) -> Callable[[str], bytes] | None:
    steps = list(_steps(decoder))
    kinds = {step["type"] for step in steps}
    if kinds == {"ByteLevel"}:
        return _spell_byte_level
    if not kinds or not all(map(_is_like_sentencepiece, steps)):
        return None
    return _spell_with_bytes if "ByteFallback" in kinds else _spell_spaces


def _steps(decoder: Mapping[str, Any] | None) -> Iterator[Mapping[str, Any]]:
    if decoder is None:
        return
    if decoder["type"] == "Sequence":
        for step in decoder["decoders"]:
            yield from _steps(step)
    else:
        yield decoder


def _is_like_sentencepiece(step: Mapping[str, Any]) -> bool:
    match step:
        case {"type": "ByteFallback" | "Fuse"}:
            return True
        case {"type": "Metaspace", "replacement": "▁"}:
            return True
        case {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}:
            return True
        # Drops the space before a text's first word, which an answer never is.
        case {"type": "Strip", "content": " ", "stop": 0}:
            return True
    return False


def _spell_spaces(text: str) -> bytes:
    return text.replace("▁", " ").encode()


_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")


def _spell_with_bytes(text: str) -> bytes:
    byte = _BYTE.fullmatch(text)
    return bytes.fromhex(byte[1]) if byte else _spell_spaces(text)


def _alphabet() -> dict[str, int]:
    # Printable bytes stand for themselves; the others take the code points from 256 on, in order.
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = sorted(set(range(256)) - set(printable))
    return {chr(byte): byte for byte in printable} | {
        chr(256 + number): byte for number, byte in enumerate(others)
    }


_ALPHABET = _alphabet()


def _spell_byte_level(text: str) -> bytes:
    try:
        return bytes(_ALPHABET[letter] for letter in text)
    except KeyError:
        # A token that was added to the vocabulary later stands there as it is.
        return text.encode()
