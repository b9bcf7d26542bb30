"""A model of Transformers as an engine of andon."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from andon.errors import InvalidRequestError, ServerError
from andon.specs import ModelCard
from andon_transformers.json_schema import SchemaConstraint
from andon_transformers.model import LoadedModel
from andon_transformers.reuse import PrefixCache
from andon_transformers.sampling import Sampler

if TYPE_CHECKING:
    from andon.backends.engine import GenerateOptions
    from andon.templates import Segment

#: Tokens of a prompt that are computed at once; cancelling waits for no more than these.
BATCH = 512


class TransformersEngine:
    """Turns tokens into tokens with a model of Transformers.

    :param loaded: the model with its tokenizer.
    """

    def __init__(self, loaded: LoadedModel) -> None:
        self._loaded: LoadedModel | None = loaded
        self._prefix: PrefixCache | None = None
        self._card = loaded.card
        self._metadata = loaded.metadata
        self._control_tokens = loaded.control_tokens
        #: Tokens of the latest prompt that had been read for an earlier one.
        self.reused_tokens = 0

    @property
    def card(self) -> ModelCard:
        """The model as its file describes it: name, context window, capabilities."""
        return self._card

    @property
    def metadata(self) -> Mapping[str, Any]:
        """The chat template, and the texts of BOS and EOS."""
        return self._metadata

    @property
    def control_tokens(self) -> Sequence[str]:
        """The texts that the tokenizer reads as control tokens."""
        return self._control_tokens

    def tokenize(self, segments: Sequence[Segment], add_bos: bool) -> list[int]:
        """Return the ids of a prompt.

        Only text of a segment with ``control`` set may become a control token.

        :param segments: the prompt in pieces.
        :param add_bos: whether to begin as the model's tokenizer begins a text of its own.
        """
        loaded = self._open()
        ids = loaded.encoder.encode(segments)
        return [*loaded.opening, *ids] if add_bos else ids

    def generate(self, tokens: Sequence[int], options: GenerateOptions) -> Iterator[bytes]:
        """Give the UTF-8 bytes of each generated token; a token may end inside a character.

        :raises InvalidRequestError: the prompt has no token.
        :raises UnsupportedParameterError: the JSON schema cannot be enforced, or does not allow
            what was begun.
        :raises ServerError: the model failed.
        """
        loaded = self._open()
        if not tokens:
            raise InvalidRequestError("the prompt is empty, and the model has no BOS to begin with")
        defaults = loaded.sampling
        sampler = Sampler(
            temperature=_given(options.temperature, defaults.temperature),
            top_p=_given(options.top_p, defaults.top_p),
            top_k=defaults.top_k,
            seed=options.seed,
        )
        schema = options.json_schema
        constraint = None if schema is None else loaded.schemas.compile(schema, options.begun)
        return self._run(loaded, list(tokens), options, sampler, constraint)

    def close(self) -> None:
        """Free the model."""
        self._loaded = None
        self._prefix = None
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _open(self) -> LoadedModel:
        if self._loaded is None:
            raise ServerError("the model was closed", backend="candle", model=self.card.name)
        return self._loaded

    def _run(
        self,
        loaded: LoadedModel,
        prompt: Sequence[int],
        options: GenerateOptions,
        sampler: Sampler,
        constraint: SchemaConstraint | None,
    ) -> Iterator[bytes]:
        feed = loaded.detokenizer.start(prompt)
        with self._borrowed_prefix(loaded) as prefix:
            with self._failing():
                self.reused_tokens = prefix.rewind(prompt)
            unread = prompt[self.reused_tokens :]
            for _ in range(options.max_tokens):
                if constraint is not None and constraint.finished:
                    return
                with self._failing():
                    logits = _read(loaded, prefix, unread, options.cancelled)
                    token = None if logits is None else _choose(logits, sampler, constraint)
                if token is None or token in loaded.end_tokens:
                    return
                unread = [token]
                yield feed(token)

    @contextmanager
    def _borrowed_prefix(self, loaded: LoadedModel) -> Iterator[PrefixCache]:
        # Taken for the time of one answer, so that an answer left half-read cannot share it.
        prefix, self._prefix = self._prefix or PrefixCache(loaded.config), None
        # Broken off in its midst, a computation leaves some layers ahead of others.
        sound = False
        try:
            yield prefix
            sound = True
        except GeneratorExit:
            # Answers are closed between two tokens.
            sound = True
            raise
        finally:
            if sound and self._loaded is loaded:
                self._prefix = prefix

    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            raise ServerError(
                f"{self._card.name} failed: {error}", backend="candle", model=self._card.name
            ) from error


def _given(value: float | None, default: float) -> float:
    return default if value is None else value


@torch.inference_mode()
def _read(
    loaded: LoadedModel,
    prefix: PrefixCache,
    tokens: Sequence[int],
    cancelled: Callable[[], bool],
) -> torch.Tensor | None:
    """Let the model read tokens; return the logits after the last, or None when cancelled."""
    logits = None
    size = BATCH if prefix.attends else len(tokens)
    for start in range(0, len(tokens), size):
        if cancelled():
            return None
        batch = tokens[start : start + size]
        logits = loaded.forward(batch, prefix.cache)
        prefix.extend(batch)
    return logits


@torch.inference_mode()
def _choose(logits: torch.Tensor, sampler: Sampler, constraint: SchemaConstraint | None) -> int:
    if constraint is None:
        return sampler.choose(logits)
    token = sampler.choose(constraint.restrict(logits))
    constraint.accept(token)
    return token
