"""{{ cookiecutter.summary }}."""

from __future__ import annotations

from decimal import Decimal

from andon import Price, hookimpl

NAME = "{{ cookiecutter.name }}"
SOURCE = f"the price list of {NAME}"

#: US dollars per million tokens, by backend and model; decimals from texts, so that they are exact.
PRICES = {
    (NAME, "small"): Price(
        input=Decimal("0.15"),
        output=Decimal("0.60"),
        cached_input=Decimal("0.075"),
        as_of="2026-01-31",
        source=SOURCE,
    ),
    (NAME, "large"): Price(
        input=Decimal("2.50"),
        output=Decimal("10.00"),
        as_of="2026-01-31",
        source=SOURCE,
    ),
}


@hookimpl
def andon_price(backend: str, model: str) -> Price | None:
    """Say what a model costs. It is asked for each request, and so fetches nothing."""
    return PRICES.get((backend, model))
