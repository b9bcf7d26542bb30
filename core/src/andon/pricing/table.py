"""Finding what a model costs: the nearest source that knows it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal, TypeAlias

from andon.errors import UnknownPriceError
from andon.pricing.built_in import BUILT_IN
from andon.specs import Locality, Price

#: What to do about a model whose price nobody knows.
UnknownPrice = Literal["refuse", "highest_known", "allow"]

#: A model's price, or its prices in turn, each from the day ``valid_from`` on.
Priced: TypeAlias = Price | Sequence[Price]

_FREE = Price(input=Decimal(0), output=Decimal(0), source="runs on your own hardware")
_OWN_HARDWARE = frozenset({Locality.IN_PROCESS, Locality.LOCAL})


def _unheard(backend: str, model: str) -> Price | None:
    return None


def _today() -> str:
    # Providers write their days in no one zone; this is between them.
    return datetime.now(UTC).date().isoformat()


@dataclass(frozen=True, slots=True)
class PriceTable:
    """Finds what a model costs; the nearest source wins. Names are matched whole, never in part.

    The sources, nearest first: an argument, a hook of the program itself, the settings, the file
    that they name, installed plugins, andon's own small table. In each, ``backend:*`` is asked
    after ``backend:model``.

    :param overrides: prices by ``backend:model`` from an argument; or ``backend:*`` for all others
        there.
    :param ask: asks installed plugins; gives None where none of them knows.
    :param built_in: andon's own small table, asked last.
    :param unknown: what to do about a model that is in none: ``"refuse"`` it, take the
        ``"highest_known"`` price, or ``"allow"`` it for nothing.
    :param hook: asks the plugins that the program handed over itself.
    :param tables: prices that are asked after the hook, nearest first: the settings', the file's.
    :param today: gives the day as ``YYYY-MM-DD``, for prices that hold from a day on.
    """

    overrides: Mapping[str, Priced] = field(default_factory=dict)
    ask: Callable[[str, str], Price | None] = _unheard
    built_in: Mapping[str, Priced] = field(default_factory=lambda: BUILT_IN)
    unknown: UnknownPrice = "refuse"
    hook: Callable[[str, str], Price | None] | None = None
    tables: Sequence[Mapping[str, Priced]] = ()
    today: Callable[[], str] = _today

    def price(self, backend: str, model: str, locality: Locality) -> Price:
        """Return a model's price. What runs on one's own machine is free unless told otherwise.

        :raises UnknownPriceError: nobody knows it.
        """
        found = self.find(backend, model, locality)
        if found is not None:
            return found
        name = f"{backend}:{model}"
        if self.unknown == "allow":
            return replace(_FREE, source="nobody knows it, and unknown_price allows that")
        if self.unknown == "highest_known" and (known := self._highest()) is not None:
            return known
        raise UnknownPriceError(
            f"nobody knows what {name} costs, so no budget can be kept; install andon-prices, or "
            f'give its price in andon.toml: [prices."{name}"] input = "…" and output = "…" (US '
            "dollars per million tokens)"
        )

    def find(self, backend: str, model: str, locality: Locality) -> Price | None:
        """Return a model's price, or None where nobody knows it."""
        # What the program and its operator say comes first.
        price = self._in(self.overrides, backend, model)
        if price is None and self.hook is not None:
            price = self.hook(backend, model)
        for table in self.tables if price is None else ():
            price = price or self._in(table, backend, model)
        if price is not None:
            return price
        if locality in _OWN_HARDWARE:
            return _FREE
        return self.ask(backend, model) or self._in(self.built_in, backend, model)

    def _in(self, table: Mapping[str, Priced], backend: str, model: str) -> Price | None:
        if not table:
            return None
        for key in (f"{backend}:{model}", f"{backend}:*"):
            priced = table.get(key)
            if priced is not None and (price := self._in_force(priced)) is not None:
                return price
        return None

    def _in_force(self, priced: Priced) -> Price | None:
        if isinstance(priced, Price):
            if not priced.valid_from:
                return priced
            priced = (priced,)
        today = self.today()
        begun = [price for price in priced if price.valid_from <= today]
        return max(begun, key=lambda price: price.valid_from, default=None)

    def _highest(self) -> Price | None:
        known = list(self._known())
        if not known:
            return None
        return Price(
            input=max(max(p.input, p.cache_write or p.input) for p in known),
            output=max(max(p.output, p.reasoning or p.output) for p in known),
            source="the highest price that is known: nobody knows the model's own",
        )

    def _known(self) -> Iterator[Price]:
        """Give every price that is in force anywhere, for long prompts as well."""
        for table in (self.overrides, *self.tables, self.built_in):
            for priced in table.values():
                price = self._in_force(priced)
                if price is not None:
                    yield price
                    yield from (tier.price for tier in price.long_context)
