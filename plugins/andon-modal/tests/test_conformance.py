"""andon-modal and the conformance kit, in both of its protocols."""

from __future__ import annotations

import andon_modal
from andon.testing import ALL, Ability, BackendConformance
from andon.testing.providers.completions import CompletionsProvider
from andon.testing.providers.openai_chat import OpenAIChatProvider


class TestModal(BackendConformance):
    plugin = andon_modal
    backend = "modal"
    provider = OpenAIChatProvider(reasoning_field="reasoning", token_count="count")
    abilities = ALL
    key_is_needed = False


class TestModalCompletions(BackendConformance):
    plugin = andon_modal
    backend = "modal"
    variant = "completions"
    provider = CompletionsProvider(token_count="count")
    options = {"api": "completions", "chat_template": "chatml"}  # noqa: RUF012
    abilities = frozenset(
        {
            Ability.JSON_SCHEMA, Ability.SEED, Ability.STOP, Ability.LOGPROBS, Ability.MODEL_LIST,
            Ability.HEALTH, Ability.TOKEN_COUNT, Ability.CONTINUATION, Ability.RAW_PROMPT,
        }
    )  # fmt: skip
    key_is_needed = False
