"""andon-together and the conformance kit."""

from __future__ import annotations

import andon_together
from andon.testing import ALL, Ability, BackendConformance
from andon.testing.providers.openai_chat import OpenAIChatProvider


class TestTogether(BackendConformance):
    plugin = andon_together
    backend = "together"
    provider = OpenAIChatProvider(usage="last", bare_models=True)
    abilities = ALL - {Ability.CONTINUATION, Ability.TOKEN_COUNT}
