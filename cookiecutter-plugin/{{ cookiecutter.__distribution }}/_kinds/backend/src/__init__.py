"""{{ cookiecutter.summary }}: nothing but facts."""

from __future__ import annotations

from collections.abc import Iterable

from andon import BackendSpec, Locality, ModelCard, hookimpl
from andon.backends.http_backend import http_backend_spec
from andon.wire.endpoint import EndpointSpec
from andon.wire.openai_chat import Quirks, openai_dialect

NAME = "{{ cookiecutter.name }}"
SUMMARY = "{{ cookiecutter.summary }}"

#: Where the server is, and how to sign in.
ENDPOINT = EndpointSpec(
    base_url="https://api.example.com/v1",
    locality=Locality.PUBLIC,
    key_variables=("{{ cookiecutter.__variable }}_API_KEY",),
)

#: Where the server differs from OpenAI's. Another protocol has a module of its own beside
#: ``andon.wire.openai_chat``: ``anthropic_messages``, ``gemini_generate``, ``ollama`` and others.
QUIRKS = Quirks(
    max_tokens_field="max_tokens",
    reasoning_field="reasoning_content",
)

#: What is known of its models before anybody asks.
MODELS = (
    ModelCard(
        name="example-large",
        backends=(NAME,),
        context_window=131_072,
        capabilities=frozenset({"chat", "tools", "json_schema"}),
    ),
)


@hookimpl
def andon_register_backends() -> Iterable[BackendSpec]:
    """Offer the backend ``{{ cookiecutter.name }}``."""
    return [
        http_backend_spec(NAME, ENDPOINT, openai_dialect(QUIRKS), summary=SUMMARY, models=MODELS)
    ]
