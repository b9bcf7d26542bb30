"""Llamafiles as an andon backend: nothing but facts."""

from __future__ import annotations

from collections.abc import Iterable

from andon.backends.http_backend import http_backend_spec
from andon.hookspecs import hookimpl
from andon.specs import BackendSpec, Locality
from andon.wire.endpoint import EndpointSpec
from andon.wire.openai_chat import Quirks, openai_dialect

ENDPOINT = EndpointSpec(
    base_url="http://127.0.0.1:8080/v1",
    locality=Locality.LOCAL,
    key_variables=("LLAMAFILE_API_KEY",),
    key_optional=True,
    base_url_variables=("LLAMAFILE_API_BASE",),
    docs="https://github.com/mozilla-ai/llamafile",
)
QUIRKS = Quirks(
    max_tokens_field="max_tokens",
    done_required=False,  # builds differ in how they end a stream
    reasoning_field="reasoning_content",
)


@hookimpl
def andon_register_backends() -> Iterable[BackendSpec]:
    """Offer the backend ``llamafile``."""
    return [
        http_backend_spec(
            "llamafile", ENDPOINT, openai_dialect(QUIRKS), summary="a running llamafile"
        )
    ]
