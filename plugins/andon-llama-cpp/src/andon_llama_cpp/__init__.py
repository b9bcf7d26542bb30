"""Models in GGUF files that llama.cpp runs inside this process, as an andon backend.

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


@hookimpl
def andon_register_backends() -> Iterable[BackendSpec]:
    """Offer the backend ``llama-cpp``."""
    return [
        BackendSpec(
            name="llama-cpp",
            create=_create,
            locality=Locality.IN_PROCESS,
            summary="llama.cpp in this process, from a GGUF file",
            models=("demo",),
        )
    ]


def _create(context: BackendContext) -> Backend:
    from andon.backends.in_process import InProcessBackend
    from andon_llama_cpp.engine import load
    from andon_llama_cpp.options import read_options

    # Read here and not only at the first load, so that a wrong setting is found at once.
    read_options(context.options)
    return InProcessBackend("llama-cpp", load, context)
