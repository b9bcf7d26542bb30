"""OpenAI's API as an andon backend: nothing but facts."""

from __future__ import annotations

from collections.abc import Iterable

from andon.backends.http_backend import http_backend_spec
from andon.hookspecs import hookimpl
from andon.specs import BackendSpec, Locality, ModelCard
from andon.wire.endpoint import EndpointSpec
from andon.wire.openai_chat import OPENAI, openai_dialect

ENDPOINT = EndpointSpec(
    base_url="https://api.openai.com/v1",
    locality=Locality.PUBLIC,
    key_variables=("OPENAI_API_KEY",),
    base_url_variables=("OPENAI_BASE_URL",),
    docs="https://platform.openai.com/docs/api-reference/chat",
)
QUIRKS = OPENAI
MODEL = ModelCard(
    name="gpt-5.4-mini",
    backends=("openai",),
    context_window=400_000,
    max_output_tokens=128_000,
    capabilities=frozenset({"chat", "tools", "images", "json_schema", "reasoning"}),
)


@hookimpl
def andon_register_backends() -> Iterable[BackendSpec]:
    """Offer the backend ``openai``."""
    return [
        http_backend_spec(
            "openai", ENDPOINT, openai_dialect(QUIRKS), summary="OpenAI's API", models=(MODEL,)
        )
    ]
