"""LocalAI servers as an andon backend: nothing but facts."""

from __future__ import annotations

from collections.abc import Iterable

from andon.backends.http_backend import http_backend_spec
from andon.hookspecs import hookimpl
from andon.specs import BackendSpec, Locality
from andon.wire.endpoint import EndpointSpec
from andon.wire.openai_chat import Quirks, openai_dialect

ENDPOINT = EndpointSpec(
    base_url="http://127.0.0.1:8080/v1",
    locality=Locality.LOCAL,
    key_variables=("LOCALAI_API_KEY",),
    key_optional=True,
    docs="https://localai.io/",
)
QUIRKS = Quirks(max_tokens_field="max_tokens")


@hookimpl
def andon_register_backends() -> Iterable[BackendSpec]:
    """Offer the backend ``localai``."""
    return [
        http_backend_spec("localai", ENDPOINT, openai_dialect(QUIRKS), summary="a LocalAI server")
    ]
