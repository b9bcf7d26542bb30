"""{{ cookiecutter.summary }}."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from andon import RouterSpec, hookimpl

if TYPE_CHECKING:
    from andon.routing import Router


@hookimpl
def andon_register_routers() -> Iterable[RouterSpec]:
    """Offer the strategy ``{{ cookiecutter.name }}``."""
    return [RouterSpec(name="{{ cookiecutter.name }}", create=_create)]


def _create(options: Mapping[str, Any]) -> Router:
    from {{ cookiecutter.__package }}.router import create

    return create(options)
