"""A model's vocabulary: from text to tokens and back."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from andon.errors import UnsupportedParameterError
from andon.templates import Segment
from andon_llama_cpp.library import Model
from andon_llama_cpp.options import Options

# llama.cpp's bits of a token's attributes.
_CONTROL, _USER_DEFINED = 8, 16
# llama.cpp's number of the kind of vocabulary that SentencePiece makes.
_SENTENCEPIECE = 1

#: Control tokens that are part of an answer, and not of its frame.
_WRITTEN = frozenset(
    {"<tool_call>", "</tool_call>", "<think>", "</think>", "[TOOL_CALLS]", "[THINK]", "[/THINK]"}
)


class Vocabulary:
    """The vocabulary of a loaded model.

    :param model: the model; it must outlive the vocabulary.
    :param metadata: the values of the model's header.
    """

    def __init__(self, model: Model, metadata: Mapping[str, str]) -> None:
        self._functions = functions = model.functions
        self._vocab = vocab = model.vocab
        self.size = int(functions.llama_vocab_n_tokens(vocab))
        self.bos = self._special(metadata, "bos")
        self.eos = self._special(metadata, "eos")
        self._adds_bos = bool(functions.llama_vocab_get_add_bos(vocab)) and self.bos is not None
        #: The texts that are read as one token wherever they are meant.
        self.control_tokens: tuple[str, ...] = ()
        self._written: frozenset[int] = frozenset()
        self._user_defined: re.Pattern[str] | None = None
        self._find_special_tokens()
        # Text after a control token gets a space in front by SentencePiece; other text must not.
        self._adds_space = (
            functions.llama_vocab_type(vocab) == _SENTENCEPIECE
            and metadata.get("tokenizer.ggml.add_space_prefix", "true") != "false"
        )
        self._buffer = ctypes.create_string_buffer(256)

    def text(self, token: int | None) -> str:
        """Return a token's own text, control tokens included; nothing for None."""
        if token is None:
            return ""
        text: bytes = self._functions.llama_vocab_get_text(self._vocab, token)
        return text.decode("utf-8", "replace")

    def tokenize(self, segments: Sequence[Segment], add_bos: bool) -> list[int]:
        """Return the ids of a prompt; control tokens are recognised only where they are meant."""
        tokens = [self.bos] if add_bos and self._adds_bos and self.bos is not None else []
        for segment in segments:
            if segment.text:
                tokens += self._segment(segment, after_text=self._ends_in_text(tokens))
        return tokens

    def continuation(self, text: str) -> list[int]:
        """Return the ids of a text that follows another one.

        :raises UnsupportedParameterError: they would stand for another text.
        """
        tokens = self._segment(Segment(text, control=False), after_text=True)
        if self.pieces(tokens) != text.encode():
            raise UnsupportedParameterError("the model's tokens cannot go on with this text")
        return tokens

    def piece(self, token: int) -> bytes | None:
        """Return the bytes of a generated token, or None for one that ends the generation."""
        functions, buffer = self._functions, self._buffer
        if functions.llama_vocab_is_eog(self._vocab, token):
            return None
        written = token in self._written
        size = functions.llama_token_to_piece(self._vocab, token, buffer, len(buffer), 0, written)
        if size < 0:
            self._buffer = buffer = ctypes.create_string_buffer(-size)
            size = functions.llama_token_to_piece(self._vocab, token, buffer, -size, 0, written)
        return buffer.raw[:size]

    def pieces(self, tokens: Sequence[int]) -> bytes:
        """Return the bytes of tokens, those that end the generation left out."""
        return b"".join(self.piece(token) or b"" for token in tokens)

    def _special(self, metadata: Mapping[str, str], kind: str) -> int | None:
        # Without a value in the file, llama.cpp assumes that of some well-known model.
        value = metadata.get(f"tokenizer.ggml.{kind}_token_id", "")
        return int(value) if value.isdecimal() and int(value) < self.size else None

    def _find_special_tokens(self) -> None:
        texts, written, defined = [], set(), []
        attributes = self._functions.llama_vocab_get_attr
        for token in range(self.size):
            attribute = attributes(self._vocab, token)
            if not attribute & (_CONTROL | _USER_DEFINED):
                continue
            text = self.text(token)
            if not text.strip():
                continue
            texts.append(text)
            if attribute & _USER_DEFINED and text.startswith(("<", "[")):
                defined.append(text)
            if text in _WRITTEN:
                written.add(token)
        self.control_tokens = tuple(texts)
        self._written = frozenset(written)
        if defined:
            longest_first = sorted(defined, key=len, reverse=True)
            self._user_defined = re.compile("|".join(map(re.escape, longest_first)))

    def _ends_in_text(self, tokens: Sequence[int]) -> bool:
        if not tokens:
            return False
        attribute = self._functions.llama_vocab_get_attr(self._vocab, tokens[-1])
        return not attribute & (_CONTROL | _USER_DEFINED)

    def _segment(self, segment: Segment, after_text: bool) -> list[int]:
        if segment.control or self._user_defined is None:
            return self._tokens(segment.text, segment.control, after_text)
        # llama.cpp recognises user-defined tokens even in plain text, unless they are cut in two.
        cuts = [match.start() + 1 for match in self._user_defined.finditer(segment.text)]
        bounds = [0, *cuts, len(segment.text)]
        tokens: list[int] = []
        for start, end in pairwise(bounds):
            tokens += self._tokens(segment.text[start:end], False, after_text or start > 0)
        return tokens

    def _tokens(self, text: str, control: bool, after_text: bool) -> list[int]:
        if not (after_text and self._adds_space):
            return self._encode(text, control)
        # A line break never merges with what follows, and takes the space in front upon itself.
        lead = self._encode("\n", False)
        tokens = self._encode("\n" + text, control)
        return tokens[len(lead) :] if tokens[: len(lead)] == lead else self._encode(text, control)

    def _encode(self, text: str, control: bool) -> list[int]:
        data = text.encode("utf-8", "replace")
        room = len(data) + 2
        tokenize = self._functions.llama_tokenize
        while True:
            array = (self._functions.llama_token * room)()
            size = tokenize(self._vocab, data, len(data), array, room, False, control)
            if size >= 0:
                return list(array[:size])
            room = -size


class VocabTokenizer:
    """A :class:`~andon.tokens.Tokenizer` over a GGUF file, whose weights are not loaded.

    Its ids are those of the model; used from one thread at a time.

    :param path: the file.
    :raises ModelLoadError: the file cannot be read.
    """

    def __init__(self, path: str | Path) -> None:
        self._model = Model(Path(path), Options(), vocab_only=True)
        self._vocabulary = Vocabulary(self._model, self._model.metadata())

    def encode(self, text: str) -> list[int]:
        """Return the ids of the text's tokens; nothing in it is read as a control token."""
        return self._vocabulary.tokenize((Segment(text, control=False),), add_bos=False)

    def decode(self, tokens: list[int]) -> str:
        """Return the text of the tokens."""
        return self._vocabulary.pieces(tokens).decode("utf-8", "replace")

    def count(self, segments: Sequence[Segment], *, add_bos: bool = True) -> int:
        """Return the number of tokens of a prompt in pieces, as the loaded model counts them."""
        return len(self._vocabulary.tokenize(segments, add_bos))

    def close(self) -> None:
        """Free the vocabulary."""
        self._model.free()
