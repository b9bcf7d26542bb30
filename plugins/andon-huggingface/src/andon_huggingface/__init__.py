"""Hugging Face's inference router, and its dedicated endpoints, as an andon backend."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from andon.backends.http_backend import http_backend_spec
from andon.errors import SettingsError
from andon.hookspecs import hookimpl
from andon.specs import BackendContext, BackendSpec, Locality, ModelCard
from andon.wire.api_choice import choose_api
from andon.wire.completions import completions_dialect
from andon.wire.endpoint import EndpointSpec
from andon.wire.openai_chat import Quirks, openai_dialect

ENDPOINT = EndpointSpec(
    base_url="https://router.huggingface.co/v1",
    locality=Locality.PUBLIC,
    key_variables=("HF_TOKEN",),
    options=("api", "chat_template", "bill_to"),
    docs="https://huggingface.co/docs/inference-providers",
)
QUIRKS = Quirks(max_tokens_field="max_tokens")
MODEL = ModelCard(
    name="openai/gpt-oss-120b",
    backends=("huggingface",),
    context_window=131_072,
    capabilities=frozenset({"chat", "tools", "json_schema", "reasoning"}),
)


def bill_to(context: BackendContext) -> Mapping[str, str]:
    """Return the header that names the organisation that pays, where one is set.

    :raises SettingsError: the name is no header's value.
    """
    name = context.options.get("bill_to")
    if name is None:
        return {}
    if not (isinstance(name, str) and name and name.isascii() and name.isprintable()):
        raise SettingsError("bill_to of 'huggingface' must be the name of an organisation")
    return {"x-hf-bill-to": name}


@hookimpl
def andon_register_backends() -> Iterable[BackendSpec]:
    """Offer the backend ``huggingface``."""
    dialect = choose_api(
        {
            "chat": openai_dialect(QUIRKS, bill_to),
            "completions": completions_dialect(QUIRKS, bill_to),
        }
    )
    summary = "Hugging Face's inference providers and endpoints"
    return [http_backend_spec("huggingface", ENDPOINT, dialect, summary=summary, models=(MODEL,))]
