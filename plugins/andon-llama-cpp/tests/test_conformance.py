"""andon-llama-cpp and the conformance kit, with the demo model."""

from __future__ import annotations

import pytest

import andon_llama_cpp
from andon.testing import ALL, Ability, InProcessConformance

andon_demo_model = pytest.importorskip("andon_demo_model")


class TestLlamaCpp(InProcessConformance):
    plugin = andon_llama_cpp
    companions = (andon_demo_model,)
    backend = "llama-cpp"
    model = "demo"
    abilities = ALL - {
        Ability.IMAGES, Ability.LOGPROBS, Ability.PARALLEL_TOOLS, Ability.REASONING,
        Ability.REASONING_EFFORT,
    }  # fmt: skip
