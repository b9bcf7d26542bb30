"""Llamafiles as an andon backend: nothing but facts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from andon.backends.http_backend import http_backend_spec
from andon.hookspecs import hookimpl
from andon.specs import BackendSpec, Locality
from andon.wire.api_choice import choose_api
from andon.wire.endpoint import EndpointSpec
from andon.wire.llama_server import llama_server_dialect
from andon.wire.openai_chat import openai_dialect
from andon.wire.openai_quirks import LLAMA_SERVER

ENDPOINT = EndpointSpec(
    base_url="http://127.0.0.1:8080/v1",
    locality=Locality.LOCAL,
    key_variables=("LLAMAFILE_API_KEY",),
    key_optional=True,
    base_url_variables=("LLAMAFILE_API_BASE",),
    options=("api", "chat_template"),
    docs="https://github.com/mozilla-ai/llamafile",
)
# From version 0.10 on it is llama.cpp's server of its time. Older ones neither continue a message
# nor count tokens of a chat, and differ in how they end a stream.
QUIRKS = replace(
    LLAMA_SERVER, continuation=False, prefix_echoed=False, counting=None, done_required=False
)
#: Raw prompts are completed and counted by every version.
RAW_QUIRKS = replace(LLAMA_SERVER, raw_response_format=True)


@hookimpl
def andon_register_backends() -> Iterable[BackendSpec]:
    """Offer the backend ``llamafile``."""
    dialect = choose_api(
        {"chat": openai_dialect(QUIRKS), "completions": llama_server_dialect(RAW_QUIRKS)}
    )
    return [http_backend_spec("llamafile", ENDPOINT, dialect, summary="a running llamafile")]
