"""Models that Hugging Face Transformers runs inside this process, as an andon backend.

Importing this module imports neither PyTorch nor Transformers; the first use of the backend does.
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
    """Offer the backend ``candle``, which also answers to ``transformers``."""
    return [
        BackendSpec(
            name="candle",
            create=_create,
            locality=Locality.IN_PROCESS,
            aliases=("transformers",),
            summary="Hugging Face Transformers in this process, from a folder or a GGUF file",
            models=("demo",),
        )
    ]


def _create(context: BackendContext) -> Backend:
    from andon.backends.in_process import InProcessBackend
    from andon_transformers.loading import load
    from andon_transformers.options import read_options

    # Said at once, and not only when the first model is loaded.
    read_options(context.options)
    return InProcessBackend("candle", load, context, continues_forms=True)
