"""Gemini on Google Cloud (Vertex AI) as an andon backend."""

from __future__ import annotations

from collections.abc import Iterable

from andon.backends.http_backend import http_backend_spec
from andon.hookspecs import hookimpl
from andon.specs import BackendSpec, Locality, ModelCard
from andon.wire.endpoint import EndpointSpec
from andon_google_vertex.authorizer import make_authorizer
from andon_google_vertex.place import find_base_url, make_dialect

ENDPOINT = EndpointSpec(
    base_url="https://aiplatform.googleapis.com/v1beta1",
    locality=Locality.PRIVATE,  # an account of one's own, and its contract
    own_hosts=(".googleapis.com",),
    key_variables=("GOOGLE_API_KEY",),
    find_base_url=find_base_url,
    authorizer=make_authorizer,
    options=("project", "location", "api_version", "credentials_file"),
    docs="https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference",
)
MODEL = ModelCard(
    name="gemini-3.5-flash",
    backends=("google-vertex",),
    context_window=1_048_576,
    max_output_tokens=65_536,
    capabilities=frozenset({"chat", "tools", "images", "json_schema", "reasoning"}),
)


@hookimpl
def andon_register_backends() -> Iterable[BackendSpec]:
    """Offer the backend ``google-vertex``."""
    return [
        http_backend_spec(
            "google-vertex",
            ENDPOINT,
            make_dialect,
            summary="Gemini on Google Cloud (Vertex AI)",
            models=(MODEL,),
        )
    ]
