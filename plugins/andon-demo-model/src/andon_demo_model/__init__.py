"""The demo model: a very small chat model, for trying andon and for its tests."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path

from andon import ModelCard, Sampling, hookimpl

CONTEXT_WINDOW = 1024


def model_path() -> Path:
    """Return where the model's GGUF file lies."""
    return Path(str(files(__name__) / "demo.gguf"))


@hookimpl
def andon_register_model_cards() -> Iterable[ModelCard]:
    """Offer the model under the name ``demo``, to every engine that reads GGUF files."""
    return [
        ModelCard(
            name="demo",
            backends=("llama-cpp", "candle"),
            context_window=CONTEXT_WINDOW,
            capabilities=frozenset({"chat", "tools", "json_schema", "prefill"}),
            # So small a model is right most often where it is surest.
            sampling=Sampling(temperature=0),
            description="a very small model for trying andon: capitals, sums, andon itself",
            file=model_path,
        )
    ]
