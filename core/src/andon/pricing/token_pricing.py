"""What tokens cost in whole numbers: the cost of usage, and the most that a request can cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache

from andon.chat import Usage
from andon.pricing.money import Amount, to_nano, to_usd
from andon.specs import Price

_TOKENS_PER_PRICE = 10**6


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPricing:
    """What a model's tokens cost, in whole nano-dollars per million tokens.

    Of the prices per token that providers publish, many are no whole nano-dollars; per million
    they are.

    :param input: tokens of the prompt that are in none of the other classes.
    :param output: tokens of the answer that are in none of the other classes.
    :param cached_input: tokens of the prompt read from a cache, whatever they stand for.
    :param cache_write: tokens of the prompt written to a cache, whatever they stand for.
    :param image_input: tokens of the prompt that stand for images.
    :param audio_input: tokens of the prompt that stand for sound.
    :param reasoning: tokens of the answer spent on reasoning.
    :param image_output: tokens of the answer that stand for images.
    :param audio_output: tokens of the answer that stand for sound.
    :param long_context: for prompts of more than so many tokens, what all tokens cost then;
        longest first.
    :param batch: what all tokens cost in a batch, or None where that is not known.
    """

    input: int
    output: int
    cached_input: int
    cache_write: int
    image_input: int
    audio_input: int
    reasoning: int
    image_output: int
    audio_output: int
    long_context: tuple[tuple[int, TokenPricing], ...] = ()
    batch: TokenPricing | None = None
    #: The dearest rates of prompt and answer, with images and sound or without, and what rounding
    #: may add. Made once: a price is looked at for each request.
    _dearest: Mapping[tuple[bool, bool], tuple[int, int, int]] = field(
        init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        outputs = (self.output, self.reasoning, self.image_output, self.audio_output)
        dearest = {
            (images, audio): _dearest_of(self._input_rates(images, audio), outputs)
            for images in (False, True)
            for audio in (False, True)
        }
        object.__setattr__(self, "_dearest", dearest)

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
        dearest_input, dearest_output, _ = self._dearest[True, True]
        free = not dearest_input and not dearest_output
        return free and all(tier.is_free for _, tier in self.long_context)

    @property
    def in_batch(self) -> TokenPricing:
        """What tokens cost in a batch; as usual where nothing else is known."""
        return self if self.batch is None else self.batch

    def cost_nano(self, usage: Usage) -> int:
        """Return what usage costs, in nano-dollars; each class of tokens is rounded up.

        :param usage: tokens used. Classes never overlap: cached tokens and cache writes are taken
            out of the input first, then images and sound; reasoning out of the output first.
        """
        pricing = self._at(usage.input_tokens) if self.long_context else self
        if usage.is_plain:
            return _cost(usage.input_tokens, pricing.input) + _cost(
                usage.output_tokens, pricing.output
            )
        fresh = usage.input_tokens - usage.cached_input_tokens - usage.cache_write_tokens
        heard = min(usage.audio_input_tokens, max(fresh, 0))
        seen = min(usage.image_input_tokens, max(fresh - heard, 0))
        thought = min(usage.reasoning_tokens, usage.output_tokens)
        spoken = min(usage.audio_output_tokens, usage.output_tokens - thought)
        drawn = min(usage.image_output_tokens, usage.output_tokens - thought - spoken)
        return (
            _cost(max(fresh - heard - seen, 0), pricing.input)
            + _cost(usage.cached_input_tokens, pricing.cached_input)
            + _cost(usage.cache_write_tokens, pricing.cache_write)
            + _cost(seen, pricing.image_input)
            + _cost(heard, pricing.audio_input)
            + _cost(usage.output_tokens - thought - spoken - drawn, pricing.output)
            + _cost(thought, pricing.reasoning)
            + _cost(drawn, pricing.image_output)
            + _cost(spoken, pricing.audio_output)
        )

    def cost_usd(self, usage: Usage) -> Decimal:
        """Return what usage costs, in US dollars; see :meth:`cost_nano`."""
        return to_usd(self.cost_nano(usage))

    def bound_nano(
        self, input_tokens: int, max_output_tokens: int, *, images: bool = True, audio: bool = True
    ) -> int:
        """Return the most that a request can cost, in nano-dollars.

        :param input_tokens: an upper bound of the prompt's tokens.
        :param max_output_tokens: most tokens that the answer may have.
        :param images: whether the prompt may have images.
        :param audio: whether the prompt may have sound.
        """
        dearest_input, dearest_output, rounding = self._dearest[images, audio]
        bound = _cost(input_tokens, dearest_input) + _cost(max_output_tokens, dearest_output)
        bound += rounding
        # The prompt may turn out shorter than its bound, and fall into any tier below it.
        for above, tier in self.long_context:
            if input_tokens > above:
                more = tier.bound_nano(input_tokens, max_output_tokens, images=images, audio=audio)
                bound = max(bound, more)
        return bound

    def _at(self, input_tokens: int) -> TokenPricing:
        return next((tier for above, tier in self.long_context if input_tokens > above), self)

    def _input_rates(self, images: bool, audio: bool) -> tuple[int, ...]:
        rates = (self.input, self.cached_input, self.cache_write)
        return (
            *rates,
            *((self.image_input,) if images else ()),
            *((self.audio_input,) if audio else ()),
        )


@lru_cache(maxsize=1024)
def _in_integers(price: Price) -> TokenPricing:
    tiers = sorted(price.long_context, key=lambda tier: -tier.above)
    return TokenPricing(
        input=to_nano(price.input),
        output=to_nano(price.output),
        cached_input=_or(price.cached_input, price.input),
        cache_write=_or(price.cache_write, price.input),
        image_input=_or(price.image_input, price.input),
        audio_input=_or(price.audio_input, price.input),
        reasoning=_or(price.reasoning, price.output),
        image_output=_or(price.image_output, price.output),
        audio_output=_or(price.audio_output, price.output),
        long_context=tuple((tier.above, _in_integers(tier.price)) for tier in tiers),
        batch=None if price.batch is None else _in_integers(price.batch),
    )


def _or(rate: Decimal | None, otherwise: Decimal) -> int:
    return to_nano(otherwise if rate is None else rate)


def _cost(tokens: int, rate: int) -> int:
    return -(-tokens * rate // _TOKENS_PER_PRICE)


def _dearest_of(inputs: tuple[int, ...], outputs: tuple[int, ...]) -> tuple[int, int, int]:
    # Where a token costs a fraction of a nano-dollar, each class is rounded up for itself.
    rates = (*inputs, *outputs)
    rounding = len(rates) - 2 if any(rate % _TOKENS_PER_PRICE for rate in rates) else 0
    return max(inputs), max(outputs), rounding
