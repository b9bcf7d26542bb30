"""OpenAI's models on Azure as an andon backend."""

from __future__ import annotations

from collections.abc import Iterable

from andon.backends.http_backend import http_backend_spec
from andon.hookspecs import hookimpl
from andon.specs import BackendSpec, Locality, ModelCard
from andon.wire.api_choice import API_OPTION
from andon.wire.endpoint import EndpointSpec
from andon.wire.openai_responses import SUMMARY_OPTION
from andon.wire.resumable import RESUMABLE_OPTION
from andon_azure_openai.authorizer import make_authorizer
from andon_azure_openai.place import find_base_url, make_dialect

ENDPOINT = EndpointSpec(
    base_url="",
    locality=Locality.PRIVATE,  # an account of one's own, and its contract
    own_hosts=(".openai.azure.com", ".services.ai.azure.com", ".cognitiveservices.azure.com"),
    key_variables=("AZURE_OPENAI_API_KEY",),
    find_base_url=find_base_url,
    auth_header="api-key",
    auth_prefix="",
    authorizer=make_authorizer,
    options=(
        API_OPTION, SUMMARY_OPTION, "azure_endpoint", "api_version", "ad_token", "tenant_id",
        "client_id", "client_secret",
    ),
    switches=(RESUMABLE_OPTION,),
    docs="https://learn.microsoft.com/azure/foundry/openai/latest",
)  # fmt: skip
MODEL = ModelCard(
    name="gpt-5.4-mini",
    backends=("azure-openai",),
    context_window=400_000,
    max_output_tokens=128_000,
    capabilities=frozenset({"chat", "tools", "images", "json_schema", "reasoning"}),
    description="The name is that of your own deployment.",
)


@hookimpl
def andon_register_backends() -> Iterable[BackendSpec]:
    """Offer the backend ``azure-openai``."""
    return [
        http_backend_spec(
            "azure-openai",
            ENDPOINT,
            make_dialect,
            summary="OpenAI's models on Azure",
            models=(MODEL,),
        )
    ]
