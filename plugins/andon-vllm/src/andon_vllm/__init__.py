"""vLLM servers as an andon backend: nothing but facts."""

from __future__ import annotations

from collections.abc import Iterable

from andon.backends.http_backend import http_backend_spec
from andon.hookspecs import hookimpl
from andon.specs import BackendSpec, Locality
from andon.wire.api_choice import choose_api
from andon.wire.completions import completions_dialect
from andon.wire.endpoint import EndpointSpec
from andon.wire.openai_chat import openai_dialect
from andon.wire.openai_quirks import VLLM

ENDPOINT = EndpointSpec(
    base_url="http://127.0.0.1:8000/v1",
    locality=Locality.LOCAL,
    key_variables=("VLLM_API_KEY",),
    key_optional=True,
    base_url_variables=("VLLM_BASE_URL",),
    options=("api", "chat_template"),
    docs="https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html",
)
QUIRKS = VLLM


@hookimpl
def andon_register_backends() -> Iterable[BackendSpec]:
    """Offer the backend ``vllm``."""
    dialect = choose_api(
        {"chat": openai_dialect(QUIRKS), "completions": completions_dialect(QUIRKS)}
    )
    return [http_backend_spec("vllm", ENDPOINT, dialect, summary="a vLLM server")]
