"""{{ cookiecutter.summary }}."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from andon import LedgerSpec, hookimpl

if TYPE_CHECKING:
    from andon.budget import Ledger


@hookimpl
def andon_register_ledgers() -> Iterable[LedgerSpec]:
    """Offer ledgers at ``{{ cookiecutter.name }}://…``."""
    return [LedgerSpec(scheme="{{ cookiecutter.name }}", create=_create)]


def _create(url: str) -> Ledger:
    from {{ cookiecutter.__package }}.ledger import StoreLedger
    from {{ cookiecutter.__package }}.store import Store, path_in

    return StoreLedger(Store(path_in(url)))
