"""Anthropic's API as an andon backend: nothing but facts."""

from __future__ import annotations

from collections.abc import Iterable

from andon.backends.http_backend import http_backend_spec
from andon.hookspecs import hookimpl
from andon.specs import BackendSpec, Locality, ModelCard
from andon.wire.anthropic_messages import anthropic_dialect
from andon.wire.endpoint import EndpointSpec

# Keys and tokens alike go out as "Authorization: Bearer", as Anthropic's SDK sends them since its
# 2.0: the older x-api-key takes keys only, and wins where both are sent.
ENDPOINT = EndpointSpec(
    base_url="https://api.anthropic.com",
    locality=Locality.PUBLIC,
    key_variables=("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"),
    base_url_variables=("ANTHROPIC_BASE_URL",),
    docs="https://platform.claude.com/docs/en/api/messages",
)
MODEL = ModelCard(
    name="claude-sonnet-5-5",
    backends=("anthropic",),
    context_window=1_000_000,
    max_output_tokens=128_000,
    capabilities=frozenset({"chat", "tools", "images", "json_schema", "reasoning"}),
)


@hookimpl
def andon_register_backends() -> Iterable[BackendSpec]:
    """Offer the backend ``anthropic``."""
    return [
        http_backend_spec(
            "anthropic", ENDPOINT, anthropic_dialect, summary="Anthropic's API", models=(MODEL,)
        )
    ]
