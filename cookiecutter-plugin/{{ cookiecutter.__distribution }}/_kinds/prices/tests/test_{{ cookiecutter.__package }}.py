"""{{ cookiecutter.__distribution }} and the conformance kit of andon."""

from __future__ import annotations

from andon.testing import PluginConformance, PriceConformance

import {{ cookiecutter.__package }}


class TestPlugin(PluginConformance):
    entry_point = "{{ cookiecutter.name }}"


class TestPrices(PriceConformance):
    plugin = {{ cookiecutter.__package }}
    known = tuple({{ cookiecutter.__package }}.PRICES)
