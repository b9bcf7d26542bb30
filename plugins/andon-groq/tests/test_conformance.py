"""andon-groq and the conformance kit."""

from __future__ import annotations

import andon_groq
from andon.testing import ALL, Ability, BackendConformance
from andon.testing.providers.openai_chat import OpenAIChatProvider


class TestGroq(BackendConformance):
    plugin = andon_groq
    backend = "groq"
    provider = OpenAIChatProvider(usage="x_groq", reasoning_field="reasoning")
    abilities = ALL - {
        Ability.CONTINUATION, Ability.LOGPROBS, Ability.RAW_PROMPT, Ability.TOKEN_COUNT,
    }  # fmt: skip
