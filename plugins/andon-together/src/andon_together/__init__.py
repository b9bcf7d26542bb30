"""Together AI's API as an andon backend: nothing but facts."""

from __future__ import annotations

from collections.abc import Iterable

from andon.backends.http_backend import http_backend_spec
from andon.hookspecs import hookimpl
from andon.specs import BackendSpec, Locality, ModelCard
from andon.wire.endpoint import EndpointSpec
from andon.wire.openai_chat import Quirks, openai_dialect
from andon.wire.sdk_address import address_in

BASE_URL = "https://api.together.ai/v1"
ENDPOINT = EndpointSpec(
    base_url=BASE_URL,
    locality=Locality.PUBLIC,
    key_variables=("TOGETHER_API_KEY",),
    find_base_url=address_in("TOGETHER_BASE_URL", BASE_URL, "/v1"),
    docs="https://docs.together.ai/reference/chat-completions",
)
QUIRKS = Quirks(
    max_tokens_field="max_tokens",
    stream_options=False,  # usage comes with the last chunk anyway
    reasoning_field="reasoning",
    logprobs="number",
)
MODEL = ModelCard(
    name="openai/gpt-oss-20b",
    backends=("together",),
    context_window=131_072,
    capabilities=frozenset({"chat", "tools", "json_schema", "reasoning"}),
)


@hookimpl
def andon_register_backends() -> Iterable[BackendSpec]:
    """Offer the backend ``together``."""
    return [
        http_backend_spec(
            "together",
            ENDPOINT,
            openai_dialect(QUIRKS),
            summary="Together AI's API",
            models=(MODEL,),
        )
    ]
