"""Models in GGUF files that llama.cpp runs, as an andon backend.

It runs inside this process, unless the settings name a llama-server: then that is asked over HTTP.
Importing this module does not import llama.cpp; the first use of the backend does.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from andon.hookspecs import hookimpl
from andon.specs import BackendSpec, Locality

if TYPE_CHECKING:
    from andon.backends import Backend
    from andon.specs import BackendContext

#: The environment variable that names a llama-server.
SERVER_VARIABLE = "LLAMA_SERVER_URL"


@hookimpl
def andon_register_backends() -> Iterable[BackendSpec]:
    """Offer the backend ``llama-cpp``."""
    return [
        BackendSpec(
            name="llama-cpp",
            create=_create,
            locality=Locality.IN_PROCESS,
            locate=_locate,
            summary="llama.cpp in this process, from a GGUF file; or a llama-server",
            models=("demo",),
            key_variables=("LLAMA_API_KEY",),
        )
    ]


def _create(context: BackendContext) -> Backend:
    if _at_a_server(context):
        from andon_llama_cpp.server import SERVER

        return SERVER.create(context)
    from andon.backends.in_process import InProcessBackend
    from andon_llama_cpp.engine import load
    from andon_llama_cpp.options import read_options

    # Read here and not only at the first load, so that a wrong setting is found at once.
    read_options(context.options)
    return InProcessBackend("llama-cpp", load, context, continues_forms=True)


def _locate(context: BackendContext) -> Locality:
    if not _at_a_server(context):
        return Locality.IN_PROCESS
    from andon_llama_cpp.server import SERVER

    return SERVER.locality if SERVER.locate is None else SERVER.locate(context)


def _at_a_server(context: BackendContext) -> bool:
    return "base_url" in context.options or bool(context.environment.get(SERVER_VARIABLE))
