"""Small stand-ins for the parts of andon: a tokenizer, an observer, events.

For a backend there is :class:`andon.testing.ScriptedBackend`, for a server
:class:`andon.testing.server.ScriptedServer`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from decimal import Decimal
from types import ModuleType

from andon import events
from andon.budget import BudgetWarning
from andon.chat import ChatRequest, Failover, FinishReason, Usage
from andon.errors import ServerError
from andon.events import Event
from andon.hookspecs import hookimpl
from andon.messages import ChatMessage
from andon.specs import ObserverSpec


class ByteTokenizer:
    """A tokenizer whose tokens are the bytes of a text."""

    def encode(self, text: str) -> list[int]:
        """Return the bytes of the text, as UTF-8."""
        return list(text.encode("utf-8", "surrogatepass"))

    def decode(self, tokens: list[int]) -> str:
        """Return the text of the bytes."""
        return bytes(tokens).decode("utf-8", "surrogatepass")


@dataclass(slots=True)
class EventLog:
    """An observer that keeps what it is told, in ``events``; :attr:`plugin` hands it over."""

    events: list[Event] = field(default_factory=list)

    @property
    def plugin(self) -> ModuleType:
        """A plugin that offers the observer, for ``Client(plugins=[…])``."""
        spec = ObserverSpec(name="event log", observe=self.events.append)
        module = ModuleType("event_log")
        vars(module)["andon_register_observers"] = hookimpl(lambda: [spec])
        return module


def sample_events(request_id: int = 1) -> Sequence[Event]:
    """Return one event of each kind that an observer is told.

    :param request_id: the number of the request.
    """
    kinds = [kind for kind in vars(events).values() if _is_kind(kind)]
    return [_sample(kind, request_id) for kind in kinds]


#: A value for each type that a field of an event has.
_SAMPLES: Mapping[str, object] = {
    "str": "sample",
    "int": 12,
    "float": 0.25,
    "bool": True,
    "Decimal": Decimal("0.000017"),
    "tuple[int, ...]": (1, 2),
    "tuple[str, ...]": ("sample:sample-model", "other:its-model"),
    "Usage": Usage(12, 5),
    "FinishReason": FinishReason.STOP,
    "AndonError": ServerError("it is down"),
    "BaseException": ServerError("it is down"),
    "Exception": ServerError("it is down"),
    "ChatRequest": ChatRequest(model="sample-model", messages=(ChatMessage.user("Hello"),)),
    "Failover": Failover("other", "its-model", "sample", "sample-model", "continue", 7, "it fell"),
    "BudgetWarning": BudgetWarning("all", "2026-01-31", Decimal(8), Decimal(10)),
}


def _is_kind(kind: object) -> bool:
    return (
        isinstance(kind, type)
        and issubclass(kind, Event)
        and kind is not Event
        and not kind.__name__.startswith("_")
    )


def _sample(kind: type[Event], request_id: int) -> Event:
    values = {
        one.name: _SAMPLES.get(str(one.type).removesuffix(" | None"))
        for one in fields(kind)
        if one.default is MISSING and one.default_factory is MISSING
    }
    return kind(**values | {"request_id": request_id})  # type: ignore[arg-type]
