"""{{ cookiecutter.__distribution }} and the conformance kit of andon."""

from __future__ import annotations

from andon.testing import ALL, Ability, BackendConformance, PluginConformance
from andon.testing.providers.openai_chat import OpenAIChatProvider

import {{ cookiecutter.__package }}


class TestPlugin(PluginConformance):
    entry_point = "{{ cookiecutter.name }}"


class TestBackend(BackendConformance):
    plugin = {{ cookiecutter.__package }}
    backend = "{{ cookiecutter.name }}"
    provider = OpenAIChatProvider()
    # What is claimed must work, and what is not must be refused.
    abilities = ALL - {Ability.CONTINUATION, Ability.TOKEN_COUNT}
