"""Where a price comes from: the nearest source that knows it, whole names, and the day that it is."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon import (
    Client,
    Locality,
    Price,
    PriceTable,
    SettingsError,
    TokenPricing,
    UnknownPriceError,
    Usage,
    hookimpl,
)
from andon.pricing.built_in import BUILT_IN
from andon.pricing.rows import read_prices
from andon.settings import Settings, load
from andon.testing import ScriptedBackend, plugin_with


def price_of(usd: int, source: str = "") -> Price:
    return Price(input=Decimal(usd), output=Decimal(usd), source=source)


class Hook:
    """A plugin that knows what the models of a program cost."""

    def __init__(self, usd: int) -> None:
        self.usd = usd

    @hookimpl
    def andon_price(self, backend: str, model: str) -> Price | None:
        return price_of(self.usd) if model == "m" else None


def client(tmp_path: Path, *plugins: object, settings: str = "", **arguments: Any) -> Client:
    (tmp_path / "andon.toml").write_text(settings)
    loaded = load(directory=tmp_path, user_file=tmp_path / "none", environment={})
    backend = plugin_with(locality=Locality.PUBLIC, openai=ScriptedBackend())
    return Client(discover=False, plugins=[backend, *plugins], settings=loaded, **arguments)


FILE = '[prices."openai:m"]\ninput = 1\noutput = 1'
SETTINGS = 'prices_file = "p.toml"\n[prices."openai:m"]\ninput = 2\noutput = 2'


def test_the_nearest_source_wins(tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text(FILE)
    from_file = client(tmp_path, settings='prices_file = "p.toml"').price("openai:m")
    assert from_file.input == 1
    assert from_file.source == f'{tmp_path / "p.toml"}: prices."openai:m"'
    settled = client(tmp_path, settings=SETTINGS).price("openai:m")
    assert (settled.input, settled.source) == (2, 'settings: prices."openai:m"')
    hooked = client(tmp_path, Hook(3), settings=SETTINGS).price("openai:m")
    assert (hooked.input, hooked.source) == (3, "a plugin handed over in code")
    prices = {"openai:m": price_of(4, "the invoice")}
    told = client(tmp_path, Hook(3), settings=SETTINGS, prices=prices).price("openai:m")
    assert (told.input, told.source) == (4, "the invoice")


def test_andons_own_table_comes_last_and_says_so(tmp_path: Path) -> None:
    price = client(tmp_path).price("openai:gpt-4o")
    assert (price.input, price.output, price.cached_input) == (
        Decimal("2.5"),
        Decimal(10),
        Decimal("1.25"),
    )
    assert price.source.startswith("built in, 20")
    settings = '[prices."openai:*"]\ninput = 9\noutput = 9'
    assert client(tmp_path, settings=settings).price("openai:gpt-4o").input == 9


@pytest.mark.parametrize(
    ("model", "usd"), [("gpt-4o-mini", "0.15"), ("gpt-4-turbo", "10"), ("gpt-4", "30")]
)
def test_a_name_is_never_taken_for_a_part_of_another(tmp_path: Path, model: str, usd: str) -> None:
    assert client(tmp_path).price(f"openai:{model}").input == Decimal(usd)
    with pytest.raises(UnknownPriceError):
        client(tmp_path).price(f"openai:my-{model}-tuned")


def test_every_built_in_price_is_dated_and_sourced() -> None:
    for name, priced in BUILT_IN.items():
        for price in (priced,) if isinstance(priced, Price) else priced:
            assert name.count(":") == 1
            assert price.as_of in price.source
            assert Decimal(0) < price.input <= price.output
            assert TokenPricing.from_price(price).cost_nano(Usage(1_000, 1_000)) > 0


@pytest.mark.parametrize(
    ("day", "usd"), [("2026-12-31", "3.75"), ("2027-01-01", "7.5"), ("2028-05-05", "7.5")]
)
def test_a_price_holds_from_its_day_on(day: str, usd: str) -> None:
    table = PriceTable(today=lambda: day)
    price = table.price("google-vertex", "gemini-3.8-flash", Locality.PUBLIC)
    assert price.output == Decimal(usd)


def test_a_price_that_does_not_hold_yet_is_not_known(tmp_path: Path) -> None:
    settings = """
        [[prices."openai:m"]]
        input = 1
        output = 1
        valid_from = 2026-06-01
        [[prices."openai:m"]]
        input = 2
        output = 2
        valid_from = 2026-07-01
        """
    table = client(tmp_path, settings=settings)._place.house.prices
    days = {"2026-05-31": None, "2026-06-30": 1, "2026-07-01": 2}
    for day, usd in days.items():
        then = PriceTable(tables=table.tables, today=lambda day=day: day)  # type: ignore[misc]
        found = then.find("openai", "m", Locality.PUBLIC)
        assert (found and found.input) == usd


def test_a_file_may_be_json_or_toml_and_has_every_component(tmp_path: Path) -> None:
    row = {
        "input": 0.1,
        "output": "2",
        "cached_input": 0.01,
        "cache_write": 0.2,
        "image_input": 3,
        "audio_input": 4,
        "reasoning": 5,
        "image_output": 6,
        "audio_output": 7,
        "batch": {"input": 0.05, "output": 1},
        "long_context": [{"above": 1000, "input": 8, "output": 9}],
        "valid_from": "2026-01-31",
    }
    file = tmp_path / "prices.json"
    file.write_text(json.dumps({"openai:m": row, "openai:n": [row]}))
    for [price] in read_prices(file).values():
        assert (price.input, price.batch and price.batch.output) == (Decimal("0.1"), 1)
        assert (price.image_input, price.audio_output, price.valid_from) == (3, 7, "2026-01-31")
        assert (price.long_context[0].above, price.long_context[0].price.output) == (1000, 9)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("p.toml", '["openai:m"]\ninput = 1', r"openai:m\.output"),
        ("p.toml", '["openai:m"]\ninput = 1\noutput = 2\ncost = 3', r"openai:m\.cost"),
        ("p.toml", "prices = 3", "prices"),
        ("p.json", "{", "cannot be read"),
        ("missing.toml", None, "cannot be read"),
    ],
)
def test_a_mistake_in_a_file_is_named(
    tmp_path: Path, name: str, content: str | None, says: str
) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(SettingsError, match=says):
        Client(discover=False, settings=Settings(prices_file=str(tmp_path / name)))


# -- Images, sound and batches ------------------------------------------------------------------------

MANY = Price(
    input=Decimal(1),
    output=Decimal(10),
    image_input=Decimal(2),
    audio_input=Decimal(4),
    image_output=Decimal(30),
    audio_output=Decimal(60),
    batch=Price(input=Decimal("0.5"), output=Decimal(5)),
)


def test_images_and_sound_have_their_own_prices() -> None:
    usage = Usage(
        1_000_000, 1_000_000,
        image_input_tokens=100_000, audio_input_tokens=200_000,
        image_output_tokens=100_000, audio_output_tokens=200_000,
    )  # fmt: skip
    cost = TokenPricing.from_price(MANY).cost_usd(usage)
    assert cost == Decimal("0.7") + Decimal("0.2") + Decimal("0.8") + 7 + 3 + 12


def test_a_batch_has_its_own_price_and_where_it_is_unknown_the_usual_one() -> None:
    usage = Usage(1_000_000, 1_000_000)
    assert TokenPricing.from_price(MANY).in_batch.cost_usd(usage) == Decimal("5.5")
    assert TokenPricing.from_price(price_of(1)).in_batch.cost_usd(usage) == 2


def test_what_a_request_cannot_have_does_not_raise_its_bound() -> None:
    pricing = TokenPricing.from_price(MANY)
    assert pricing.bound_nano(10**6, 0, images=False, audio=False) == 10**9
    assert pricing.bound_nano(10**6, 0, images=True, audio=False) == 2 * 10**9
    assert pricing.bound_nano(10**6, 0) == 4 * 10**9


@given(st.data())
def test_the_bound_holds_with_images_and_sound(data: st.DataObject) -> None:
    rates = st.decimals(0, 100, places=4)
    maybe = st.none() | rates
    names = ("cached_input", "cache_write", "image_input", "audio_input", "reasoning")
    more = {name: data.draw(maybe) for name in (*names, "image_output", "audio_output")}
    price = Price(input=data.draw(rates), output=data.draw(rates), **more)
    counts = st.integers(0, 1_000_000)
    parts = [data.draw(counts) for _ in range(9)]
    inputs, outputs = sum(parts[:5]), sum(parts[5:])
    usage = Usage(
        inputs, outputs, parts[0], parts[1], parts[5],
        image_input_tokens=parts[2], audio_input_tokens=parts[3],
        image_output_tokens=parts[6], audio_output_tokens=parts[7],
    )  # fmt: skip
    pricing = TokenPricing.from_price(price)
    assert pricing.cost_nano(usage) <= pricing.bound_nano(inputs, outputs)
