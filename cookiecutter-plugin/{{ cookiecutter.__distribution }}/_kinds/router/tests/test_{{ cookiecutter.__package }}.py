"""{{ cookiecutter.__distribution }} and the conformance kit of andon."""

from __future__ import annotations

import pytest
from andon import SettingsError
from andon.routing import Ask
from andon.testing import PluginConformance, RouterConformance
from andon.testing.conformance.routers import candidate

import {{ cookiecutter.__package }}
from {{ cookiecutter.__package }}.router import create


class TestPlugin(PluginConformance):
    entry_point = "{{ cookiecutter.name }}"


class TestRouter(RouterConformance):
    plugin = {{ cookiecutter.__package }}


class TestRouterWithSettings(RouterConformance):
    plugin = {{ cookiecutter.__package }}
    options = {"most": 2}


def test_each_is_asked_first_equally_often() -> None:
    router = create({"most": 2})
    given = [candidate(name) for name in ("a", "b", "c")]
    orders = [[one.spec.name for one in router.admit(given, Ask(), 0.0).order] for _ in range(4)]
    assert orders == [["a", "b"], ["b", "c"], ["c", "a"], ["a", "b"]]


def test_a_wrong_setting() -> None:
    with pytest.raises(SettingsError, match="most"):
        create({"most": 0})
