"""What a request costs, and at most can cost. Exact: decimals outside, integers inside."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, Decimal

from andon.chat import Usage
from andon.errors import UnknownPriceError
from andon.specs import Locality, Price

#: A ledger counts whole nano-dollars: a billion of them are one US dollar.
NANO_PER_USD = 10**9

_TOKENS_PER_PRICE = 10**6
_FREE = Price(input=Decimal(0), output=Decimal(0), source="runs on your own hardware")
_OWN_HARDWARE = frozenset({Locality.IN_PROCESS, Locality.LOCAL})


def to_nano(usd: Decimal | float | str) -> int:
    """Return an amount in whole nano-dollars, rounded up.

    :param usd: US dollars. A float is taken by its shortest decimal form, so 0.1 is a tenth.
    """
    amount = usd if isinstance(usd, Decimal) else Decimal(str(usd))
    return int((amount * NANO_PER_USD).to_integral_value(ROUND_CEILING))


def to_usd(nano: int) -> Decimal:
    """Return an amount of nano-dollars in US dollars, exactly."""
    return Decimal(nano) / NANO_PER_USD


def cost_nano(price: Price, usage: Usage) -> int:
    """Return what usage costs, in nano-dollars; each component is rounded up.

    :param price: US dollars per million tokens.
    :param usage: tokens used; cached ones and cache writes are part of the input.
    """
    cached = usage.cached_input_tokens
    written = usage.cache_write_tokens
    components = (
        (max(usage.input_tokens - cached - written, 0), price.input),
        (cached, price.input if price.cached_input is None else price.cached_input),
        (written, price.input if price.cache_write is None else price.cache_write),
        (usage.output_tokens, price.output),
    )
    return sum(to_nano(tokens * rate / _TOKENS_PER_PRICE) for tokens, rate in components if tokens)


def bound_nano(price: Price, input_tokens: int, max_output_tokens: int) -> int:
    """Return the most that a request can cost, in nano-dollars.

    :param price: US dollars per million tokens.
    :param input_tokens: an upper bound of the prompt's tokens.
    :param max_output_tokens: most tokens that the answer may have.
    """
    dearest = max(rate for rate in (price.input, price.cache_write) if rate is not None)
    tokens = Usage(input_tokens=input_tokens, output_tokens=max_output_tokens)
    return cost_nano(Price(input=dearest, output=price.output), tokens)


@dataclass(frozen=True, slots=True)
class PriceTable:
    """Finds what a model costs; the nearest source wins.

    :param overrides: prices by ``backend:model``, from the settings or an argument.
    :param ask: asks the plugins; gives None where none of them knows.
    """

    overrides: Mapping[str, Price] = field(default_factory=dict)
    ask: Callable[[str, str], Price | None] = lambda backend, model: None

    def price(self, backend: str, model: str, locality: Locality) -> Price:
        """Return a model's price. What runs on one's own machine is free unless told otherwise.

        :raises UnknownPriceError: nobody knows it.
        """
        name = f"{backend}:{model}"
        if (price := self.overrides.get(name)) is not None:
            return price
        if locality in _OWN_HARDWARE:
            return _FREE
        if (price := self.ask(backend, model)) is not None:
            return price
        raise UnknownPriceError(
            f"nobody knows what {name} costs, so no budget can be kept; give its price in "
            f'andon.toml: [prices."{name}"] input = "…" and output = "…" (US dollars per million '
            "tokens)"
        )
