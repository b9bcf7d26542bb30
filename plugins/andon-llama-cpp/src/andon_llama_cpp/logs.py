"""llama.cpp's log: one for the whole process, and on stderr unless somebody takes it."""

from __future__ import annotations

import ctypes
import logging
from collections import deque
from typing import Any

_logger = logging.getLogger("andon_llama_cpp")
# ggml's numbers of levels.
_WARNING, _ERROR = 3, 4

#: The last warnings and errors, for the message of a load that failed.
_complaints: deque[str] = deque(maxlen=8)
#: The callback must live as long as llama.cpp may call it.
_kept: list[Any] = []


def silence(bindings: Any) -> None:
    """Take the log away from stderr; the logger ``andon_llama_cpp`` gets it at its debug level.

    :param bindings: the functions of llama.cpp.
    """
    if _kept:
        return
    callback = bindings.llama_log_callback(_receive)
    _kept.append(callback)
    bindings.llama_log_set(callback, ctypes.c_void_p(0))


def complaints() -> str:
    """Return the last warnings and errors, and forget them."""
    lines = "; ".join(_complaints)
    _complaints.clear()
    return lines


def _receive(level: int, text: bytes, user_data: Any) -> None:
    line = text.decode("utf-8", "replace").strip()
    if line and level in {_WARNING, _ERROR}:
        _complaints.append(line)
    if line and _logger.isEnabledFor(logging.DEBUG):
        _logger.debug("%s", line)
