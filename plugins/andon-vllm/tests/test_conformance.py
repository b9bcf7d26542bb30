"""andon-vllm and the conformance kit."""

from __future__ import annotations

import andon_vllm
from andon.testing import ALL, Ability, BackendConformance
from andon.testing.providers.openai_chat import OpenAIChatProvider


class TestVLLM(BackendConformance):
    plugin = andon_vllm
    backend = "vllm"
    provider = OpenAIChatProvider(reasoning_field="reasoning", token_count="count")
    abilities = ALL - {Ability.TOKEN_COUNT}
    key_is_needed = False
