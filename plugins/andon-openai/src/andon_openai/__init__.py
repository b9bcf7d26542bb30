"""OpenAI's API as an andon backend: nothing but facts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from andon.backends.http_backend import http_backend_spec
from andon.hookspecs import hookimpl
from andon.specs import BackendContext, BackendSpec, Locality, ModelCard
from andon.wire.api_choice import API_OPTION, choose_api
from andon.wire.endpoint import EndpointSpec
from andon.wire.openai_chat import OPENAI, openai_dialect
from andon.wire.openai_responses import SUMMARY_OPTION, responses_dialect
from andon.wire.resumable import RESUMABLE_OPTION

ENDPOINT = EndpointSpec(
    base_url="https://api.openai.com/v1",
    locality=Locality.PUBLIC,
    key_variables=("OPENAI_API_KEY",),
    base_url_variables=("OPENAI_BASE_URL",),
    options=(API_OPTION, SUMMARY_OPTION, "organization", "project"),
    switches=(RESUMABLE_OPTION,),
    docs="https://platform.openai.com/docs/api-reference",
)
QUIRKS = replace(OPENAI, input_tokens=True)
MODEL = ModelCard(
    name="gpt-5.4-mini",
    backends=("openai",),
    context_window=400_000,
    max_output_tokens=128_000,
    capabilities=frozenset({"chat", "tools", "images", "json_schema", "reasoning"}),
)


def account(context: BackendContext) -> Mapping[str, str]:
    """Return the headers that say to whose account a request counts."""
    found, variables = context.options, context.environment
    project = variables.get("OPENAI_PROJECT_ID") or variables.get("OPENAI_PROJECT")
    headers = {
        "openai-organization": found.get("organization") or variables.get("OPENAI_ORG_ID"),
        "openai-project": found.get("project") or project,
    }
    return {name: value for name, value in headers.items() if value}


DIALECTS = {"chat": openai_dialect(QUIRKS, account), "responses": responses_dialect(account)}


@hookimpl
def andon_register_backends() -> Iterable[BackendSpec]:
    """Offer the backend ``openai``."""
    dialect = choose_api(DIALECTS)
    return [http_backend_spec("openai", ENDPOINT, dialect, summary="OpenAI's API", models=(MODEL,))]
