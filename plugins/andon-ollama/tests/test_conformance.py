"""andon-ollama and the conformance kit."""

from __future__ import annotations

import andon_ollama
from andon.testing import ALL, Ability, BackendConformance
from andon.testing.providers.ollama import OllamaProvider


class TestOllama(BackendConformance):
    plugin = andon_ollama
    backend = "ollama"
    provider = OllamaProvider()
    abilities = ALL - {Ability.TOKEN_COUNT, Ability.TOOL_CHOICE, Ability.USAGE_DETAILS}
    key_is_needed = False
