"""An answer that must keep to a JSON schema goes on in this process where it broke off."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from andon import Client, FinishReason, StreamInterrupted
from andon.errors import TransportError
from andon.settings import Settings
from andon.testing import ScriptedBackend, plugin_with

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "city": {"enum": ["Reykjavík", "Québec", "Rio"]},
        "sizes": {
            "type": "array",
            "items": {"enum": [1, -20, 3.5e2]},
            "minItems": 2,
            "maxItems": 3,
        },
        "sure": {"type": "boolean"},
        "more": {
            "type": "object",
            "properties": {"name": {"type": "string", "maxLength": 6}, "none": {"type": "null"}},
            "required": ["name", "none"],
            "additionalProperties": False,
        },
    },
    "required": ["city", "sizes", "sure", "more"],
    "additionalProperties": False,
}
#: As two engines might write it: other white space, and escapes that could be told otherwise.
ANSWERS = (
    '{"city": "Québec", "sizes": [1, -20], "sure": true, "more": {"name": "\\n\\\\\\"", "none": null}}',
    '{"city":"Rio","sizes":[1,1],"sure":false,"more":{"name":"","none":null}}',
)
NUMBERS = itertools.count()
ENGINES = ("llama-cpp:demo", "candle:demo")
FORM = {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA}}


@pytest.fixture(scope="module")
def breaking() -> ScriptedBackend:
    return ScriptedBackend([])


@pytest.fixture(scope="module")
def client(breaking: ScriptedBackend) -> Iterator[Client]:
    for module in ("andon_demo_model", "llama_cpp", "transformers", "llguidance"):
        pytest.importorskip(module)
    plugins = [plugin_with(breaking=breaking)]
    with Client(settings=Settings(), plugins=plugins) as made:
        yield made


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("answer", ANSWERS)
def test_cut_anywhere_it_ends_valid(
    client: Client, breaking: ScriptedBackend, engine: str, answer: str
) -> None:
    ended = 0
    for cut in range(1, len(answer) + 1):
        delivered = answer[:cut]
        breaking.script = [delivered, TransportError("the cable was pulled")]
        reply = _ask(client, engine, cut)
        assert reply.text.startswith(delivered), (delivered, reply.text)
        if reply.finish_reason is FinishReason.STOP:
            ended += 1
            jsonschema.validate(json.loads(reply.text), SCHEMA)
    assert ended == len(answer)


def _ask(client: Client, engine: str, seed: int) -> Any:
    # Another model each time: one that broke off so often would be asked last.
    stream = client.stream(
        [f"breaking:{next(NUMBERS)}", engine],
        "Where is it?",
        response_format=FORM,
        temperature=0.9,
        seed=seed,
        max_tokens=300,
    )
    for _ in stream:
        pass
    return stream.response


def test_what_the_schema_does_not_allow_is_not_gone_on_with(
    client: Client, breaking: ScriptedBackend
) -> None:
    breaking.script = ['{"town": "Rey', TransportError("the cable was pulled")]
    for engine in ENGINES:
        with pytest.raises(StreamInterrupted) as raised:
            _ask(client, engine, 1)
        assert raised.value.partial == '{"town": "Rey'
