"""Servers that speak several protocols, and the setting ``api`` that chooses one of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from andon.errors import SettingsError
from andon.specs import BackendContext
from andon.wire.dialect import Dialect

#: What an endpoint must name among its ``options``, so that the setting is taken.
API_OPTION = "api"


def choose_api(
    dialects: Mapping[str, Callable[[BackendContext], Dialect]], *, default: str = "chat"
) -> Callable[[BackendContext], Dialect]:
    """Return what makes the dialect that the setting ``api`` names.

    :param dialects: what makes each dialect, by the word that chooses it.
    :param default: the word where the setting is missing.
    """

    def create(context: BackendContext) -> Dialect:
        word = context.options.get(API_OPTION, default)
        if not isinstance(word, str) or word not in dialects:
            known = ", ".join(f'"{word}"' for word in dialects)
            raise SettingsError(f"{API_OPTION} must be one of {known}, not {word!r}")
        return dialects[word](context)

    return create
