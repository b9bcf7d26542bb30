"""andon-anyscale and the conformance kit, in both of its protocols."""

from __future__ import annotations

import andon_anyscale
from andon.testing import ALL, Ability, BackendConformance
from andon.testing.providers.completions import CompletionsProvider
from andon.testing.providers.openai_chat import OpenAIChatProvider


class TestAnyscale(BackendConformance):
    plugin = andon_anyscale
    backend = "anyscale"
    provider = OpenAIChatProvider(reasoning_field="reasoning")
    abilities = ALL - {Ability.TOKEN_COUNT}


class TestAnyscaleCompletions(BackendConformance):
    plugin = andon_anyscale
    backend = "anyscale"
    variant = "completions"
    provider = CompletionsProvider()
    options = {"api": "completions", "chat_template": "chatml"}  # noqa: RUF012
    abilities = frozenset(
        {
            Ability.JSON_SCHEMA, Ability.SEED, Ability.STOP, Ability.LOGPROBS, Ability.MODEL_LIST,
            Ability.HEALTH, Ability.CONTINUATION, Ability.RAW_PROMPT,
        }
    )  # fmt: skip
