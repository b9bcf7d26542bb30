"""LocalAI servers as an andon backend: nothing but facts."""

from __future__ import annotations

from collections.abc import Iterable

from andon.backends.http_backend import http_backend_spec
from andon.hookspecs import hookimpl
from andon.specs import BackendSpec, Locality
from andon.wire.api_choice import choose_api
from andon.wire.completions import completions_dialect
from andon.wire.endpoint import EndpointSpec
from andon.wire.openai_chat import Quirks, openai_dialect

ENDPOINT = EndpointSpec(
    base_url="http://127.0.0.1:8080/v1",
    locality=Locality.LOCAL,
    key_variables=("LOCALAI_API_KEY",),
    key_optional=True,
    base_url_variables=("LOCALAI_BASE_URL",),
    options=("api", "chat_template"),
    docs="https://localai.io/",
)
QUIRKS = Quirks(
    max_tokens_field="max_tokens",
    health_path="/readyz",
    counting="localai",  # of raw prompts; of chats it does not know the template's part
)


@hookimpl
def andon_register_backends() -> Iterable[BackendSpec]:
    """Offer the backend ``localai``."""
    dialect = choose_api(
        {"chat": openai_dialect(QUIRKS), "completions": completions_dialect(QUIRKS)}
    )
    return [http_backend_spec("localai", ENDPOINT, dialect, summary="a LocalAI server")]
