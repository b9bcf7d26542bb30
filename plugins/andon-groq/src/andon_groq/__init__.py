"""Groq's API as an andon backend: nothing but facts."""

from __future__ import annotations

from collections.abc import Iterable

from andon.backends.http_backend import http_backend_spec
from andon.hookspecs import hookimpl
from andon.specs import BackendSpec, Locality, ModelCard
from andon.wire.endpoint import EndpointSpec
from andon.wire.openai_chat import Quirks, openai_dialect
from andon.wire.sdk_address import address_in

BASE_URL = "https://api.groq.com/openai/v1"
ENDPOINT = EndpointSpec(
    base_url=BASE_URL,
    locality=Locality.PUBLIC,
    key_variables=("GROQ_API_KEY",),
    find_base_url=address_in("GROQ_BASE_URL", BASE_URL, "/openai/v1"),
    docs="https://console.groq.com/docs/api-reference",
)
QUIRKS = Quirks(
    stream_options=False,  # its usage comes in a field of its own, asked for or not
    reasoning_field="reasoning",
    completions=False,
    logprobs=None,  # its reference lists the fields, and says that no model supports them yet
)
MODEL = ModelCard(
    name="openai/gpt-oss-120b",
    backends=("groq",),
    context_window=131_072,
    capabilities=frozenset({"chat", "tools", "json_schema", "reasoning"}),
)


@hookimpl
def andon_register_backends() -> Iterable[BackendSpec]:
    """Offer the backend ``groq``."""
    return [
        http_backend_spec(
            "groq", ENDPOINT, openai_dialect(QUIRKS), summary="Groq's API", models=(MODEL,)
        )
    ]
