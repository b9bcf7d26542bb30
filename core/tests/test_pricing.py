"""Prices: exact, and an unknown one is a refusal."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon import Locality, Price, PriceTable, UnknownPriceError, Usage
from andon.pricing import bound_nano, cost_nano, to_nano, to_usd

rates = st.decimals(0, 200, places=4)
counts = st.integers(0, 2_000_000)


def test_a_million_tokens_cost_the_price() -> None:
    price = Price(input=Decimal("2.50"), output=Decimal(10))
    assert to_usd(cost_nano(price, Usage(1_000_000, 1_000_000))) == Decimal("12.50")


def test_cached_tokens_are_a_part_of_the_input_with_their_own_price() -> None:
    price = Price(
        input=Decimal(3), output=Decimal(15), cached_input=Decimal("0.3"), cache_write=Decimal(4)
    )
    usage = Usage(1_000_000, 0, cached_input_tokens=500_000, cache_write_tokens=100_000)
    assert to_usd(cost_nano(price, usage)) == Decimal("1.2") + Decimal("0.15") + Decimal("0.4")


def test_floats_count_as_they_are_written() -> None:
    assert to_nano(0.1) + to_nano(0.2) == to_nano("0.3")


@given(rates, rates, st.none() | rates, st.none() | rates, counts, counts, st.data())
def test_the_bound_is_never_below_the_cost(
    fresh: Decimal,
    output: Decimal,
    cached: Decimal | None,
    write: Decimal | None,
    inputs: int,
    outputs: int,
    data: st.DataObject,
) -> None:
    if cached is not None:
        cached = min(cached, fresh)
    price = Price(input=fresh, output=output, cached_input=cached, cache_write=write)
    from_cache = data.draw(st.integers(0, inputs))
    written = data.draw(st.integers(0, inputs - from_cache))
    usage = Usage(inputs, outputs, from_cache, written)
    # Each of the components is rounded up to a whole nano-dollar by itself.
    assert cost_nano(price, usage) <= bound_nano(price, inputs, outputs) + 2


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
