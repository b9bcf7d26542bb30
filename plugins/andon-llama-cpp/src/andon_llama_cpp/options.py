"""The settings of the backend."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from andon.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Options:
    """How models are loaded.

    :param n_ctx: largest context window, in tokens; a model's own is never exceeded. The memory
        of the window is taken at once, hence the modest default.
    :param n_threads: threads that compute; 0 chooses.
    :param n_batch: tokens of a prompt that are read at once, between two looks at the timeout.
    :param n_gpu_layers: layers that go to the GPU; -1 means all.
    :param use_mmap: map the file into memory instead of reading it: quick, and shared between
        processes, but the process dies if somebody overwrites the file in place.
    :param silence_logs: take llama.cpp's log away from stderr, for the whole process.
    """

    n_ctx: int = 8192
    n_threads: int = 0
    n_batch: int = 512
    n_gpu_layers: int = 0
    use_mmap: bool = True
    silence_logs: bool = True

    def threads(self, weights: int) -> int:
        """Return how many threads compute a model whose weights have so many bytes."""
        return self.n_threads or min(_cores(), max(1, weights // _BYTES_PER_THREAD))


#: Threads wait for each other many times a token. With less work than this for each, they gain
#: little on an idle machine, and on a busy one they lose all (measured with 4 MB on two cores:
#: 0.3 ms a token against 0.45 ms of one thread when idle, 10 to 90 ms against 0.6 when busy).
_BYTES_PER_THREAD = 16 * 1024 * 1024

_LEAST = {"n_ctx": 1, "n_threads": 0, "n_batch": 1, "n_gpu_layers": -1}


def read_options(options: Mapping[str, Any]) -> Options:
    """Return the settings, checked.

    :raises SettingsError: one is unknown or has a wrong value.
    """
    known = {field.name for field in fields(Options)}
    if unknown := set(options) - known:
        raise SettingsError(
            f"llama-cpp has no settings {sorted(unknown)}; it has {', '.join(sorted(known))}"
        )
    for name, value in options.items():
        _check(name, value)
    return Options(**options)


def _check(name: str, value: Any) -> None:
    if name not in _LEAST:
        if not isinstance(value, bool):
            raise SettingsError(f"llama-cpp: {name} must be true or false, not {value!r}")
        return
    least = _LEAST[name]
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise SettingsError(
            f"llama-cpp: {name} must be a whole number of at least {least}, not {value!r}"
        )


def _cores() -> int:
    try:
        cpus = len(os.sched_getaffinity(0))
    except AttributeError:
        cpus = os.cpu_count() or 1
    # Two threads on one core only wait for each other; most machines with more than four CPUs
    # count each core twice.
    return cpus if cpus <= 4 else cpus // 2
