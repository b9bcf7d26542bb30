"""A GGUF model as an andon engine, with a decode loop whose cost does not grow with the answer."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

from andon.backends.engine import GenerateOptions
from andon.errors import ClientClosedError, ContextOverflowError
from andon.specs import BackendContext, ModelCard
from andon.templates import Segment
from andon_llama_cpp.library import Context, Model
from andon_llama_cpp.options import Options, read_options
from andon_llama_cpp.sampler import Sampler
from andon_llama_cpp.vocabulary import Vocabulary


def load(name: str, path: Path, context: BackendContext) -> LlamaEngine:
    """Load a GGUF file.

    :param name: the model's name, for its card.
    :param path: the file.
    :param context: the backend's settings.
    :raises ModelLoadError: the file is missing, damaged, or of a kind unknown to llama.cpp.
    :raises SettingsError: a setting is unknown or wrong.
    """
    return LlamaEngine(path, read_options(context.options), name=name)


class LlamaEngine:
    """An :class:`~andon.backends.engine.Engine` over llama.cpp.

    It remembers the tokens that it has read, and reads only what is new of the next prompt.

    :param path: the GGUF file.
    :param options: how to load it.
    :param name: the model's name; the file's without one.
    :param ignore_eog: go on after a token that ends the generation, for measurements.
    :raises ModelLoadError: the file is missing, damaged, or of a kind unknown to llama.cpp.
    """

    def __init__(
        self,
        path: Path,
        options: Options | None = None,
        *,
        name: str | None = None,
        ignore_eog: bool = False,
    ) -> None:
        options = options or Options()
        self._model = Model(path, options)
        try:
            self._context = Context(self._model, options)
        except BaseException:
            self._model.free()
            raise
        self._finalizer = weakref.finalize(self, _free, self._model, self._context)
        values = self._model.metadata()
        self._vocabulary = Vocabulary(self._model, values)
        self._pieces: dict[int, bytes | None] = {}
        self._ending = b"" if ignore_eog else None
        self._sampler: Sampler | None = None
        self._closed = False
        #: Tokens of the latest prompt that had been read before.
        self.reused_tokens = 0
        self.metadata: Mapping[str, Any] = _template_metadata(values, self._vocabulary)
        self.card = ModelCard(
            name=name or path.stem,
            backends=("llama-cpp",),
            context_window=self._context.window,
            capabilities=frozenset({"chat", "json_schema", "prefill", "tools"}),
            description=values.get("general.name", ""),
        )

    @property
    def control_tokens(self) -> Sequence[str]:
        """The texts that the tokenizer reads as control tokens."""
        return self._vocabulary.control_tokens

    def tokenize(self, segments: Sequence[Segment], add_bos: bool) -> list[int]:
        """Return the ids of a prompt; see :meth:`andon.backends.engine.Engine.tokenize`."""
        self._check_open()
        return self._vocabulary.tokenize(segments, add_bos)

    def generate(self, tokens: Sequence[int], options: GenerateOptions) -> Iterator[bytes]:
        """Give the bytes of each generated token.

        Greedy at temperature 0. Otherwise llama.cpp's samplers top-p, temperature and draw, with
        its defaults of 0.95 and 0.8 for what the request leaves open.

        :raises UnsupportedParameterError: llama.cpp cannot enforce the JSON schema, or it does not
            allow what was begun.
        :raises ContextOverflowError: the prompt does not fit.
        :raises ServerError: llama.cpp failed.
        :raises ClientClosedError: the engine was closed before.
        """
        self._check_open()
        self._check_size(tokens)
        begun = self._vocabulary.continuation(options.begun) if options.begun else []
        sampler = self._sampler = Sampler(self._model, options, begun)
        try:
            if self._read(tokens, options):
                yield from self._write(sampler, options)
        finally:
            sampler.free()

    def close(self) -> None:
        """Free the model; called between two tokens, it ends the answer that is under way."""
        self._closed = True
        if self._sampler is not None:
            self._sampler.free()
        self._finalizer()

    def _check_open(self) -> None:
        if self._closed:
            raise ClientClosedError("the model was closed; load it again")

    def _check_size(self, tokens: Sequence[int]) -> None:
        window = self._context.window
        if len(tokens) >= window:
            raise ContextOverflowError(
                f"the prompt has {len(tokens):,} tokens, but the model was loaded with a context "
                f"window of {window:,}; shorten it, or raise n_ctx if the model allows",
                input_tokens=len(tokens),
                window=window,
                reserve=1,
            )

    def _read(self, tokens: Sequence[int], options: GenerateOptions) -> bool:
        """Read what is new of the prompt; False when cancelled."""
        context = self._context
        # The last token is always read again, as the first of the answer follows from it.
        common = min(_common_prefix(context.tokens, tokens), len(tokens) - 1)
        self.reused_tokens = start = context.keep(common)
        for at in range(start, len(tokens), context.batch_size):
            if options.cancelled() or self._closed:
                return False
            context.read(tokens[at : at + context.batch_size])
        return True

    def _write(self, sampler: Sampler, options: GenerateOptions) -> Iterator[bytes]:
        context, pieces, cancelled = self._context, self._pieces, options.cancelled
        for left in range(options.max_tokens - 1, -1, -1):
            token = sampler.sample(context)
            try:
                piece = pieces[token]
            except KeyError:
                piece = self._learn(token)
            if piece is None:
                return
            yield piece
            # While the answer was suspended, anything may have happened.
            if not left or self._closed or cancelled():
                return
            context.read_one(token)

    def _learn(self, token: int) -> bytes | None:
        piece = self._vocabulary.piece(token)
        piece = self._pieces[token] = self._ending if piece is None else piece
        return piece


def _template_metadata(values: Mapping[str, str], vocabulary: Vocabulary) -> dict[str, Any]:
    """Return what the header says of chat templates; its numbers are texts here, and left out."""
    kept = {
        key: value
        for key, value in values.items()
        if key.startswith(("tokenizer.chat_template", "tokenizer.ggml.pre", "general."))
    }
    for kind, token in (("bos", vocabulary.bos), ("eos", vocabulary.eos)):
        if token is not None:
            kept[f"{kind}_token"] = vocabulary.text(token)
    return kept


def _common_prefix(one: Sequence[int], other: Sequence[int]) -> int:
    pairs = zip(one, other, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _free(model: Model, context: Context) -> None:
    # At the interpreter's end a thread that nobody waits for may still be computing.
    if not context.busy:
        context.free()
        model.free()
