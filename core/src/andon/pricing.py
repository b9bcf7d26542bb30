"""What a request costs, and at most can cost. Exact: decimals outside, integers inside."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import ROUND_CEILING, Decimal, InvalidOperation
from functools import lru_cache
from typing import Literal

from andon.chat import Usage
from andon.errors import InvalidRequestError, UnknownPriceError
from andon.specs import Locality, Price

#: A ledger counts whole nano-dollars: a billion of them are one US dollar.
NANO_PER_USD = 10**9

Amount = Decimal | int | float | str

#: What to do about a model whose price nobody knows.
UnknownPrice = Literal["refuse", "highest_known", "allow"]

_TOKENS_PER_PRICE = 10**6
_FREE = Price(input=Decimal(0), output=Decimal(0), source="runs on your own hardware")
_OWN_HARDWARE = frozenset({Locality.IN_PROCESS, Locality.LOCAL})


def to_nano(usd: Amount, what: str = "an amount") -> int:
    """Return an amount in whole nano-dollars, rounded up.

    :param usd: US dollars. A float is taken by its shortest decimal form, so 0.1 is a tenth.
    :param what: what the amount is, for the error.
    :raises InvalidRequestError: it is no amount: negative, not finite, or not a number.
    """
    try:
        amount = usd if isinstance(usd, Decimal) else Decimal(str(usd))
    except InvalidOperation:
        amount = Decimal("NaN")
    if isinstance(usd, bool) or not amount.is_finite() or amount < 0:
        raise InvalidRequestError(f"{what} must be US dollars, 0 or more, not {usd!r}")
    return int((amount * NANO_PER_USD).to_integral_value(ROUND_CEILING))


def to_usd(nano: int) -> Decimal:
    """Return an amount of nano-dollars in US dollars, exactly."""
    return Decimal(nano) / NANO_PER_USD


@dataclass(frozen=True, slots=True)
class TokenPricing:
    """What a model's tokens cost, in whole nano-dollars per million tokens.

    Of the prices per token that providers publish, many are no whole nano-dollars; per million
    they are.

    :param input: tokens of the prompt that are in none of the other classes.
    :param output: tokens of the answer.
    :param cached_input: tokens of the prompt read from a cache.
    :param cache_write: tokens of the prompt written to a cache.
    :param reasoning: tokens of the answer spent on reasoning.
    :param long_context: for prompts of more than so many tokens, what all tokens cost then;
        longest first.
    """

    input: int
    output: int
    cached_input: int
    cache_write: int
    reasoning: int
    long_context: tuple[tuple[int, TokenPricing], ...] = ()

    @classmethod
    def from_price(cls, price: Price) -> TokenPricing:
        """Return a price in integers; fractions of a nano-dollar per million are rounded up."""
        return _in_integers(price)

    @classmethod
    def per_million(cls, input_usd: Amount, output_usd: Amount) -> TokenPricing:
        """Return a price of two numbers, in US dollars per million tokens."""
        price = Price(input=Decimal(str(input_usd)), output=Decimal(str(output_usd)))
        return cls.from_price(price)

    @property
    def is_free(self) -> bool:
        """Whether nothing costs anything."""
        rates = (self.input, self.output, self.cached_input, self.cache_write, self.reasoning)
        return not any(rates) and all(tier.is_free for _, tier in self.long_context)

    def cost_nano(self, usage: Usage) -> int:
        """Return what usage costs, in nano-dollars; each class of tokens is rounded up.

        :param usage: tokens used; classes never overlap: cached tokens and cache writes are taken
            out of the input, and reasoning out of the output.
        """
        pricing = self._at(usage.input_tokens)
        cached, written = usage.cached_input_tokens, usage.cache_write_tokens
        thought = min(usage.reasoning_tokens, usage.output_tokens)
        return (
            _cost(max(usage.input_tokens - cached - written, 0), pricing.input)
            + _cost(cached, pricing.cached_input)
            + _cost(written, pricing.cache_write)
            + _cost(usage.output_tokens - thought, pricing.output)
            + _cost(thought, pricing.reasoning)
        )

    def cost_usd(self, usage: Usage) -> Decimal:
        """Return what usage costs, in US dollars; see :meth:`cost_nano`."""
        return to_usd(self.cost_nano(usage))

    def bound_nano(self, input_tokens: int, max_output_tokens: int) -> int:
        """Return the most that a request can cost, in nano-dollars.

        :param input_tokens: an upper bound of the prompt's tokens.
        :param max_output_tokens: most tokens that the answer may have.
        """
        # The prompt may turn out shorter than its bound, and fall into any tier below it.
        tiers = [self, *(tier for above, tier in self.long_context if input_tokens > above)]
        return max(tier._bound(input_tokens, max_output_tokens) for tier in tiers)  # noqa: SLF001

    def _bound(self, input_tokens: int, max_output_tokens: int) -> int:
        rates = (self.input, self.cached_input, self.cache_write, self.output, self.reasoning)
        # Where a token costs a fraction of a nano-dollar, each class is rounded up for itself.
        rounding = 3 if any(rate % _TOKENS_PER_PRICE for rate in rates) else 0
        dearest_input, dearest_output = max(rates[:3]), max(rates[3:])
        cost = _cost(input_tokens, dearest_input) + _cost(max_output_tokens, dearest_output)
        return cost + rounding

    def _at(self, input_tokens: int) -> TokenPricing:
        return next((tier for above, tier in self.long_context if input_tokens > above), self)


@lru_cache(maxsize=1024)
def _in_integers(price: Price) -> TokenPricing:
    tiers = sorted(price.long_context, key=lambda tier: -tier.above)
    return TokenPricing(
        input=to_nano(price.input),
        output=to_nano(price.output),
        cached_input=_or(price.cached_input, price.input),
        cache_write=_or(price.cache_write, price.input),
        reasoning=_or(price.reasoning, price.output),
        long_context=tuple((tier.above, _in_integers(tier.price)) for tier in tiers),
    )


def _or(rate: Decimal | None, otherwise: Decimal) -> int:
    return to_nano(otherwise if rate is None else rate)


def _cost(tokens: int, rate: int) -> int:
    return -(-tokens * rate // _TOKENS_PER_PRICE)


@dataclass(frozen=True, slots=True)
class PriceTable:
    """Finds what a model costs; the nearest source wins. Names are matched whole, never in part.

    :param overrides: prices by ``backend:model``, or ``backend:*`` for all others there; from an
        argument or the settings.
    :param ask: asks the plugins; gives None where none of them knows.
    :param built_in: andon's own small table, asked last.
    :param unknown: what to do about a model that is in none: ``"refuse"`` it, take the
        ``"highest_known"`` price, or ``"allow"`` it for nothing.
    """

    overrides: Mapping[str, Price] = field(default_factory=dict)
    ask: Callable[[str, str], Price | None] = lambda backend, model: None
    built_in: Mapping[str, Price] = field(default_factory=dict)
    unknown: UnknownPrice = "refuse"

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
        name, everything = f"{backend}:{model}", f"{backend}:*"
        for key in (name, everything):
            if (price := self.overrides.get(key)) is not None:
                return price
        if locality in _OWN_HARDWARE:
            return _FREE
        if (price := self.ask(backend, model)) is not None:
            return price
        return self.built_in.get(name)

    def _highest(self) -> Price | None:
        known = [*self.overrides.values(), *self.built_in.values()]
        if not known:
            return None
        return Price(
            input=max(max(p.input, p.cache_write or p.input) for p in known),
            output=max(max(p.output, p.reasoning or p.output) for p in known),
            source="the highest price that is known: nobody knows the model's own",
        )
