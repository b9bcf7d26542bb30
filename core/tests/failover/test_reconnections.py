"""A backend that made a broken connection anew: observers hear of it, and callers see an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from andon import AsyncClient, Client, ServerError, events
from andon.chat import ChatDelta, Reconnected
from andon.testing import EventLog, ScriptedBackend, plugin_with

BROKE = Reconnected(reason="the cable was pulled", seconds=1.5, tries=2)


def told(log: EventLog) -> list[events.StreamReconnected]:
    return [event for event in log.events if isinstance(event, events.StreamReconnected)]


def test_the_caller_gets_the_answer_and_nothing_else(both: Callable[..., Any]) -> None:
    plugin = plugin_with(one=ScriptedBackend(["a", BROKE, "b"]), whole=ScriptedBackend(["a", "b"]))
    asking = both(plugin)
    assert asking.stream("one:m") == asking.stream("whole:m")


@pytest.mark.parametrize("script", [["a", BROKE, "b"], [BROKE, "a", "b"]], ids=["amid", "first"])
@pytest.mark.parametrize("mode", ["continue", "hold", "stop"])
def test_observers_hear_of_it(script: list[str | ChatDelta], mode: str) -> None:
    log = EventLog()
    plugin = plugin_with(one=ScriptedBackend(script))
    with Client(discover=False, plugins=[plugin, log.plugin]) as client:
        stream = client.stream("one:m", "hi", failover=mode, labels={"user": "ada"})
        assert "".join(delta.text for delta in stream) == "ab"
    [event] = told(log)
    assert (event.attempt, event.backend, event.model) == (1, "one", "m")
    assert (event.reason, event.seconds, event.tries) == ("the cable was pulled", 1.5, 2)
    assert event.labels == {"user": "ada"}
    # It is the same attempt, and no failure of anybody.
    [attempt] = stream.response.attempts
    assert attempt.error is None
    assert stream.response.usage.output_tokens == 2
    assert not any(isinstance(event, events.AttemptFailed) for event in log.events)
    before, after = log.events.index(event), [type(one).__name__ for one in log.events]
    assert after.index("AttemptStarted") < before < after.index("AttemptEnded")


def test_one_that_goes_on_with_anothers_answer_may_reconnect_as_well() -> None:
    log = EventLog()
    first = ScriptedBackend(["one ", "two ", ServerError("gone")])
    second = ScriptedBackend(["one ", "two ", BROKE, "three ", BROKE, "four"])
    with Client(
        discover=False, plugins=[plugin_with(first=first, second=second), log.plugin]
    ) as client:
        stream = client.stream(["first:m", "second:m"], "count")
        pieces = list(stream)
    assert "".join(delta.text for delta in pieces) == "one two three four"
    assert not any(isinstance(delta, Reconnected) for delta in pieces)
    assert [event.backend for event in told(log)] == ["second", "second"]


def test_where_two_are_asked_it_is_told_of_the_right_one() -> None:
    log = EventLog()
    plugin = plugin_with(one=ScriptedBackend(["a", BROKE, "b"]), two=ScriptedBackend(["c"]))

    async def ask() -> str:
        async with AsyncClient(discover=False, plugins=[plugin, log.plugin]) as client:
            stream = client.stream(["one:m", "two:m"], "hi", hedge_after=30)
            return "".join([delta.text async for delta in stream])

    assert asyncio.run(ask()) == "ab"
    assert [(event.backend, event.attempt) for event in told(log)] == [("one", 1)]
