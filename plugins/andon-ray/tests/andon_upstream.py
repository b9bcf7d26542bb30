"""A plugin whose backend asks the server of a test; workers import it by its name."""

from __future__ import annotations

import os

from andon import BackendSpec, Locality, hookimpl
from andon.backends.http_backend import http_backend_spec
from andon.wire.endpoint import EndpointSpec
from andon.wire.openai_chat import openai_dialect


@hookimpl
def andon_register_backends() -> list[BackendSpec]:
    url = os.environ["ANDON_TEST_UPSTREAM"]
    endpoint = EndpointSpec(base_url=f"{url}/{os.getpid()}/v1", locality=Locality.PUBLIC)
    return [http_backend_spec("up", endpoint, openai_dialect())]
