"""{{ cookiecutter.__distribution }} and the conformance kit of andon."""

from __future__ import annotations

import pytest
from andon import Client
from andon.testing import ObserverConformance, PluginConformance, ScriptedBackend, plugin_with

import {{ cookiecutter.__package }}


class TestPlugin(PluginConformance):
    entry_point = "{{ cookiecutter.name }}"


class TestObserver(ObserverConformance):
    plugin = {{ cookiecutter.__package }}


def test_an_answer_is_a_line(caplog: pytest.LogCaptureFixture) -> None:
    backend = plugin_with(scripted=ScriptedBackend(["Hello", " you"]))
    plugins = [backend, {{ cookiecutter.__package }}]
    with caplog.at_level("INFO"), Client(discover=False, plugins=plugins) as client:
        client.chat("scripted:m", "my secret")
    assert "scripted:m answered, 2 + 2 tokens, 0" in caplog.text
    assert "secret" not in caplog.text
