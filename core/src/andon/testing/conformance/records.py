"""The records that a plugin registers, for the kits that hold one of them to its contract."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar

import pytest

from andon import specs
from andon.testing.conformance.contract import RECORDS, fail

#: For each hook that registers: what its records are, and the attribute that names them.
REGISTERS: Mapping[str, tuple[type[Any], str]] = {
    "andon_register_backends": (specs.BackendSpec, "name"),
    "andon_register_model_cards": (specs.ModelCard, "name"),
    "andon_register_chat_templates": (specs.ChatTemplateSpec, "name"),
    "andon_register_tokenizers": (specs.TokenizerSpec, "name"),
    "andon_register_ledgers": (specs.LedgerSpec, "scheme"),
    "andon_register_routers": (specs.RouterSpec, "name"),
    "andon_register_observers": (specs.ObserverSpec, "name"),
    "andon_register_commands": (specs.CommandSpec, "name"),
    "andon_register_batch_engines": (specs.BatchEngineSpec, "name"),
}

T = TypeVar("T")


def records(plugin: object, hook: str) -> Sequence[Any]:
    """Return what a plugin registers by a hook; nothing where it does not have the hook.

    :param plugin: a module or an object with andon's hooks.
    :param hook: the hook's name.
    """
    register = getattr(plugin, hook, None)
    return () if register is None else list(register())


class RecordConformance(Generic[T]):
    """The facts of one record, which a subclass gives."""

    #: The plugin: a module or an object with andon's hooks.
    plugin: object  # no ClassVar: to mypy, a subclass could then assign no module
    #: The record's name; None takes the only one.
    name: ClassVar[str | None] = None
    #: The hook that registers it.
    hook: ClassVar[str]

    @pytest.fixture
    def spec(self) -> T:
        """Return the record."""
        return self.find()

    @classmethod
    def find(cls) -> T:
        """Return the record.

        :raises pytest.fail.Exception: there is none of this name.
        """
        kind, key = REGISTERS[cls.hook]
        offered = records(cls.plugin, cls.hook)
        found = [one for one in offered if cls.name in {None, getattr(one, key)}]
        if len(found) != 1:
            names = [getattr(one, key) for one in offered]
            wanted = "one record" if cls.name is None else f"{cls.name!r}"
            problem = f"{cls.hook} offers {names}, where {wanted} was looked for"
            fail(problem, RECORDS)
        record: T = found[0]
        if not isinstance(record, kind):
            problem = f"{cls.hook} gives a {type(record).__name__}, and no {kind.__name__}"
            fail(problem, RECORDS)
        return record
