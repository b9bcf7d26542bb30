"""Prices as settings and files write them."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

from andon.errors import SettingsError
from andon.specs import LongContextPrice, Price


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceRates:
    """What tokens cost, in US dollars per million. What is left out costs what its whole costs.

    :param input: tokens of the prompt.
    :param output: tokens of the answer.
    :param cached_input: tokens of the prompt read from a cache.
    :param cache_write: tokens of the prompt written to a cache.
    :param image_input: tokens of the prompt that stand for images.
    :param audio_input: tokens of the prompt that stand for sound.
    :param reasoning: tokens of the answer spent on reasoning.
    :param image_output: tokens of the answer that stand for images.
    :param audio_output: tokens of the answer that stand for sound.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    input: Decimal
    output: Decimal
    cached_input: Decimal | None = None
    cache_write: Decimal | None = None
    image_input: Decimal | None = None
    audio_input: Decimal | None = None
    reasoning: Decimal | None = None
    image_output: Decimal | None = None
    audio_output: Decimal | None = None

    def price(self, **more: Any) -> Price:
        """Return the price.

        :param more: other fields of :class:`andon.Price`.
        """
        rates = {rate.name: getattr(self, rate.name) for rate in fields(PriceRates)}
        return Price(**rates, **more)


@dataclass(frozen=True, slots=True, kw_only=True)
class LongContextRates(PriceRates):
    """What a request costs whose prompt is longer than usual.

    :param above: prompts of more tokens than this pay these prices, for all of their tokens.
    """

    above: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceSettings(PriceRates):
    """A model's price.

    :param long_context: what all tokens cost of requests with longer prompts.
    :param batch: what all tokens cost in a batch.
    :param valid_from: the first day on which it holds; always where None.
    """

    long_context: tuple[LongContextRates, ...] = ()
    batch: PriceRates | None = None
    valid_from: date | None = None

    def as_price(self, source: str) -> Price:
        """Return the price.

        :param source: where it comes from, for people.
        """
        return self.price(
            long_context=tuple(
                LongContextPrice(above=tier.above, price=tier.price()) for tier in self.long_context
            ),
            batch=None if self.batch is None else self.batch.price(),
            valid_from="" if self.valid_from is None else self.valid_from.isoformat(),
            source=source,
        )


#: The rows of one model: one, or several that hold in turn.
PriceRows = tuple[PriceSettings, ...]


def listed(prices: Any) -> Any:
    """Return prices as they were written, the rows of each model in a list."""
    if not isinstance(prices, Mapping):
        return prices
    return {
        name: [row] if isinstance(row, Mapping | PriceSettings) else row
        for name, row in prices.items()
    }


def place_of(location: Sequence[int | str]) -> str:
    """Return where in a table of prices a mistake is; a model's only row needs no number.

    :param location: the way there, from the model's name on.
    """
    name, *rest = location
    return ".".join(map(str, (name, *(rest[1:] if rest[:1] == [0] else rest))))


def as_table(
    prices: Mapping[str, PriceRows | PriceSettings], source: str
) -> dict[str, Sequence[Price]]:
    """Return prices by ``backend:model``.

    :param prices: the rows as they were written.
    :param source: where they were, for people.
    """
    return {
        name: [row.as_price(f'{source}: prices."{name}"') for row in rows]
        for name, rows in listed(prices).items()
    }


def read_prices(file: Path) -> dict[str, Sequence[Price]]:
    """Return the prices of a file, by ``backend:model``.

    :param file: TOML or JSON, by its suffix: a table for each model, alone or under ``prices``.
    :raises SettingsError: it cannot be read, or something in it is wrong.
    """
    from pydantic import TypeAdapter, ValidationError

    content = _content(file)
    prices = content.get("prices", content) if isinstance(content, dict) else content
    try:
        rows = TypeAdapter(dict[str, PriceRows]).validate_python(listed(prices))
    except ValidationError as error:
        [first, *_] = error.errors()
        place = place_of(first["loc"]) if first["loc"] else "prices"
        raise SettingsError(f"{file}: {place}: {first['msg']}") from error
    return as_table(rows, str(file))


def _content(file: Path) -> Any:
    try:
        text = file.read_text(encoding="utf-8")
        if file.suffix == ".json":
            # Written as numbers, prices stay as exact as they were written.
            return json.loads(text, parse_float=Decimal)
        return tomllib.loads(text, parse_float=Decimal)
    except (OSError, ValueError) as error:
        raise SettingsError(f"the prices in {file} cannot be read: {error}") from error
