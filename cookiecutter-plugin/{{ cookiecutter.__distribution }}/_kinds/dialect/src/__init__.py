"""{{ cookiecutter.summary }}."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from andon import BackendContext, BackendSpec, Locality, hookimpl
from andon.backends.http_backend import http_backend_spec
from andon.wire.endpoint import EndpointSpec

if TYPE_CHECKING:
    from {{ cookiecutter.__package }}.dialect import LinesDialect

NAME = "{{ cookiecutter.name }}"
SUMMARY = "{{ cookiecutter.summary }}"

#: Where the server is, and how to sign in.
ENDPOINT = EndpointSpec(
    base_url="https://api.example.com/v1",
    locality=Locality.PUBLIC,
    key_variables=("{{ cookiecutter.__variable }}_API_KEY",),
)


def _dialect(context: BackendContext) -> LinesDialect:
    from {{ cookiecutter.__package }}.dialect import LinesDialect

    return LinesDialect()


@hookimpl
def andon_register_backends() -> Iterable[BackendSpec]:
    """Offer the backend ``{{ cookiecutter.name }}``."""
    return [http_backend_spec(NAME, ENDPOINT, _dialect, summary=SUMMARY)]
