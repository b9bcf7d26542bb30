"""Text Generation Inference (TGI) as an andon backend: nothing but facts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from andon.backends.http_backend import http_backend_spec
from andon.hookspecs import hookimpl
from andon.specs import BackendSpec, Locality, ModelCard
from andon.wire.api_choice import choose_api
from andon.wire.endpoint import EndpointSpec
from andon.wire.openai_chat import Quirks, openai_dialect
from andon.wire.tgi import tgi_dialect

ENDPOINT = EndpointSpec(
    base_url="http://127.0.0.1:3000/v1",
    locality=Locality.LOCAL,
    key_variables=("TGI_API_KEY",),
    key_optional=True,
    base_url_variables=("TGI_BASE_URL",),
    options=("api", "chat_template"),
    docs="https://huggingface.co/docs/text-generation-inference",
)
QUIRKS = Quirks(
    max_tokens_field="max_tokens",
    continuation=True,
    continuation_flags=False,
    schema_form="value",
    full_top_p=False,
    stop_echoed=True,
    reasoning_effort=False,
    health_path="/health",
    counting="tgi",
)
#: Its own route keeps raw completions to a grammar as well.
RAW_QUIRKS = replace(QUIRKS, raw_response_format=True)
MODEL = ModelCard(
    name="tgi",
    backends=("tgi",),
    capabilities=frozenset({"chat", "tools", "json_schema", "prefill"}),
    description="the model that it serves, without an adapter",
)


@hookimpl
def andon_register_backends() -> Iterable[BackendSpec]:
    """Offer the backend ``tgi``."""
    dialect = choose_api({"chat": openai_dialect(QUIRKS), "completions": tgi_dialect(RAW_QUIRKS)})
    summary = "a TGI server"
    return [http_backend_spec("tgi", ENDPOINT, dialect, summary=summary, models=(MODEL,))]
