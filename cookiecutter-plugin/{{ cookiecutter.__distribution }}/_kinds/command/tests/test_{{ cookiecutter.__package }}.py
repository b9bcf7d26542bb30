"""{{ cookiecutter.__distribution }} and the conformance kit of andon."""

from __future__ import annotations

import pytest
from andon.testing import CommandConformance, PluginConformance

import {{ cookiecutter.__package }}
from {{ cookiecutter.__package }}.command import run


class TestPlugin(PluginConformance):
    entry_point = "{{ cookiecutter.name }}"


class TestCommand(CommandConformance):
    plugin = {{ cookiecutter.__package }}


def test_a_failure_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["no-such-backend:m"]) == 1
    assert "no-such-backend" in capsys.readouterr().err
