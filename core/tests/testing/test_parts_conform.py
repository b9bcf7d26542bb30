"""The kits for everything but backends, on what comes with andon: all of it must be sound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from decimal import Decimal
from types import ModuleType
from typing import Any

import pytest

from andon import (
    ChatMessage,
    ChatTemplateEngine,
    ChatTemplateSpec,
    CommandSpec,
    LongContextPrice,
    ObserverSpec,
    Price,
    TokenizerSpec,
    events,
    hookimpl,
)
from andon.events import Event
from andon.routing import BUILTIN, builtin_routers
from andon.templates.formats import TemplateFormat, builtin, variants
from andon.testing import (
    ByteTokenizer,
    CommandConformance,
    ObserverConformance,
    PriceConformance,
    RouterConformance,
    TemplateConformance,
    TokenizerConformance,
    sample_events,
)


def plugin(**hooks: Any) -> ModuleType:
    module = ModuleType("andon_sound")
    for name, function in hooks.items():
        setattr(module, name, hookimpl(function))
    return module


def is_event(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, Event) and kind is not Event


class TestBytes(TokenizerConformance):
    plugin = plugin(
        andon_register_tokenizers=lambda: [
            TokenizerSpec(
                name="bytes",
                create=ByteTokenizer,
                models=("sample:*",),
                exact=True,
                count_tools=lambda tools, text: sum(text(tool.name) for tool in tools),
            )
        ]
    )
    examples = {"Hé": [72, 195, 169]}  # noqa: RUF012
    models = ("sample:Some-Model",)


FORMATS = plugin(
    andon_register_chat_templates=lambda: [
        builtin(one, variant) for one in TemplateFormat for variant in variants(one)
    ]
)
#: These formats end an answer otherwise than a turn of the chat.
BEHIND = {"harmony": "<|end|>", "guanaco": "### Human:", "vicuna:v0": "### Human:"}


class BuiltIn(TemplateConformance):
    plugin = FORMATS

    def write(self, spec: ChatTemplateSpec, chat: Sequence[ChatMessage], opened: bool) -> str:
        """Write as the engine does, which keeps from a built-in format what it cannot express."""
        return ChatTemplateEngine(spec).render(list(chat), opened).text


for spec in FORMATS.andon_register_chat_templates():
    title = f"Test{spec.name}"
    behind = BEHIND.get(spec.name) or BEHIND.get(spec.name.partition(":")[0])
    facts = {"name": spec.name, "behind_answers": behind}
    globals()[title] = type(title, (BuiltIn,), facts)

ROUTERS = plugin(andon_register_routers=lambda: builtin_routers().values())
OPTIONS: dict[str, dict[str, Any]] = {name: {} for name in BUILTIN} | {
    f"{name} with limits": {"slots": {"home": 2, "near": 1}, "max_queue_depth": 6}
    for name in BUILTIN
    if name != "in_order"
}
for title, options in OPTIONS.items():
    facts = {"plugin": ROUTERS, "name": title.partition(" ")[0], "options": options}
    globals()[f"Test{title}"] = type(f"Test{title}", (RouterConformance,), facts)


CHEAP = Price(input=Decimal("0.15"), output=Decimal("0.60"), valid_from="2026-01-01")
DEAR = Price(
    input=Decimal(3),
    output=Decimal(15),
    long_context=(
        LongContextPrice(above=200_000, price=Price(input=Decimal(6), output=Decimal(30))),
    ),
)
TABLE = {("sample", "small"): CHEAP, ("sample", "large"): DEAR}


class TestPrices(PriceConformance):
    plugin = plugin(andon_price=lambda backend, model: TABLE.get((backend, model)))
    known = tuple(TABLE)


class TestObserver(ObserverConformance):
    plugin = plugin(
        andon_register_observers=lambda: [ObserverSpec(name="quiet", observe=lambda event: None)]
    )


def run(arguments: Any) -> int:
    import argparse

    argparse.ArgumentParser(prog="andon dance").parse_args(arguments)
    return 0


class TestCommand(CommandConformance):
    plugin = plugin(
        andon_register_commands=lambda: [CommandSpec(name="dance", summary="Dances.", run=run)]
    )


@pytest.mark.parametrize("kind", [kind for kind in vars(events).values() if is_event(kind)])
def test_every_kind_of_event_has_a_sample(kind: type[Event]) -> None:
    [sample] = [event for event in sample_events(request_id=7) if type(event) is kind]
    assert sample.request_id == 7
    empty = [one.name for one in fields(kind) if getattr(sample, one.name) is None]
    assert [n for n in empty if "None" not in str(kind.__dataclass_fields__[n].type)] == []
