"""The seam to llama.cpp: models and contexts as objects that are freed once.

The bindings are loaded on demand and typed as Any; what crosses into the rest of the package has
types of its own. llama.cpp itself does not hold the interpreter's lock while it computes.
"""

from __future__ import annotations

import ctypes
import importlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from andon.errors import ModelLoadError, ServerError
from andon.gguf import read_header
from andon_llama_cpp import logs
from andon_llama_cpp.options import Options


@cache
def bindings() -> Any:
    """Return llama.cpp's own functions.

    :raises ModelLoadError: llama-cpp-python is not installed, or its library does not load.
    """
    try:
        functions = importlib.import_module("llama_cpp.llama_cpp")
    except (ImportError, OSError, RuntimeError) as error:
        raise ModelLoadError(
            f"llama.cpp cannot be loaded: {error}; install llama-cpp-python again"
        ) from error
    functions.llama_backend_init()
    return functions


class Model:
    """The weights of a model, or only its vocabulary.

    :param path: the GGUF file.
    :param options: how to load it.
    :param vocab_only: leave the weights out.
    :raises ModelLoadError: the file is missing, damaged, or of a kind unknown to llama.cpp.
    """

    def __init__(self, path: Path, options: Options, *, vocab_only: bool = False) -> None:
        read_header(path)
        self.functions = bindings()
        if options.silence_logs:
            logs.silence(self.functions)
        logs.complaints()
        params = self.functions.llama_model_default_params()
        params.n_gpu_layers = options.n_gpu_layers
        params.vocab_only = vocab_only
        if not options.use_mmap:
            params.load_mode = self.functions.LLAMA_LOAD_MODE_NONE
        self.pointer: int | None = self.functions.llama_model_load_from_file(
            str(path).encode(), params
        )
        if not self.pointer:
            why = logs.complaints() or "it does not say why; silence_logs=false shows its log"
            raise ModelLoadError(f"llama.cpp cannot load {path}: {why}")
        self.vocab = self.functions.llama_model_get_vocab(self.pointer)

    @property
    def trained_window(self) -> int:
        """The context window that the model was trained for."""
        return int(self.functions.llama_model_n_ctx_train(self.pointer))

    @property
    def weights(self) -> int:
        """Bytes of the model's weights."""
        return int(self.functions.llama_model_size(self.pointer))

    def metadata(self) -> dict[str, str]:
        """Return the scalar values of the file's header, as text."""
        functions = self.functions
        values = {}
        for index in range(functions.llama_model_meta_count(self.pointer)):
            key = self._text(functions.llama_model_meta_key_by_index, index)
            values[key] = self._text(functions.llama_model_meta_val_str_by_index, index)
        return values

    def free(self) -> None:
        """Give the memory back; may be called twice."""
        if self.pointer:
            pointer, self.pointer = self.pointer, None
            self.functions.llama_model_free(pointer)

    def _text(self, read: Any, index: int) -> str:
        size = read(self.pointer, index, ctypes.create_string_buffer(1), 1)
        buffer = ctypes.create_string_buffer(size + 1)
        read(self.pointer, index, buffer, size + 1)
        return buffer.value.decode("utf-8", "replace")


class Context:
    """What a model has read so far, one sequence of tokens.

    :param model: the model; it must outlive the context.
    :param options: how large the window is, and how many threads compute.
    :raises ModelLoadError: there is not enough memory, or the model generates no text.
    """

    def __init__(self, model: Model, options: Options) -> None:
        self.functions = functions = model.functions
        self.window = min(model.trained_window, options.n_ctx) or options.n_ctx
        params = functions.llama_context_default_params()
        params.n_ctx = self.window
        params.n_batch = min(options.n_batch, self.window)
        params.n_threads = params.n_threads_batch = options.threads(model.weights)
        params.no_perf = True
        self.pointer: int | None = functions.llama_init_from_model(model.pointer, params)
        if not self.pointer:
            raise ModelLoadError(
                f"llama.cpp cannot make a context of {self.window:,} tokens: "
                f"{logs.complaints() or 'probably for lack of memory'}; try a smaller n_ctx"
            )
        self.batch_size = int(functions.llama_n_batch(self.pointer))
        #: Whether llama.cpp is computing in it at this moment.
        self.busy = False
        #: The tokens that have been read.
        self.tokens: list[int] = []
        self._memory = functions.llama_get_memory(self.pointer)
        self._one = (functions.llama_token * 1)()
        self._one_batch = functions.llama_batch_get_one(self._one, 1)

    def keep(self, size: int) -> int:
        """Forget all tokens after the first ``size``; return how many are left.

        Memories that cannot forget a part, those of recurrent models, forget everything.
        """
        if size >= len(self.tokens):
            return len(self.tokens)
        functions, memory = self.functions, self._memory
        kept = size > 0 and functions.llama_memory_seq_rm(memory, 0, size, -1)
        # A sliding window may have dropped what the kept tokens need.
        if not kept or functions.llama_memory_seq_pos_min(memory, 0) > 0:
            self.forget()
        else:
            del self.tokens[size:]
        return len(self.tokens)

    def forget(self) -> None:
        """Forget all tokens."""
        if self._memory:
            self.functions.llama_memory_clear(self._memory, False)
        self.tokens.clear()

    def read(self, tokens: Sequence[int]) -> None:
        """Read a batch of tokens, at most :attr:`batch_size`.

        :raises ServerError: llama.cpp failed; all tokens are forgotten.
        """
        array = (self.functions.llama_token * len(tokens))(*tokens)
        self._decode(self.functions.llama_batch_get_one(array, len(tokens)))
        self.tokens.extend(tokens)

    def read_one(self, token: int) -> None:
        """Read one token.

        :raises ServerError: llama.cpp failed; all tokens are forgotten.
        """
        self._one[0] = token
        self._decode(self._one_batch)
        self.tokens.append(token)

    def free(self) -> None:
        """Give the memory back; may be called twice."""
        if self.pointer:
            pointer, self.pointer, self._memory = self.pointer, None, None
            self.functions.llama_free(pointer)

    def _decode(self, batch: Any) -> None:
        self.busy = True
        code = self.functions.llama_decode(self.pointer, batch)
        self.busy = False
        if code != 0:
            self.forget()
            raise ServerError(
                f"llama.cpp failed to compute a token (code {code}): "
                f"{logs.complaints() or 'no reason given'}"
            )
