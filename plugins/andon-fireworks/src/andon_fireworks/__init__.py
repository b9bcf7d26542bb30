"""Fireworks AI's API as an andon backend: nothing but facts."""

from __future__ import annotations

from collections.abc import Iterable

from andon.backends.http_backend import http_backend_spec
from andon.hookspecs import hookimpl
from andon.specs import BackendSpec, Locality, ModelCard
from andon.wire.endpoint import EndpointSpec
from andon.wire.openai_chat import Quirks, openai_dialect
from andon.wire.sdk_address import address_in

BASE_URL = "https://api.fireworks.ai/inference/v1"
ENDPOINT = EndpointSpec(
    base_url=BASE_URL,
    locality=Locality.PUBLIC,
    key_variables=("FIREWORKS_API_KEY",),
    find_base_url=address_in("FIREWORKS_BASE_URL", BASE_URL, "/v1"),
    docs="https://docs.fireworks.ai/api-reference/post-chatcompletions",
)
QUIRKS = Quirks(
    max_tokens_field="max_tokens",
    stream_options=False,  # usage comes with the last chunk anyway
    reasoning_field="reasoning_content",
    # Otherwise a prompt that is too long is not an error: the answer is cut instead.
    extra={"context_length_exceeded_behavior": "error"},
)
MODEL = ModelCard(
    name="accounts/fireworks/models/gpt-oss-120b",
    backends=("fireworks",),
    context_window=131_072,
    capabilities=frozenset({"chat", "tools", "json_schema", "reasoning"}),
)


@hookimpl
def andon_register_backends() -> Iterable[BackendSpec]:
    """Offer the backend ``fireworks``."""
    return [
        http_backend_spec(
            "fireworks",
            ENDPOINT,
            openai_dialect(QUIRKS),
            summary="Fireworks AI's API",
            models=(MODEL,),
        )
    ]
