"""andon's backends in simonw/llm: a plugin of that tool, in thirty lines.

Saved as a package with the entry point ``[project.entry-points.llm] andon = "llm_andon"``, it lets
``llm -m andon/llama-cpp:demo "…"`` ask any backend, within andon's settings.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import llm

import andon


class Andon(llm.Model):
    """One model of a backend."""

    can_stream = True
    needs_key = None

    def __init__(self, name: str, client: andon.Client) -> None:
        self.model_id = f"andon/{name}"
        self._name, self._client = name, client

    def execute(
        self, prompt: Any, stream: bool, response: Any, conversation: Any = None, **_: Any
    ) -> Iterator[str]:
        """Give the answer piece by piece."""
        messages = [andon.ChatMessage.system(prompt.system)] if prompt.system else []
        for old in conversation.responses if conversation else ():
            messages.append(andon.ChatMessage.user(old.prompt.prompt))
            messages.append(andon.ChatMessage.assistant(old.text_or_raise()))
        messages.append(andon.ChatMessage.user(prompt.prompt))
        answer = self._client.stream(self._name, messages)
        for delta in answer:
            yield delta.text
        used = answer.response.usage
        response.set_usage(input=used.input_tokens, output=used.output_tokens)


@llm.hookimpl
def register_models(register: Any) -> None:
    """Offer every model that can be asked for by name."""
    client = andon.Client()
    for backend, card in client.models():
        register(Andon(f"{backend}:{card.name}", client))
