"""Keeping Transformers quiet while it loads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from importlib import import_module
from typing import Any

from transformers.utils import logging

# Hardly any of its functions is typed.
_logging: Any = logging


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Transformers from drawing progress bars and giving advice; leave it as it was."""
    with ExitStack() as stack:
        stack.callback(_logging.set_verbosity, _logging.get_verbosity())
        if _logging.is_progress_bar_enabled():
            stack.callback(_logging.enable_progress_bar)
        stack.enter_context(_no_gguf_bar())
        _logging.set_verbosity_error()
        _logging.disable_progress_bar()
        yield


@contextmanager
def _no_gguf_bar() -> Iterator[None]:
    # This reader does not ask whether progress bars are wanted. Not every version has it.
    try:
        reader: Any = import_module("transformers.modeling_gguf_pytorch_utils")
        bar = reader.tqdm
    except (ImportError, AttributeError):
        yield
        return
    reader.tqdm = partial(bar, disable=True)
    try:
        yield
    finally:
        reader.tqdm = bar
