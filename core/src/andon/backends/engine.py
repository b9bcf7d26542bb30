"""The contract of an engine that runs a model inside this process.

A plugin implements :class:`Engine`, which turns tokens into tokens, and hands a function that
loads one to :class:`andon.backends.in_process.InProcessBackend`, which does all the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from andon.specs import ModelCard
from andon.templates import Segment


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerateOptions:
    """How to generate.

    :param max_tokens: most tokens to generate; prompt and this together fit the window.
    :param temperature: 0 is greedy; None is the engine's own default.
    :param top_p: nucleus sampling; None is the engine's own default.
    :param seed: seed of the sampler; None takes a random one.
    :param json_schema: the output must be one JSON value that this schema allows.
    :param begun: the beginning of that value, which stands at the end of the prompt already.
    :param cancelled: asked between tokens, and between the batches of a long prompt; the
        engine stops as soon as it gives True.
    """

    max_tokens: int
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    json_schema: Mapping[str, Any] | None = None
    begun: str = ""
    cancelled: Callable[[], bool] = lambda: False


class Engine(Protocol):
    """A model loaded into this process. Used by one thread at a time, but not always the same.

    Only :meth:`tokenize` may be called while another thread is in :meth:`generate`. An engine
    that keeps what it has read may also have an attribute ``reused_tokens``: how many tokens of
    the latest prompt it did not need to read again.
    """

    @property
    def card(self) -> ModelCard:
        """The model as its file describes it: name, context window, capabilities."""
        ...

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What the file says of chat templates, as ``ChatTemplateEngine.from_model`` reads it."""
        ...

    @property
    def control_tokens(self) -> Sequence[str]:
        """The texts that the tokenizer reads as control tokens."""
        ...

    def tokenize(self, segments: Sequence[Segment], add_bos: bool) -> list[int]:
        """Return the ids of a prompt.

        Only text of a segment with ``control`` set may become a control token.

        :param segments: the prompt in pieces.
        :param add_bos: whether to begin as the model's tokenizer begins a text of its own.
        """
        ...

    def generate(self, tokens: Sequence[int], options: GenerateOptions) -> Iterator[bytes]:
        """Give the UTF-8 bytes of each generated token; a token may end inside a character.

        A token without text, such as a control token, gives ``b""``. The iterator ends, without
        an item for it, at a token that ends the generation; after ``max_tokens`` tokens; when
        cancelled; or when closed.

        :raises UnsupportedParameterError: an option is beyond the engine, or the schema does not
            allow what was begun; before any work.
        :raises ServerError: the engine failed.
        """
        ...

    def close(self) -> None:
        """Free the model."""
        ...
