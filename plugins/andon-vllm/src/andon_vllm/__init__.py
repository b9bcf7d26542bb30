"""vLLM servers as an andon backend: nothing but facts."""

from __future__ import annotations

from collections.abc import Iterable

from andon.backends.http_backend import http_backend_spec
from andon.hookspecs import hookimpl
from andon.specs import BackendSpec, Locality
from andon.wire.endpoint import EndpointSpec
from andon.wire.openai_chat import Quirks, openai_dialect

ENDPOINT = EndpointSpec(
    base_url="http://127.0.0.1:8000/v1",
    locality=Locality.LOCAL,
    key_variables=("VLLM_API_KEY",),
    key_optional=True,
    docs="https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html",
)
QUIRKS = Quirks(continuation=True, reasoning_field="reasoning")


@hookimpl
def andon_register_backends() -> Iterable[BackendSpec]:
    """Offer the backend ``vllm``."""
    return [http_backend_spec("vllm", ENDPOINT, openai_dialect(QUIRKS), summary="a vLLM server")]
