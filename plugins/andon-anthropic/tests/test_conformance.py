"""andon-anthropic and the conformance kit."""

from __future__ import annotations

import andon_anthropic
from andon.testing import ALL, Ability, BackendConformance
from andon.testing.providers.anthropic import AnthropicProvider


class TestAnthropic(BackendConformance):
    plugin = andon_anthropic
    backend = "anthropic"
    provider = AnthropicProvider()
    abilities = ALL - {Ability.LOGPROBS, Ability.RAW_PROMPT, Ability.SEED}
