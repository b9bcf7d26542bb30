"""andon-huggingface and the conformance kit, in both of its protocols."""

from __future__ import annotations

import andon_huggingface
from andon.testing import ALL, Ability, BackendConformance
from andon.testing.providers.completions import CompletionsProvider
from andon.testing.providers.openai_chat import OpenAIChatProvider


class TestHuggingFace(BackendConformance):
    plugin = andon_huggingface
    backend = "huggingface"
    provider = OpenAIChatProvider()
    abilities = ALL - {Ability.CONTINUATION, Ability.TOKEN_COUNT}


class TestHuggingFaceCompletions(BackendConformance):
    plugin = andon_huggingface
    backend = "huggingface"
    variant = "completions"
    provider = CompletionsProvider()
    options = {"api": "completions", "chat_template": "chatml"}  # noqa: RUF012
    abilities = frozenset(
        {
            Ability.SEED, Ability.STOP, Ability.LOGPROBS, Ability.MODEL_LIST, Ability.CONTINUATION,
            Ability.HEALTH, Ability.RAW_PROMPT,
        }
    )  # fmt: skip
