"""{{ cookiecutter.__distribution }} and the conformance kit of andon."""

from __future__ import annotations

from andon.testing import Ability, InProcessConformance, PluginConformance, TemplateConformance

import {{ cookiecutter.__package }}


class TestPlugin(PluginConformance):
    entry_point = "{{ cookiecutter.name }}"


class TestTemplate(TemplateConformance):
    plugin = {{ cookiecutter.__package }}


class TestEngine(InProcessConformance):
    plugin = {{ cookiecutter.__package }}
    backend = "{{ cookiecutter.name }}"
    model = "{{ cookiecutter.name }}-model"
    # What is claimed must work, and what is not must be refused.
    abilities = frozenset(
        {
            Ability.SEED,
            Ability.STOP,
            Ability.MODEL_LIST,
            Ability.HEALTH,
            Ability.TOKEN_COUNT,
            Ability.CONTINUATION,
            Ability.RAW_PROMPT,
        }
    )
