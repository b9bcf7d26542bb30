"""andon-localai and the conformance kit."""

from __future__ import annotations

import andon_localai
from andon.testing import ALL, Ability, BackendConformance
from andon.testing.providers.openai_chat import OpenAIChatProvider


class TestLocalAI(BackendConformance):
    plugin = andon_localai
    backend = "localai"
    provider = OpenAIChatProvider(token_count="tokens")
    abilities = ALL - {Ability.CONTINUATION, Ability.TOKEN_COUNT}
    key_is_needed = False
