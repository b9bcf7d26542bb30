"""Structured logs: every event as a record of the standard library's :mod:`logging`.

A plugin of the core's own: ``observers = ["logs"]`` in the settings, or
``Client(plugins=[andon.logs])``. Records go to the logger ``andon``, which nobody here configures.
Each has a line for people, and its facts as ``record.andon``, a dict of JSON's own types. Neither
has any content of a chat, nor the text of an error, in which a provider may quote it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from andon import events
from andon.chat import Usage
from andon.errors import BackendError
from andon.events import Event
from andon.hookspecs import hookimpl
from andon.specs import ObserverSpec

_LOGGER = logging.getLogger("andon")

#: How loud each kind of event is; the others are for debugging.
_LEVELS: Mapping[type[Event], int] = {
    events.AnswerFinished: logging.INFO,
    events.AnswerAbandoned: logging.INFO,
    events.AttemptFailed: logging.WARNING,
    events.AnswerContinued: logging.WARNING,
    events.StreamReconnected: logging.WARNING,
    events.BudgetThresholdPassed: logging.WARNING,
    events.ChatTruncated: logging.WARNING,
    events.ParameterDropped: logging.WARNING,
    events.RequestFailed: logging.ERROR,
}


class LogObserver:
    """Logs what happens to the requests of one client.

    :param logger: where it is logged.
    """

    def __init__(self, logger: logging.Logger = _LOGGER) -> None:
        self._logger = logger
        # When each request that is under way came, by its number.
        self._began: dict[int, float] = {}

    def observe(self, event: Event) -> None:
        """Take an event.

        :param event: what happened.
        """
        seconds = self._seconds(event)
        level = _LEVELS.get(type(event), logging.DEBUG)
        if not self._logger.isEnabledFor(level):
            return
        facts = {"event": _words(type(event).__name__), "request": event.request_id}
        facts |= {name: value for name, value in _facts(event).items() if value is not None}
        if seconds is not None:
            facts["seconds"] = round(seconds, 6)
        if event.labels:
            facts["labels"] = {str(name): str(value) for name, value in event.labels.items()}
        self._logger.log(level, "%s", _line(facts), extra={"andon": facts})

    def _seconds(self, event: Event) -> float | None:
        """Return how long a request took, with its last event."""
        match event:
            case events.RequestReceived():
                self._began[event.request_id] = event.at
            case events.AnswerFinished() | events.AnswerAbandoned() | events.RequestFailed():
                began = self._began.pop(event.request_id, None)
                return None if began is None else event.at - began
        return None


def _facts(event: Event) -> dict[str, Any]:
    """Return what an event says, in JSON's types and without content."""
    facts: dict[str, Any] = {}
    for name in ("backend", "model", "attempt", "input_tokens", "waited", "parameter"):
        facts[name] = getattr(event, name, None)
    for name in ("cost_usd", "reserved_usd"):
        amount = getattr(event, name, None)
        facts[name] = None if amount is None else f"{amount:f}"
    facts |= _failure(getattr(event, "error", None))
    facts |= _usage(getattr(event, "usage", None))
    match event:
        case events.RequestReceived():
            facts |= {"models": list(event.models), "stream": event.request.stream}
        case events.RequestAdmitted():
            facts["candidates"] = list(event.candidates)
        case events.AnswerStarted():
            facts["first_token_seconds"] = round(event.seconds, 6)
        case events.StreamReconnected():
            facts |= {"silent_seconds": round(event.seconds, 6), "tries": event.tries}
        case events.AnswerFinished():
            facts["finish_reason"] = event.finish_reason.value
        case events.AnswerContinued(failover=failover):
            facts |= {"backend": failover.backend, "model": failover.model, "mode": failover.mode}
            facts |= {"from_backend": failover.from_backend, "from_model": failover.from_model}
        case events.ChatTruncated():
            facts["dropped_messages"] = len(event.dropped)
        case events.BudgetThresholdPassed(warning=warning):
            facts |= {"budget": warning.budget, "period": warning.period}
            facts |= {"used_usd": f"{warning.used_usd:f}", "limit_usd": f"{warning.limit_usd:f}"}
    return facts


def _usage(usage: Usage | None) -> dict[str, Any]:
    if usage is None:
        return {}
    known = {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}
    return known | ({"estimated": True} if usage.estimated else {})


def _failure(error: BaseException | None) -> dict[str, Any]:
    if error is None:
        return {}
    facts: dict[str, Any] = {"error": type(error).__name__}
    if isinstance(error, BackendError):
        facts |= {"status": error.status, "provider_request": error.request_id}
    return facts


def _line(facts: Mapping[str, Any]) -> str:
    told = (f"{name}={value}" for name, value in facts.items() if name != "event")
    return f"{facts['event']} {' '.join(told)}"


def _words(name: str) -> str:
    """Return a class's name in small letters: ``AnswerFinished`` is ``answer_finished``."""
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).removeprefix("_")


@hookimpl
def andon_register_observers() -> Sequence[ObserverSpec]:
    """Offer an observer, which keeps the requests of one client apart from another's."""
    return [ObserverSpec(name="logs", observe=LogObserver().observe)]
