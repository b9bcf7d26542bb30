"""Ollama as an andon backend: facts, and where its server is."""

from __future__ import annotations

from collections.abc import Iterable

from andon.backends.http_backend import http_backend_spec
from andon.hookspecs import hookimpl
from andon.specs import BackendSpec, Locality, ModelCard
from andon.wire.endpoint import EndpointSpec
from andon.wire.ollama import ollama_dialect
from andon_ollama.host import DEFAULT, find_base_url

ENDPOINT = EndpointSpec(
    base_url=DEFAULT,
    locality=Locality.LOCAL,
    key_variables=("OLLAMA_API_KEY",),
    key_optional=True,  # only Ollama's cloud asks for one
    find_base_url=find_base_url,
    options=("num_ctx", "keep_alive"),
    docs="https://docs.ollama.com/api",
)
MODEL = ModelCard(
    name="llama3.1",
    backends=("ollama",),
    context_window=None,  # whatever the server has memory for
    capabilities=frozenset({"chat", "tools", "json_schema"}),
)


@hookimpl
def andon_register_backends() -> Iterable[BackendSpec]:
    """Offer the backend ``ollama``."""
    return [
        http_backend_spec(
            "ollama",
            ENDPOINT,
            ollama_dialect,
            summary="Ollama, on this machine or elsewhere",
            models=(MODEL,),
        )
    ]
