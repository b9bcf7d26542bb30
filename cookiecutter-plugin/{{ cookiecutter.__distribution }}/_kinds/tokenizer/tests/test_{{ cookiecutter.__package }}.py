"""{{ cookiecutter.__distribution }} and the conformance kit of andon."""

from __future__ import annotations

from andon.testing import PluginConformance, TokenizerConformance

import {{ cookiecutter.__package }}


class TestPlugin(PluginConformance):
    entry_point = "{{ cookiecutter.name }}"


class TestTokenizer(TokenizerConformance):
    plugin = {{ cookiecutter.__package }}
    models = ("acme:{{ cookiecutter.name }}-7B",)
    # What the model's own tokenizer makes of these texts.
    examples = {"Hé": [72, 195, 169], "on the": [263, 256]}
