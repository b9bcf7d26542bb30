"""Realizar servers as an andon backend: nothing but facts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from andon.backends.http_backend import http_backend_spec
from andon.hookspecs import hookimpl
from andon.specs import BackendSpec, Locality, ModelCard
from andon.wire.api_choice import choose_api
from andon.wire.completions import completions_dialect
from andon.wire.endpoint import EndpointSpec
from andon.wire.openai_chat import Quirks, openai_dialect

ENDPOINT = EndpointSpec(
    base_url="http://127.0.0.1:8080/v1",
    locality=Locality.LOCAL,
    base_url_variables=("REALIZAR_BASE_URL",),
    options=("api", "chat_template"),
    docs="https://github.com/paiml/realizar",
)
# Its chats know these fields alone: messages, max_tokens, temperature, top_p, n, stream, stop,
# user. Others are ignored without a word, so they are refused here.
QUIRKS = Quirks(
    max_tokens_field="max_tokens",
    stream_options=False,
    text_only=True,
    tools=False,
    json_schema=False,
    json_object=False,
    seed=False,
    reasoning_effort=False,
    logprobs=None,
    health_path="/health",
)
#: Raw prompts are all that it can count.
RAW_QUIRKS = replace(QUIRKS, counting="realizar")
MODEL = ModelCard(name="default", backends=("realizar",), description="the model that it serves")


@hookimpl
def andon_register_backends() -> Iterable[BackendSpec]:
    """Offer the backend ``realizar``."""
    dialect = choose_api(
        {"chat": openai_dialect(QUIRKS), "completions": completions_dialect(RAW_QUIRKS)}
    )
    summary = "a Realizar server"
    return [http_backend_spec("realizar", ENDPOINT, dialect, summary=summary, models=(MODEL,))]
