"""Replicate as an andon backend: nothing but facts."""

from __future__ import annotations

from collections.abc import Iterable

from andon.backends.http_backend import http_backend_spec
from andon.hookspecs import hookimpl
from andon.specs import BackendSpec, Locality, ModelCard
from andon.wire.endpoint import EndpointSpec
from andon.wire.replicate import replicate_dialect

ENDPOINT = EndpointSpec(
    base_url="https://api.replicate.com",
    locality=Locality.PUBLIC,
    key_variables=("REPLICATE_API_TOKEN",),
    base_url_variables=("REPLICATE_BASE_URL",),
    options=("input_style", "max_tokens_field", "wait", "poll_interval"),
    # Where streams are read: the first today, the second in its documentation's examples.
    trusted_hosts=("stream.replicate.com", "streaming.api.replicate.com"),
    docs="https://replicate.com/docs/reference/http",
)
MODEL = ModelCard(
    name="meta/meta-llama-3.1-405b-instruct",
    backends=("replicate",),
    capabilities=frozenset({"chat", "prefill"}),
)


@hookimpl
def andon_register_backends() -> Iterable[BackendSpec]:
    """Offer the backend ``replicate``."""
    return [
        http_backend_spec(
            "replicate",
            ENDPOINT,
            replicate_dialect,
            summary="Replicate's predictions",
            models=(MODEL,),
        )
    ]
