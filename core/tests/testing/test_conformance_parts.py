"""What the conformance kit is made of: its contract, its facts, and its two callers."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

import pytest

from andon import BackendContext, BackendSpec, ChatMessage, Locality, hookimpl
from andon.testing import ALL, Ability, ScriptedBackend, plugin_with
from andon.testing.conformance.base import Conformance
from andon.testing.conformance.callers import Caller
from andon.testing.conformance.contract import Clause, check, check_equal, clauses
from andon.testing.conformance.wire_stage import mentions
from andon.testing.server import ReceivedRequest


def resolve(name: str) -> Any:
    module, _, rest = name.partition(".")
    found: Any = importlib.import_module(module)
    for part in rest.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            found = importlib.import_module(f"{found.__name__}.{part}")
    return found


@pytest.mark.parametrize("clause", list(clauses()), ids=lambda clause: clause.where)
def test_every_clause_is_written_somewhere(clause: Clause) -> None:
    found = resolve(clause.where)
    # A constant has its documentation beside it, where nobody can look it up.
    assert isinstance(found, int | frozenset) or found.__doc__


def test_a_failure_says_what_and_where() -> None:
    clause = Clause("andon.Client", "it is kind")
    check(fact=True, problem="", clause=clause)
    check_equal(1, 1, "a number", clause)
    with pytest.raises(pytest.fail.Exception) as caught:
        check_equal("a", "b", "the letter", clause)
    assert str(caught.value) == (
        "the letter is\n    'a'\nand not\n    'b'\n\nThe contract, andon.Client: it is kind."
    )


def test_abilities_are_plain_words_too() -> None:
    assert ALL - {"seed"} == ALL - {Ability.SEED}
    assert len(ALL) == len(Ability)


def test_a_value_is_found_anywhere_in_a_body() -> None:
    body = b'{"a": [{"seed": 7, "text": "b\\u00fc"}], "7": true, "one": 1}'
    request = ReceivedRequest("POST", "/", {}, body)
    assert mentions(request, 7) and mentions(request, "bü") and mentions(request, "seed")
    assert not mentions(request, 8) and not mentions(request, "bu")
    # True is no 1 here, and a name that looks like a number is none.
    assert mentions(request, 1)
    assert not mentions(ReceivedRequest("POST", "/", {}, b'{"1": true}'), 1)


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_both_callers_have_one_face(colour: str) -> None:
    backend = ScriptedBackend(("Hel", "lo"))
    caller = Caller(colour, discover=False, plugins=[plugin_with(scripted=backend)])

    async def stream() -> list[str]:
        answer = caller.client.stream("scripted:m", "hi")
        texts = [delta.text async for delta in answer if delta.text]
        assert answer.response.text == "Hello"
        await answer.aclose()
        return texts

    assert caller.run(stream()) == ["Hel", "lo"]
    assert caller.run(caller.client.chat("scripted:m", "hi")).text == "Hello"
    assert caller.run(caller.client.complete("scripted:m", "hi")).text == "Hello"
    assert [card.name for card in caller.run(caller.client.list_models("scripted"))] == ["scripted"]
    caller.run(caller.client.check_health("scripted"))
    assert caller.run(caller.client.count_tokens("scripted:m", "two words")).tokens == 2
    caller.close()
    assert backend.closed


def test_a_backend_sees_the_environment_that_the_class_gives() -> None:
    seen: list[str | None] = []
    backend = ScriptedBackend()

    def create(context: BackendContext) -> ScriptedBackend:
        seen.append(context.environment.get("WORD"))
        return backend

    def locate(context: BackendContext) -> Locality:
        seen.append(context.environment.get("WORD"))
        return Locality.LOCAL

    spec = BackendSpec(name="told", create=create, locality=Locality.PUBLIC, locate=locate)
    module = ModuleType("andon_told")
    vars(module)["andon_register_backends"] = hookimpl(lambda: [spec])

    class Told(Conformance):
        plugin = module
        backend = "told"
        abilities = ALL
        environment = {"WORD": "yes"}  # noqa: RUF012

    caller = Told.make_caller("sync", {})
    caller.run(caller.client.chat("told:sample-model", [ChatMessage.user("hi")]))
    caller.close()
    Told().create({})
    assert seen == ["yes", "yes", "yes"]
