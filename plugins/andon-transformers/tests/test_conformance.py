"""andon-transformers and the conformance kit, with the demo model."""

from __future__ import annotations

import pytest

import andon_transformers
from andon.testing import ALL, Ability, InProcessConformance

andon_demo_model = pytest.importorskip("andon_demo_model")


class TestCandle(InProcessConformance):
    plugin = andon_transformers
    companions = (andon_demo_model,)
    backend = "candle"
    model = "demo"
    abilities = ALL - {
        Ability.IMAGES, Ability.LOGPROBS, Ability.PARALLEL_TOOLS, Ability.REASONING,
        Ability.REASONING_EFFORT,
    }  # fmt: skip
