"""The conformance class for plugins that know prices."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from datetime import date
from decimal import Decimal
from typing import Any, ClassVar

import pytest

from andon.chat import Usage
from andon.pricing import TokenPricing
from andon.pricing.rows import PriceRates
from andon.specs import Price
from andon.testing.conformance.contract import (
    PRICE,
    PRICE_EXACT,
    PRICE_NEAR,
    check,
    check_equal,
    fail,
)

#: Names that no table has, and that must harm nobody.
STRANGE = (
    ("no-such-backend", "no-such-model"),
    ("", ""),
    ("openai", ""),
    ("openai", "*"),
    ("openai", ".*"),
    ("openai", "a:b:c"),
    ("openai", "modèle 日本 🦙"),
    ("openai", "x" * 5000),
)
_RATES = tuple(field.name for field in fields(PriceRates))


class PriceConformance:
    """What every plugin that knows prices must do. Subclass it, give the facts, and run pytest.

    ::

        class TestPrices(PriceConformance):
            plugin = andon_example
            known = [("example", "example-large")]
    """

    #: The plugin: a module or an object with andon's hooks.
    plugin: object  # no ClassVar: to mypy, a subclass could then assign no module
    #: Backends, each with a model whose price is known.
    known: ClassVar[Sequence[tuple[str, str]]] = ()

    def ask(self, backend: str, model: str) -> Price | None:
        """Ask the plugin for a price."""
        hook: Any = getattr(self.plugin, "andon_price")  # noqa: B009
        with _no_network() as asked:
            try:
                found: Price | None = hook(backend=backend, model=model)
            except Exception as error:  # noqa: BLE001  told by the test
                fail(f"asked for {backend}:{model:.60}, it raised {error!r}", PRICE)
        check(not asked, f"it reached for the network: {asked[:1]}", PRICE_NEAR)
        right = found is None or isinstance(found, Price)
        check(right, f"the price of {backend}:{model:.60} is {found!r}", PRICE)
        return found

    def test_known_models_have_a_price(self) -> None:
        """What the plugin is for has a price."""
        if not self.known:
            pytest.skip("no model is named whose price is known")
        for backend, model in self.known:
            check(self.ask(backend, model), f"{backend}:{model} has no price", PRICE)

    def test_prices_are_exact(self) -> None:
        """Every amount is a decimal from 0 on, never a float."""
        for name, price in self._prices():
            for rates in (price, *(tier.price for tier in price.long_context)):
                for field in _RATES:
                    amount = getattr(rates, field)
                    exact = amount is None or (isinstance(amount, Decimal) and amount.is_finite())
                    check(exact, f"{field} of {name} is {amount!r}", PRICE_EXACT)
                    check(not exact or amount is None or amount >= 0,
                          f"{field} of {name} is {amount}, below 0", PRICE_EXACT)  # fmt: skip

    def test_prices_can_be_reckoned_with(self) -> None:
        """Nothing costs nothing, and more tokens never cost less."""
        for name, price in self._prices():
            pricing = TokenPricing.from_price(price)
            costs = [pricing.cost_nano(Usage(n, n)) for n in (0, 1, 1_000, 1_000_000, 2_000_000)]
            check(costs[0] == 0 and costs == sorted(costs), f"{name}: {costs}", PRICE_EXACT)

    def test_long_prompts(self) -> None:
        """Prices of longer prompts begin at rising numbers of tokens."""
        for name, price in self._prices():
            marks = [tier.above for tier in price.long_context]
            rising = marks == sorted(set(marks)) and all(mark > 0 for mark in marks)
            check(rising, f"long_context of {name} begins at {marks}", PRICE_EXACT)

    def test_days(self) -> None:
        """Days are written as YYYY-MM-DD, or not at all."""
        for name, price in self._prices():
            for day in (price.valid_from, price.as_of):
                check(not day or _is_day(day), f"a day of {name} is {day!r}", PRICE_EXACT)

    @pytest.mark.parametrize(("backend", "model"), STRANGE, ids=range(len(STRANGE)))
    def test_nobody_knows_strange_names(self, backend: str, model: str) -> None:
        """What the plugin does not know is None, and no error."""
        found = self.ask(backend, model)
        check(found is None, f"the price of {backend}:{model:.60} is {found}", PRICE)

    def test_names_are_matched_whole(self) -> None:
        """A model that is only called alike has no price: it may cost ten times as much."""
        for backend, model in self.known:
            for other in (f"{model}-no-such-edition", f"no-such-{model}", model[: len(model) // 2]):
                if (backend, other) not in self.known:
                    found = self.ask(backend, other)
                    check(found is None, f"{backend}:{other} is no model, and costs {found}", PRICE)
            check_equal(self.ask("no-such-backend", model), None, "its price elsewhere", PRICE)

    def test_the_same_question_has_the_same_answer(self) -> None:
        """What is asked twice within a request is answered alike."""
        for backend, model in self.known:
            first, second = self.ask(backend, model), self.ask(backend, model)
            check_equal(second, first, f"the second price of {backend}:{model}", PRICE)

    def _prices(self) -> Iterator[tuple[str, Price]]:
        for backend, model in self.known:
            price = self.ask(backend, model)
            if price is not None:
                yield f"{backend}:{model}", price


@contextmanager
def _no_network() -> Iterator[list[str]]:
    """Give the attempts to reach for the network, none of which succeeds."""
    asked: list[str] = []

    def refuse(*arguments: Any, **_: Any) -> Any:
        asked.append(repr(arguments))
        raise OSError("no question for a price may ask the network")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", refuse)
        patch.setattr(socket, "getaddrinfo", refuse)
        yield asked


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return re.fullmatch(r"\d{4}-\d\d-\d\d", text) is not None
