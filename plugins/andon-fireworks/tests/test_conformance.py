"""andon-fireworks and the conformance kit."""

from __future__ import annotations

import andon_fireworks
from andon.testing import ALL, Ability, BackendConformance
from andon.testing.providers.openai_chat import OpenAIChatProvider


class TestFireworks(BackendConformance):
    plugin = andon_fireworks
    backend = "fireworks"
    provider = OpenAIChatProvider(usage="last")
    abilities = ALL - {Ability.CONTINUATION, Ability.TOKEN_COUNT}
