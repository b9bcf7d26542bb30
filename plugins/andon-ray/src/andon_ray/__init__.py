"""Batches on many machines, with Ray."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from andon import BatchEngineSpec, hookimpl

if TYPE_CHECKING:
    from andon.batch import BatchEngine


def _engine() -> BatchEngine:
    # At its first use, since it imports Ray.
    from andon_ray.engine import RayEngine

    return RayEngine()


@hookimpl
def andon_register_batch_engines() -> Sequence[BatchEngineSpec]:
    """Offer the engine ``ray``."""
    return [BatchEngineSpec(name="ray", create=_engine)]
