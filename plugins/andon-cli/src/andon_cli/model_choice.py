"""Which model a command's words name, and which one is taken where they name none."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from andon.errors import ConfigurationError

if TYPE_CHECKING:
    from andon.client import Client
    from andon.specs import ModelCard

#: What ``backend:model`` looks like, as opposed to the first word of a question.
_MODEL = re.compile(r"[a-z][a-z0-9_-]*:\S+")

#: Localities that need neither a key nor an account, nearest first.
_KEYLESS = ("in-process", "local")


def read_words(client: Client, words: tuple[str, ...]) -> tuple[str, str]:
    """Return model and question; the first word is a model or a route if it looks like one.

    :param client: knows what is installed, and the routes of the settings.
    :param words: what was typed.
    """
    if words and (_MODEL.fullmatch(words[0]) or words[0] in client.settings.routes):
        return words[0], " ".join(words[1:]).strip()
    if words and words[0] in client.plugins.backends():
        raise click.UsageError(
            f"{words[0]!r} is a backend; name one of its models too, as in {words[0]}:MODEL "
            "(andon models lists them)"
        )
    return default_model(client), " ".join(words).strip()


def default_model(client: Client) -> str:
    """Return the first model that needs no key and no configuration, the nearest first.

    Where several backends can serve it, its card's order of them counts.

    :param client: knows what is installed.
    :raises ConfigurationError: there is none.
    """
    backends = client.plugins.backends()
    models = [
        (_KEYLESS.index(backends[name].locality), _place(name, card), f"{name}:{card.name}")
        for name, card in client.models()
        if backends[name].locality in _KEYLESS and "chat" in card.capabilities
    ]
    if not models:
        raise ConfigurationError(
            "no installed model works without a key or settings; name one as BACKEND:MODEL, or "
            "try: pip install andon-llama-cpp andon-demo-model"
        )
    return min(models, key=lambda model: model[:2])[2]


def _place(backend: str, card: ModelCard) -> int:
    return card.backends.index(backend) if backend in card.backends else len(card.backends)
