"""Encodings, made from rank files that lie on this machine."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import Any

import tiktoken
from tiktoken_ext import openai_public

from andon_tiktoken.rank_files import RankFile

Ranks = dict[bytes, int]


class TiktokenTokenizer:
    """A tokenizer of :class:`andon.tokens.Tokenizer` over a tiktoken encoding."""

    def __init__(self, encoding: tiktoken.Encoding) -> None:
        self._encoding = encoding

    def encode(self, text: str) -> list[int]:
        """Return the ids of the text's tokens; nothing in it is read as a control token."""
        return self._encoding.encode_ordinary(text)

    def decode(self, tokens: list[int]) -> str:
        """Return the text of the tokens."""
        return self._encoding.decode(tokens)


def load(name: str, folder: Path) -> TiktokenTokenizer:
    """Return an encoding's tokenizer.

    :param name: the encoding's name, as ``o200k_base``.
    :param folder: where rank files lie.
    :raises ConfigurationError: its rank file is not there, or is another file.
    """
    described = describe(name, lambda file: _parse(file.read(folder)))
    return TiktokenTokenizer(tiktoken.Encoding(**described))


def rank_files(name: str) -> list[RankFile]:
    """Return the rank files that an encoding is made of."""
    found: list[RankFile] = []

    def note(file: RankFile) -> Ranks:
        found.append(file)
        return {}

    describe(name, note)
    return found


def describe(name: str, read: Callable[[RankFile], Ranks]) -> dict[str, Any]:
    """Return what tiktoken makes an encoding of.

    tiktoken's own description fetches a missing file by itself; it is called here with our own
    reader in that place, and its patterns, special tokens, URLs and hashes are used as they are.

    :param name: the encoding's name.
    :param read: reads a rank file.
    """
    namespace = dict(vars(openai_public))

    def load_tiktoken_bpe(url: str, expected_hash: str) -> Ranks:
        return read(RankFile(url, expected_hash))

    namespace["load_tiktoken_bpe"] = load_tiktoken_bpe
    # They call each other, by their names in this namespace.
    for other, constructor in openai_public.ENCODING_CONSTRUCTORS.items():
        namespace[other] = FunctionType(constructor.__code__, namespace)
    described: dict[str, Any] = namespace[name]()
    return described


def _parse(data: bytes) -> Ranks:
    pairs = (line.split() for line in data.splitlines() if line)
    return {base64.b64decode(token): int(rank) for token, rank in pairs}
