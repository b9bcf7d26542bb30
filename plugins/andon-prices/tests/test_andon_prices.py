"""Prices come from the table, by whole names, at the moment that counts."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from genai_prices import Usage as TheirUsage
from genai_prices import calc_price
from genai_prices.data import providers
from hypothesis import given
from hypothesis import strategies as st

import andon_prices
from andon import Client, Locality, Price, TokenPricing, Usage
from andon.testing import ScriptedBackend, plugin_with
from andon_prices import PROVIDERS, andon_price
from andon_prices.table import find


def test_a_known_model() -> None:
    price = andon_price("anthropic", "claude-haiku-4-5-20251001")
    assert price is not None
    assert (price.input, price.output, price.cached_input) == (1, 5, Decimal("0.1"))
    assert price.source.startswith("genai-prices ")


@pytest.mark.parametrize(
    ("backend", "model"),
    [
        ("ollama", "llama3.1"),
        ("openai", "my-gpt-5.4-clone"),
        ("openai", "gpt-5.4-tuned-by-us"),
        ("openai", "gpt"),
        ("anthropic", "claude"),
        ("replicate", "openai/gpt-5"),
    ],
)
def test_what_is_not_there_is_unknown_and_never_guessed(backend: str, model: str) -> None:
    assert andon_price(backend, model) is None


def test_images_and_sound_have_their_own_prices() -> None:
    sound = andon_price("openai", "gpt-audio")
    images = andon_price("google-vertex", "gemini-2.5-flash-image")
    assert sound is not None
    assert images is not None
    assert (sound.input, sound.audio_input, sound.audio_output) == (Decimal("2.5"), 32, 64)
    assert (images.output, images.image_output) == (Decimal("2.5"), 30)


def test_andons_own_table_agrees() -> None:
    """The few prices that andon knows by itself are those of the wide table, today and later."""
    from andon.pricing.built_in import BUILT_IN

    for name, priced in BUILT_IN.items():
        backend, _, model = name.partition(":")
        for day in ("2025-01-01", "2026-11-22", "2027-02-01"):
            rows = [priced] if isinstance(priced, Price) else list(priced)
            ours = max((r for r in rows if r.valid_from <= day), key=lambda row: row.valid_from)
            moment = datetime.fromisoformat(f"{day}T12:00:00+00:00")
            theirs = find(PROVIDERS[backend], model, moment)
            assert theirs is not None, name
            rates = ("input", "output", "cached_input", "cache_write")
            assert [getattr(ours, rate) for rate in rates] == [
                getattr(theirs, rate) for rate in rates
            ], (name, day)
            assert [tier.above for tier in ours.long_context] == [
                tier.above for tier in theirs.long_context
            ], (name, day)


def test_a_region_has_its_own_price() -> None:
    everywhere = andon_price("aws-bedrock", "global.anthropic.claude-haiku-4-5-20251001-v1:0")
    europe = andon_price("aws-bedrock", "eu.anthropic.claude-haiku-4-5-20251001-v1:0")
    assert everywhere is not None
    assert europe is not None
    assert europe.input == everywhere.input * Decimal("1.1")


def test_a_price_that_changes_on_a_day() -> None:
    before = find("google", "gemini-3.8-flash", datetime(2026, 12, 31, tzinfo=UTC))
    after = find("google", "gemini-3.8-flash", datetime(2027, 1, 2, tzinfo=UTC))
    assert before is not None
    assert after is not None
    assert (before.output, after.output) == (Decimal("3.75"), Decimal("7.5"))


MODELS = [
    (backend, model.id)
    for backend, provider in PROVIDERS.items()
    for entry in providers
    if entry.id == provider
    for model in entry.models
    if model.is_match(model.id) and find(provider, model.id) is not None
]


@given(
    st.sampled_from(MODELS),
    st.integers(0, 400_000),
    st.integers(0, 100_000),
    st.floats(0, 1),
)
def test_costs_agree_with_the_tables_own_reckoning(
    which: tuple[str, str], inputs: int, outputs: int, share: float
) -> None:
    backend, model = which
    price = andon_price(backend, model)
    assert price is not None
    cached = int(inputs * share) if price.cached_input is not None else 0
    ours = TokenPricing.from_price(price).cost_usd(Usage(inputs, outputs, cached))
    theirs = calc_price(
        TheirUsage(input_tokens=inputs, output_tokens=outputs, cache_read_tokens=cached),
        model,
        provider_id=PROVIDERS[backend],
    )
    assert theirs.total_price <= ours <= theirs.total_price + Decimal("0.000000003")


def test_a_budget_kept_without_any_price_in_the_settings() -> None:
    paid = plugin_with(locality=Locality.PUBLIC, groq=ScriptedBackend(["a", "b"]))
    client = Client(discover=False, plugins=[paid, andon_prices], daily_budget_usd=1)
    reply = client.chat("groq:openai/gpt-oss-120b", "Hello", max_tokens=10)
    assert reply.cost_usd == Decimal("0.00000135")
