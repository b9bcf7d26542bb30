"""Anyscale Services as an andon backend: nothing but facts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from andon.backends.http_backend import http_backend_spec
from andon.hookspecs import hookimpl
from andon.specs import BackendSpec, Locality
from andon.wire.api_choice import choose_api
from andon.wire.completions import completions_dialect
from andon.wire.endpoint import EndpointSpec
from andon.wire.openai_chat import openai_dialect
from andon.wire.openai_quirks import VLLM

ENDPOINT = EndpointSpec(
    base_url="",  # every service has its own
    locality=Locality.PUBLIC,
    key_variables=("ANYSCALE_API_KEY",),
    base_url_variables=("ANYSCALE_BASE_URL",),
    options=("api", "chat_template"),
    docs="https://docs.anyscale.com/llm/serving",
)
# Ray Serve runs vLLM and passes on the protocol, but not what stands beside it.
QUIRKS = replace(VLLM, health_path=None, counting=None, slots=None)


@hookimpl
def andon_register_backends() -> Iterable[BackendSpec]:
    """Offer the backend ``anyscale``."""
    dialect = choose_api(
        {"chat": openai_dialect(QUIRKS), "completions": completions_dialect(QUIRKS)}
    )
    return [http_backend_spec("anyscale", ENDPOINT, dialect, summary="a service on Anyscale")]
