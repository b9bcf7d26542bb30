"""Prices: exact, and an unknown one is a refusal."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon import (
    InvalidRequestError,
    Locality,
    LongContextPrice,
    Price,
    PriceTable,
    TokenPricing,
    UnknownPriceError,
    Usage,
)
from andon.pricing import to_nano

rates = st.decimals(0, 200, places=4)
counts = st.integers(0, 2_000_000)


def test_a_million_tokens_cost_the_price() -> None:
    price = Price(input=Decimal("2.50"), output=Decimal(10))
    usage = Usage(1_000_000, 1_000_000)
    assert TokenPricing.from_price(price).cost_usd(usage) == Decimal("12.50")


def test_cached_tokens_are_a_part_of_the_input_with_their_own_price() -> None:
    price = Price(
        input=Decimal(3), output=Decimal(15), cached_input=Decimal("0.3"), cache_write=Decimal(4)
    )
    usage = Usage(1_000_000, 0, cached_input_tokens=500_000, cache_write_tokens=100_000)
    assert TokenPricing.from_price(price).cost_usd(usage) == Decimal("1.2") + Decimal(
        "0.15"
    ) + Decimal("0.4")


def test_floats_count_as_they_are_written() -> None:
    assert to_nano(0.1) + to_nano(0.2) == to_nano("0.3")


@st.composite
def prices(draw: st.DrawFn) -> Price:
    maybe = st.none() | rates
    tiers = draw(st.lists(st.tuples(st.integers(1, 300_000), rates, rates), max_size=2))
    return Price(
        input=draw(rates),
        output=draw(rates),
        cached_input=draw(maybe),
        cache_write=draw(maybe),
        reasoning=draw(maybe),
        long_context=tuple(
            LongContextPrice(above=above, price=Price(input=input_, output=output))
            for above, input_, output in tiers
        ),
    )


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    inputs, outputs = draw(counts), draw(counts)
    cached = draw(st.integers(0, inputs))
    written = draw(st.integers(0, inputs - cached))
    return Usage(inputs, outputs, cached, written, draw(st.integers(0, outputs)))


@given(prices(), usages(), counts, counts)
def test_the_bound_is_never_below_the_cost(
    price: Price, usage: Usage, more_input: int, more_output: int
) -> None:
    pricing = TokenPricing.from_price(price)
    bound = pricing.bound_nano(usage.input_tokens + more_input, usage.output_tokens + more_output)
    assert pricing.cost_nano(usage) <= bound


@given(rates, rates, usages(), usages())
def test_two_requests_never_cost_less_than_one_of_both(
    fresh: Decimal, output: Decimal, one: Usage, two: Usage
) -> None:
    pricing = TokenPricing.from_price(Price(input=fresh, output=output))
    both = Usage(one.input_tokens + two.input_tokens, one.output_tokens + two.output_tokens)
    assert pricing.cost_nano(one) + pricing.cost_nano(two) >= pricing.cost_nano(both)


def test_a_long_prompt_pays_its_price_for_all_tokens() -> None:
    long = LongContextPrice(above=200_000, price=Price(input=Decimal(4), output=Decimal(15)))
    price = Price(input=Decimal(2), output=Decimal(10), long_context=(long,))
    pricing = TokenPricing.from_price(price)
    assert pricing.cost_usd(Usage(200_000, 0)) == Decimal("0.4")
    assert pricing.cost_usd(Usage(200_001, 0)) == Decimal("0.800004")


def test_reasoning_is_a_part_of_the_output_with_its_own_price() -> None:
    pricing = TokenPricing.from_price(
        Price(input=Decimal(0), output=Decimal(2), reasoning=Decimal(6))
    )
    assert pricing.cost_usd(Usage(0, 1_000_000, reasoning_tokens=500_000)) == 4


def test_prices_of_fractions_of_a_nano_dollar_a_token_add_up() -> None:
    pricing = TokenPricing.per_million("0.0375", "0.15")
    assert pricing.cost_usd(Usage(1_000_000, 1_000_000)) == Decimal("0.1875")


@pytest.mark.parametrize("wrong", [-1, float("nan"), float("inf"), True, "a dollar"])
def test_what_is_no_amount_is_refused(wrong: object) -> None:
    with pytest.raises(InvalidRequestError, match="US dollars"):
        to_nano(wrong)  # type: ignore[arg-type]


def test_own_hardware_is_free_unless_told_otherwise() -> None:
    own = Price(input=Decimal(1), output=Decimal(1))
    table = PriceTable({"ollama:big": own})
    assert table.price("ollama", "small", Locality.LOCAL).output == 0
    assert table.price("ollama", "big", Locality.LOCAL) is own


def test_plugins_are_asked_after_the_overrides() -> None:
    near, far = (
        Price(input=Decimal(1), output=Decimal(1)),
        Price(input=Decimal(2), output=Decimal(2)),
    )
    table = PriceTable({"x:m": near}, lambda backend, model: far)
    assert table.price("x", "m", Locality.PUBLIC) is near
    assert table.price("x", "other", Locality.PUBLIC) is far


def test_an_unknown_price_is_refused_with_a_way_out() -> None:
    with pytest.raises(UnknownPriceError, match=r'\[prices."x:m"\]'):
        PriceTable().price("x", "m", Locality.PUBLIC)


def test_an_unknown_price_may_be_taken_for_the_highest_known_or_for_nothing() -> None:
    dear = Price(input=Decimal(10), output=Decimal(50), cache_write=Decimal(12))
    cheap = Price(input=Decimal(1), output=Decimal(2), reasoning=Decimal(60))
    known = {"x:dear": dear, "x:cheap": cheap}
    table = PriceTable(known, built_in={}, unknown="highest_known")
    price = table.price("x", "m", Locality.PUBLIC)
    assert (price.input, price.output) == (12, 60)
    assert PriceTable(unknown="allow").price("x", "m", Locality.PUBLIC).output == 0
    with pytest.raises(UnknownPriceError):
        PriceTable(built_in={}, unknown="highest_known").price("x", "m", Locality.PUBLIC)


def test_a_price_for_all_models_of_a_backend() -> None:
    price = Price(input=Decimal(1), output=Decimal(1))
    table = PriceTable({"modal:*": price})
    assert table.price("modal", "anything", Locality.PUBLIC) is price
    with pytest.raises(UnknownPriceError):
        table.price("other", "anything", Locality.PUBLIC)
