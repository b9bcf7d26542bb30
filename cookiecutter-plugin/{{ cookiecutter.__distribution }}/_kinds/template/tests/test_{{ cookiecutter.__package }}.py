"""{{ cookiecutter.__distribution }} and the conformance kit of andon."""

from __future__ import annotations

from andon import ChatMessage
from andon.testing import PluginConformance, TemplateConformance

import {{ cookiecutter.__package }}


class TestPlugin(PluginConformance):
    entry_point = "{{ cookiecutter.name }}"


class TestTemplate(TemplateConformance):
    plugin = {{ cookiecutter.__package }}
    models = ("acme/{{ cookiecutter.name }}-7B",)
    # What the model's own template makes of these chats.
    examples = [([ChatMessage.user("Hi")], "<|user|>\nHi<|end|>\n<|assistant|>\n")]
