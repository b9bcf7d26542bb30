"""{{ cookiecutter.__distribution }} and the conformance kit of andon."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from andon.testing import Ability, BackendConformance, PluginConformance
from andon.testing.provider import Provider

import {{ cookiecutter.__package }}


def _provider() -> Provider:
    # The folder of the tests is no package: a file beside this one is loaded by its path.
    name = "provider_of_{{ cookiecutter.__package }}"
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    provider: Provider = module.LinesProvider()
    return provider


class TestPlugin(PluginConformance):
    entry_point = "{{ cookiecutter.name }}"


class TestBackend(BackendConformance):
    plugin = {{ cookiecutter.__package }}
    backend = "{{ cookiecutter.name }}"
    provider = _provider()
    # What is claimed must work, and what is not must be refused.
    abilities = frozenset({Ability.SEED, Ability.STOP, Ability.MODEL_LIST, Ability.HEALTH})
