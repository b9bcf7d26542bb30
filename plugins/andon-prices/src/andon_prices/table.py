"""Reading the table of genai-prices."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from importlib.metadata import version
from typing import Any

from genai_prices.data import providers
from genai_prices.types import ModelInfo, ModelPrice, TieredPrices

from andon.specs import LongContextPrice, Price

#: What may follow a model's name without making it another model: its date and revision.
_REVISION = re.compile(r"(-latest|[-@]\d{8}|-\d{4}-\d{2}-\d{2})?(-v\d+)?(:\d+)?")

#: Andon's classes of tokens, and the table's. What else it prices (searches, pages, cached sound)
#: andon does not send or tell apart; a model that charges for it is known all the same.
_FIELDS = {
    "input": "input_mtok",
    "output": "output_mtok",
    "cached_input": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "image_input": "input_image_mtok",
    "audio_input": "input_audio_mtok",
    "reasoning": "output_reasoning_mtok",
    "image_output": "output_image_mtok",
    "audio_output": "output_audio_mtok",
}


def find(provider_id: str, model: str, at: datetime | None = None) -> Price | None:
    """Return what a model costs, or None where the table does not have it.

    :param provider_id: the provider, as the table calls it.
    :param model: the model's name there.
    :param at: the moment; now where None.
    """
    info = _find_model(provider_id, model.lower())
    if info is None:
        return None
    return _to_price(info.get_prices(at or datetime.now(UTC)))


@lru_cache(maxsize=1024)
def _find_model(provider_id: str, name: str) -> ModelInfo | None:
    provider = next((entry for entry in providers if entry.id == provider_id), None)
    for info in () if provider is None else provider.models:
        if _is_called(info, name):
            return info
    return None


def _is_called(info: ModelInfo, name: str) -> bool:
    """Return whether a name is a model's own, up to its revision; a part of it is not enough."""
    if not (info.id.lower() == name or info.is_match(name)):
        return False
    return any(
        name.startswith(text) and _REVISION.fullmatch(name[len(text) :])
        for text in (info.id.lower(), *_names(info.match))
    )


def _names(clause: Any) -> Iterator[str]:
    for value in vars(clause).values():
        if isinstance(value, str):
            yield value.lower()
        elif isinstance(value, list):
            for inner in value:
                yield from _names(inner)


def _to_price(found: ModelPrice) -> Price | None:
    rates = {name: getattr(found, field, None) for name, field in _FIELDS.items()}
    if rates["input"] is None or rates["output"] is None:
        # It is paid in another way: by the second, by the image.
        return None
    tiered = [rate for rate in rates.values() if isinstance(rate, TieredPrices)]
    bounds = sorted({tier.start for rate in tiered for tier in rate.tiers})
    long_context = tuple(
        LongContextPrice(above=bound, price=_price(rates, bound)) for bound in bounds
    )
    return _price(rates, 0, long_context)


def _price(
    rates: dict[str, Any], above: int, long_context: tuple[LongContextPrice, ...] = ()
) -> Price:
    known = {name: _rate(value, above) for name, value in rates.items() if value is not None}
    return Price(
        input=known["input"],
        output=known["output"],
        cached_input=known.get("cached_input"),
        cache_write=known.get("cache_write"),
        image_input=known.get("image_input"),
        audio_input=known.get("audio_input"),
        reasoning=known.get("reasoning"),
        image_output=known.get("image_output"),
        audio_output=known.get("audio_output"),
        long_context=long_context,
        source=f"genai-prices {version('genai-prices')}",
    )


def _rate(value: Decimal | TieredPrices, above: int) -> Decimal:
    """Return the rate for prompts of more than so many tokens; 0 is the usual one."""
    if not isinstance(value, TieredPrices):
        return value
    rate = value.base
    for tier in value.tiers:
        if tier.start <= above:
            rate = tier.price
    return rate
