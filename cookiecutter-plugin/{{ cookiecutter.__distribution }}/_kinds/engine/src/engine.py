"""The engine: tokens in, tokens out. andon does everything else about an answer.

This one recites the line that its model's file holds, byte by byte, from where the prompt has come
to; so it continues what was begun.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from andon import BackendContext, ModelCard, ModelLoadError, UnsupportedParameterError
from andon.backends.engine import GenerateOptions
from andon.templates import Segment

from {{ cookiecutter.__package }} import CONTEXT_WINDOW, CONTROL_TOKENS

#: As a fast engine takes.
SECONDS_A_TOKEN = 0.001


class RecitingEngine:
    """A model that knows one line.

    :param name: its name.
    :param line: the line.
    """

    def __init__(self, name: str, line: bytes) -> None:
        self.card = ModelCard(name=name, context_window=CONTEXT_WINDOW)
        #: What the model's file says of its chat template; this one says nothing.
        self.metadata: Mapping[str, Any] = {}
        self.control_tokens: Sequence[str] = CONTROL_TOKENS
        self._line = line

    def tokenize(self, segments: Sequence[Segment], add_bos: bool) -> list[int]:
        """Return the ids of a prompt: its bytes, and one for each control token that is meant."""
        return [token for segment in segments for token in _tokens(segment)]

    def generate(self, tokens: Sequence[int], options: GenerateOptions) -> Iterator[bytes]:
        """Give the bytes of each generated token.

        :raises UnsupportedParameterError: the answer is to be kept to a JSON schema.
        """
        if options.json_schema is not None:
            raise UnsupportedParameterError(
                "this engine keeps to no JSON schema", parameter="response_format"
            )
        return self._recite(tokens, options)

    def _recite(self, tokens: Sequence[int], options: GenerateOptions) -> Iterator[bytes]:
        prompt = bytes(token for token in tokens if token < 256)
        said = next(n for n in range(len(self._line), -1, -1) if prompt.endswith(self._line[:n]))
        for place in range(said, min(len(self._line), said + options.max_tokens)):
            if options.cancelled():
                return
            # Here a model computes, while other threads go on.
            time.sleep(SECONDS_A_TOKEN)
            yield self._line[place : place + 1]

    def close(self) -> None:
        """Free the model."""


def load(name: str, path: Path, context: BackendContext) -> RecitingEngine:
    """Load a model.

    :param name: its name, as it was asked for.
    :param path: where it lies.
    :param context: the backend's own settings.
    :raises ModelLoadError: the file cannot be read.
    """
    try:
        line = path.read_bytes().strip()
    except OSError as error:
        raise ModelLoadError(f"the model {name!r} cannot be read: {error}") from error
    return RecitingEngine(name, line)


def _tokens(segment: Segment) -> Iterator[int]:
    text = segment.text
    while text:
        meant = segment.control and next((t for t in CONTROL_TOKENS if text.startswith(t)), None)
        if meant:
            # Their ids follow those of the bytes.
            yield 256 + CONTROL_TOKENS.index(meant)
            text = text[len(meant) :]
        else:
            yield from text[0].encode("utf-8", "surrogatepass")
            text = text[1:]
