"""Answers that a JSON schema allows."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch

from andon.errors import UnsupportedParameterError
from andon_transformers.engine import TransformersEngine
from andon_transformers.json_schema import SchemaCompiler, is_available

Ask = Callable[..., bytes]

CITY = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 12},
        "population": {"type": "integer", "minimum": 0, "maximum": 99999},
    },
    "required": ["name", "population"],
    "additionalProperties": False,
}


def test_without_the_library_a_schema_is_refused_before_any_work(
    tiny: TransformersEngine, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "llguidance", None)
    with pytest.raises(UnsupportedParameterError, match=r"andon-transformers\[json\]"):
        ask(tiny, "A city, please.", json_schema=CITY)


def test_the_card_tells_whether_schemas_work(tiny: TransformersEngine) -> None:
    assert ("json_schema" in tiny.card.capabilities) is is_available()


@pytest.fixture
def _library() -> None:
    pytest.importorskip("llguidance")


needs_library = pytest.mark.usefixtures("_library")


@needs_library
@pytest.mark.parametrize("temperature", [0, 1.0])
def test_even_random_weights_keep_to_the_schema(
    tiny: TransformersEngine, ask: Ask, temperature: float
) -> None:
    for seed in range(3):
        answer = ask(
            tiny, "A city.", json_schema=CITY, max_tokens=200, temperature=temperature, seed=seed
        )
        city = json.loads(answer)
        assert set(city) == {"name", "population"}
        assert len(city["name"]) <= 12
        assert 0 <= city["population"] <= 99999


@needs_library
def test_the_demo_model_keeps_to_a_choice(demo: TransformersEngine, ask: Ask) -> None:
    free = ask(demo, "What is the capital of France?")
    schema = {"enum": ["Paris", "Rome"]}
    answer = ask(demo, "What is the capital of France?", json_schema=schema)
    assert json.loads(answer) in ("Paris", "Rome")
    assert ask(demo, "What is the capital of France?") == free


@needs_library
@pytest.mark.parametrize(
    "schema", [{"type": "nonsense"}, {"$ref": "#/missing"}, {"pattern": "(", "type": "string"}]
)
def test_a_schema_that_cannot_be_enforced_is_refused(
    tiny: TransformersEngine, ask: Ask, schema: dict[str, Any]
) -> None:
    with pytest.raises(UnsupportedParameterError, match="the JSON schema cannot be"):
        ask(tiny, "Anything.", json_schema=schema)


@needs_library
def test_a_tokenizer_that_the_library_cannot_read_is_named() -> None:
    with pytest.raises(UnsupportedParameterError, match="with this model's tokenizer"):
        SchemaCompiler("{}", 400, [2]).compile(CITY)


@needs_library
def test_outputs_without_a_token_are_never_allowed(tiny: TransformersEngine) -> None:
    assert tiny._loaded is not None
    constraint = tiny._loaded.schemas.compile({"type": "boolean"})
    allowed = constraint.restrict(torch.zeros(416)).isfinite()
    vocabulary = tiny._loaded.detokenizer.start([])
    assert {vocabulary(i)[:1] for i in allowed.nonzero().flatten().tolist()} <= {b"t", b"f"}
    with pytest.raises(RuntimeError, match="the JSON schema is lost"):
        constraint.accept(5)
