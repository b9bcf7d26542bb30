"""The backend's own settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from andon.errors import SettingsError

_DTYPES = ("auto", "float32", "bfloat16", "float16")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How models are found and loaded.

    :param device: where the model computes, in PyTorch's words; ``"auto"`` takes a GPU if there
        is one.
    :param dtype: ``"auto"`` keeps the numbers as they are in the file.
    :param threads: threads that compute on the CPU, or None for PyTorch's own choice. PyTorch has
        one number for the whole process.
    :param download: whether a repository that is not on this machine may be downloaded.
    :param revision: branch, tag or commit of a repository; None takes its main branch.
    """

    device: str = "auto"
    dtype: str = "auto"
    threads: int | None = None
    download: bool = False
    revision: str | None = None


_VALID: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "device": (lambda value: isinstance(value, str), 'a text such as "auto", "cpu" or "cuda:1"'),
    "dtype": (lambda value: value in _DTYPES, f"one of {', '.join(_DTYPES)}"),
    "threads": (
        lambda value: value is None or (type(value) is int and value >= 1),
        "a whole number from 1 on",
    ),
    "download": (lambda value: isinstance(value, bool), "true or false"),
    "revision": (lambda value: value is None or isinstance(value, str), "a text"),
}


def read_options(given: Mapping[str, Any]) -> Options:
    """Return the settings of ``[endpoints.transformers]``.

    :raises SettingsError: there is no such setting, or its value is wrong.
    """
    names = [field.name for field in fields(Options)]
    for name, value in given.items():
        if name not in names:
            raise SettingsError(
                f"the backend transformers has no option {name!r}; it has {', '.join(names)}"
            )
        valid, meaning = _VALID[name]
        if not valid(value):
            raise SettingsError(f"the option {name} is {meaning}, not {value!r}")
    return Options(**given)
