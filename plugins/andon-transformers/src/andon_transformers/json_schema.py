"""Output that a JSON schema allows, by the optional library llguidance."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any

import torch

from andon.errors import UnsupportedParameterError

#: Enough to indent an object, and too little for a weak model to write spaces for ever.
_WHITESPACE = r"( |\n {0,20})?"


def is_available() -> bool:
    """Return whether the library is installed."""
    return find_spec("llguidance") is not None


class SchemaCompiler:
    """Makes constraints for one model.

    :param tokenizer: the tokenizer, as the text of its JSON file.
    :param vocabulary_size: number of the model's logits.
    :param end_tokens: ids of the tokens that end an answer.
    """

    def __init__(self, tokenizer: str, vocabulary_size: int, end_tokens: Sequence[int]) -> None:
        self._source = (tokenizer, vocabulary_size, list(end_tokens))
        self._tokenizer: Any = None

    def compile(self, schema: Mapping[str, Any], begun: str = "") -> SchemaConstraint:
        """Return the constraint of one answer.

        :param schema: the JSON schema.
        :param begun: the beginning of the answer, which is there already.
        :raises UnsupportedParameterError: the library is missing, or cannot express the schema; or
            that does not allow what was begun.
        """
        try:
            from llguidance import LLMatcher
        except ImportError as error:
            raise UnsupportedParameterError(
                "Transformers has no JSON schemas of its own; "
                "install andon-transformers[json], which adds them"
            ) from error
        try:
            grammar = LLMatcher.grammar_from_json_schema(
                json.dumps(schema), overrides={"whitespace_pattern": _WHITESPACE}
            )
            matcher = LLMatcher(self._read_tokenizer(), grammar, log_level=0)
        except (TypeError, ValueError) as error:
            raise UnsupportedParameterError(f"the JSON schema cannot be read: {error}") from error
        if matcher.is_error():
            raise UnsupportedParameterError(
                f"the JSON schema cannot be enforced: {matcher.get_error()}"
            )
        tokens = self._read_tokenizer().tokenize_bytes(begun.encode()) if begun else []
        if matcher.try_consume_tokens(tokens) < len(tokens):
            raise UnsupportedParameterError(
                "the JSON schema does not allow what was begun of the answer"
            )
        return SchemaConstraint(matcher)

    def _read_tokenizer(self) -> Any:
        if self._tokenizer is None:
            from llguidance import LLTokenizer

            text, size, ends = self._source
            try:
                self._tokenizer = LLTokenizer(text, n_vocab=size, eos_token=ends or None)
            except Exception as error:
                raise UnsupportedParameterError(
                    f"JSON schemas cannot be enforced with this model's tokenizer: {error}"
                ) from error
        return self._tokenizer


class SchemaConstraint:
    """The state of one answer with respect to its schema.

    :param matcher: llguidance's matcher.
    """

    def __init__(self, matcher: Any) -> None:
        self._matcher = matcher

    @property
    def finished(self) -> bool:
        """Whether nothing may follow."""
        return bool(self._matcher.is_stopped())

    def restrict(self, logits: torch.Tensor) -> torch.Tensor:
        """Return logits that leave only the tokens that the schema allows."""
        bits = torch.frombuffer(bytearray(self._matcher.compute_bitmask()), dtype=torch.uint8)
        powers = torch.arange(8, dtype=torch.uint8)
        allowed = (bits[:, None] >> powers & 1).flatten().bool()[: logits.numel()]
        missing = logits.numel() - allowed.numel()
        # Outputs of the model for which its tokenizer has no token.
        allowed = torch.nn.functional.pad(allowed, (0, missing))
        return logits.masked_fill(~allowed.to(logits.device), float("-inf"))

    def accept(self, token: int) -> None:
        """Note the token that was chosen.

        :raises RuntimeError: the schema does not allow it.
        """
        if not self._matcher.consume_token(token):
            raise RuntimeError(f"the JSON schema is lost: {self._matcher.get_error()}")
