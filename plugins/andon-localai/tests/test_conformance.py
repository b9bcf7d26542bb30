"""andon-localai and the conformance kit, in both of its protocols."""

from __future__ import annotations

import andon_localai
from andon.testing import ALL, Ability, BackendConformance
from andon.testing.providers.completions import CompletionsProvider
from andon.testing.providers.openai_chat import OpenAIChatProvider


class TestLocalAI(BackendConformance):
    plugin = andon_localai
    backend = "localai"
    provider = OpenAIChatProvider()
    abilities = ALL - {Ability.CONTINUATION, Ability.TOKEN_COUNT}
    key_is_needed = False


class TestLocalAICompletions(BackendConformance):
    plugin = andon_localai
    backend = "localai"
    variant = "completions"
    provider = CompletionsProvider(token_count="tokens")
    options = {"api": "completions", "chat_template": "chatml"}  # noqa: RUF012
    abilities = frozenset(
        {
            Ability.SEED, Ability.STOP, Ability.LOGPROBS, Ability.MODEL_LIST, Ability.HEALTH,
            Ability.TOKEN_COUNT, Ability.CONTINUATION, Ability.RAW_PROMPT,
        }
    )  # fmt: skip
    key_is_needed = False
