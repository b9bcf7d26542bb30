"""The few prices that andon knows by itself: dated facts, for those who install nothing more.

The wide table, with every provider and all of its history, is ``andon-prices``, which is asked
before this one. US dollars per million tokens, as the providers publish them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from andon.specs import LongContextPrice, Price

_AS_OF = "2026-11-22"
_OPENAI = "developers.openai.com, pricing"
_ANTHROPIC = "anthropic.com, pricing of the API"
_GOOGLE = "cloud.google.com, Vertex AI, pricing"
_GROQ = "console.groq.com, models"
_TOGETHER = "together.ai, pricing"


def _price(
    source: str,
    rates: str,
    *,
    above: int = 0,
    then: str = "",
    valid_from: str = "",
) -> Price:
    """Return a price.

    :param source: where it is published.
    :param rates: input and output; then, where there are such, a cache's reading and writing.
    :param above: prompts of more tokens than this cost ``then``.
    :param then: those rates.
    :param valid_from: the first day on which it holds.
    """
    fresh, output, *cache = (Decimal(rate) for rate in rates.split())
    return Price(
        input=fresh,
        output=output,
        cached_input=cache[0] if cache else None,
        cache_write=cache[1] if cache[1:] else None,
        long_context=(
            (LongContextPrice(above=above, price=_price(source, then)),) if above else ()
        ),
        valid_from=valid_from,
        as_of=_AS_OF,
        source=f"built in, {_AS_OF}: {source}",
    )


def _openai(rates: str, **more: str) -> Price:
    return _price(_OPENAI, rates, **more)  # type: ignore[arg-type]


def _anthropic(rates: str, **more: str) -> Price:
    return _price(_ANTHROPIC, rates, **more)  # type: ignore[arg-type]


def _long(rates: str, then: str, valid_from: str = "") -> Price:
    """Return a price of OpenAI's models with a long window."""
    return _price(_OPENAI, rates, above=272_000, then=then, valid_from=valid_from)


#: Names of the models, the first one and its dated and other aliases, with what they cost.
_ROWS: Sequence[tuple[str, str, Price | Sequence[Price]]] = (
    ("openai", "gpt-3.5-turbo gpt-3.5-turbo-0125", _openai("0.5 1.5")),
    ("openai", "gpt-4 gpt-4-0613 gpt-4-0314", _openai("30 60")),
    (
        "openai",
        "gpt-4-turbo gpt-4-turbo-2024-04-09 gpt-4-0125-preview gpt-4-1106-preview",
        _openai("10 30"),
    ),
    ("openai", "gpt-4o gpt-4o-2024-08-06 gpt-4o-2024-11-20", _openai("2.5 10 1.25")),
    ("openai", "gpt-4o-2024-05-13", _openai("5 15")),
    ("openai", "gpt-4o-mini gpt-4o-mini-2024-07-18", _openai("0.15 0.6 0.075")),
    ("openai", "gpt-4.1 gpt-4.1-2025-04-14", _openai("2 8 0.5")),
    ("openai", "gpt-4.1-mini gpt-4.1-mini-2025-04-14", _openai("0.4 1.6 0.1")),
    ("openai", "gpt-4.1-nano gpt-4.1-nano-2025-04-14", _openai("0.1 0.4 0.025")),
    ("openai", "o1 o1-2024-12-17", _openai("15 60 7.5")),
    (
        "openai",
        "o3 o3-2025-04-16",
        (_openai("10 40 0.5"), _openai("2 8 0.5", valid_from="2025-06-10")),
    ),
    ("openai", "o4-mini o4-mini-2025-04-16", _openai("1.1 4.4 0.275")),
    ("openai", "gpt-5 gpt-5-2025-08-07", _openai("1.25 10 0.125")),
    ("openai", "gpt-5-mini gpt-5-mini-2025-08-07", _openai("0.25 2 0.025")),
    ("openai", "gpt-5-nano gpt-5-nano-2025-08-07", _openai("0.05 0.4 0.005")),
    ("openai", "gpt-5.4 gpt-5.4-2026-03-05", _long("2.5 15 0.25", "5 22.5 0.5")),
    ("openai", "gpt-5.4-mini gpt-5.4-mini-2026-03-17", _openai("0.75 4.5 0.075")),
    (
        "openai",
        "gpt-5.6-sol gpt-5.6",
        (
            _long("5 30 0.5 6.25", "10 45 1 12.5"),
            _long("4 20 0.4 5", "8 30 0.8 10", "2026-08-21"),
        ),
    ),
    (
        "openai",
        "gpt-5.6-terra",
        (
            _long("2.5 15 0.25 3.125", "5 22.5 0.5 6.25"),
            _long("2 12 0.2 2.5", "4 18 0.4 5", "2026-07-30"),
        ),
    ),
    ("openai", "gpt-6-sol", _long("2 10 0.2 2.5", "4 15 0.4 5")),
    ("openai", "gpt-6.1-sol", _long("2 10 0.1 2.5", "4 15 0.2 5")),
    ("openai", "gpt-6.1-terra", _long("1 5 0.05 1.25", "2 7.5 0.1 2.5")),
    ("anthropic", "claude-3-opus-20240229 claude-3-opus-latest", _anthropic("15 75 1.5 18.75")),
    ("anthropic", "claude-3-sonnet-20240229", _anthropic("3 15 0.3 3.75")),
    ("anthropic", "claude-3-haiku-20240307", _anthropic("0.25 1.25 0.03 0.3")),
    (
        "anthropic",
        "claude-3-5-sonnet-20241022 claude-3-5-sonnet-20240620 claude-3-5-sonnet-latest",
        _anthropic("3 15 0.3 3.75"),
    ),
    ("anthropic", "claude-3-5-haiku-20241022 claude-3-5-haiku-latest", _anthropic("0.8 4 0.08 1")),
    ("anthropic", "claude-haiku-4-5 claude-haiku-4-5-20251001", _anthropic("1 5 0.1 1.25")),
    (
        "anthropic",
        "claude-sonnet-4-5 claude-sonnet-4-5-20250929",
        _price(_ANTHROPIC, "3 15 0.3 3.75", above=200_000, then="6 22.5 0.6 7.5"),
    ),
    (
        "anthropic",
        "claude-sonnet-4-6",
        (
            _price(_ANTHROPIC, "3 15 0.3 3.75", above=200_000, then="6 22.5 0.6 7.5"),
            _anthropic("3 15 0.3 3.75", valid_from="2026-03-13"),
        ),
    ),
    ("anthropic", "claude-sonnet-5-5", _anthropic("2 10 0.1 2.5")),
    ("anthropic", "claude-opus-4-5 claude-opus-4-5-20251101", _anthropic("5 25 0.5 6.25")),
    ("anthropic", "claude-opus-5-5", _anthropic("4 20 0.2 5")),
    (
        "anthropic",
        "claude-haiku-5-5",
        _price(_ANTHROPIC, "0.1 0.5 0.01 0.125", above=100_000, then="0.5 2.5 0.05 0.625"),
    ),
    (
        "google-vertex",
        "gemini-2.5-pro",
        _price(_GOOGLE, "1.25 10 0.125", above=200_000, then="2.5 15 0.25"),
    ),
    (
        "google-vertex",
        "gemini-3.8-flash",
        (
            _price(_GOOGLE, "0.75 3.75 0.075"),
            _price(_GOOGLE, "1.5 7.5 0.15", valid_from="2027-01-01"),
        ),
    ),
    ("groq", "llama-3.1-8b-instant", _price(_GROQ, "0.05 0.08")),
    ("groq", "llama-3.3-70b-versatile", _price(_GROQ, "0.59 0.79")),
    ("groq", "openai/gpt-oss-120b", _price(_GROQ, "0.15 0.6 0.075")),
    ("groq", "openai/gpt-oss-20b", _price(_GROQ, "0.075 0.3 0.0375")),
    ("together", "meta-llama/Llama-2-7b-chat-hf", _price(_TOGETHER, "0.2 0.2")),
    ("together", "meta-llama/Meta-Llama-3.1-8B-Instruct-Turbo", _price(_TOGETHER, "0.18 0.18")),
    ("together", "mistralai/Mistral-7B-Instruct-v0.2", _price(_TOGETHER, "0.2 0.2")),
    ("together", "openai/gpt-oss-120b", _price(_TOGETHER, "0.15 0.6")),
)

BUILT_IN: Mapping[str, Price | Sequence[Price]] = {
    f"{backend}:{model}": priced for backend, models, priced in _ROWS for model in models.split()
}
