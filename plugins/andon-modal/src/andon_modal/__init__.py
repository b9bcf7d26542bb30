"""Models served on Modal as an andon backend."""

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
from andon_modal.proxy_auth import ProxyAuth

ENDPOINT = EndpointSpec(
    base_url="",  # every deployment has its own
    locality=Locality.PUBLIC,
    base_url_variables=("MODAL_BASE_URL",),
    authorizer=ProxyAuth.from_context,
    options=("api", "chat_template", "proxy_key", "proxy_secret"),
    see_other=True,  # after 150 seconds it sends us on to where the answer will be
    docs="https://modal.com/docs/guide/webhook-proxy-auth",
)
# Whatever server runs there decides; most run vLLM, as Modal's own endpoints do.
QUIRKS = VLLM


@hookimpl
def andon_register_backends() -> Iterable[BackendSpec]:
    """Offer the backend ``modal``."""
    dialect = choose_api(
        {"chat": openai_dialect(QUIRKS), "completions": completions_dialect(QUIRKS)}
    )
    return [http_backend_spec("modal", ENDPOINT, dialect, summary="a model served on Modal")]
