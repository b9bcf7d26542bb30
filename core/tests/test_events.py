"""What observers are told of a request, from its first event to its last."""

from __future__ import annotations

import asyncio
from collections import Counter
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from andon import (
    AndonError,
    AnsweredElsewhere,
    AsyncClient,
    ChatDelta,
    Client,
    DailyBudgetExceeded,
    Locality,
    Price,
    PrivacyViolation,
    ServerError,
    StreamInterrupted,
    events,
)
from andon.testing import EventLog, ScriptedBackend, plugin_with

DOLLAR = Price(input=Decimal(1_000_000), output=Decimal(1_000_000))  # one dollar a token
LAST = (events.AnswerFinished, events.AnswerAbandoned, events.RequestFailed)


def client(log: EventLog, *, far: bool = False, **backends: Any) -> Client:
    locality = Locality.PUBLIC if far else Locality.IN_PROCESS
    plugin = plugin_with(locality=locality, **backends)
    return Client(
        discover=False, plugins=[plugin, log.plugin], daily_budget_usd=1000,
        prices={f"{name}:m": DOLLAR for name in backends},
    )  # fmt: skip


def kinds(log: EventLog) -> list[str]:
    return [type(event).__name__ for event in log.events]


def only(log: EventLog, kind: Any) -> Any:
    [found] = [event for event in log.events if type(event) is kind]
    return found


def test_a_request_from_its_first_event_to_its_last() -> None:
    log = EventLog()
    asking = client(log, far=True, one=ScriptedBackend(["Hello", " there"]))
    asking.chat("one:m", "hi there", max_tokens=5, labels={"user": "ada"})
    assert kinds(log) == [
        "RequestReceived", "RequestAdmitted", "AttemptStarted", "AnswerStarted", "AttemptEnded",
        "AnswerFinished",
    ]  # fmt: skip
    assert {event.request_id for event in log.events} == {1}
    assert {tuple(event.labels.items()) for event in log.events} == {(("user", "ada"),)}
    times = [event.at for event in log.events]
    assert times == sorted(times) and times[0] > 0
    assert only(log, events.RequestReceived).models == ("one:m",)
    assert only(log, events.RequestReceived).request.messages[0].text == "hi there"
    assert only(log, events.RequestAdmitted).waited == 0
    started, ended = only(log, events.AttemptStarted), only(log, events.AttemptEnded)
    assert (started.input_tokens, started.reserved_usd) == (2, 7)
    assert (ended.usage.total_tokens, ended.cost_usd, ended.error) == (4, 4, None)
    assert started.attempt == ended.attempt == only(log, events.AnswerStarted).attempt == 1
    finished = only(log, events.AnswerFinished)
    assert (finished.cost_usd, finished.response.text) == (4, "Hello there")


def test_what_nobody_hears_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def made(**facts: Any) -> Any:
        raise AssertionError("an event was made")

    monkeypatch.setattr("andon.announcements.EventHead", made)
    quiet = Client(discover=False, plugins=[plugin_with(one=ScriptedBackend())])
    assert quiet.chat("one:m", "hi").text == "Hello world"
    watched = Client(
        discover=False, plugins=[plugin_with(one=ScriptedBackend()), EventLog().plugin]
    )
    with pytest.raises(AssertionError):
        watched.chat("one:m", "hi")


def test_a_failed_candidate_and_the_next() -> None:
    log = EventLog()
    down, sound = ScriptedBackend([ServerError("down")]), ScriptedBackend()
    client(log, down=down, sound=sound).chat(["down:m", "sound:m"], "hi", max_tokens=9)
    assert only(log, events.RequestAdmitted).candidates == ("down:m", "sound:m")
    first, second = (e for e in log.events if isinstance(e, events.AttemptEnded))
    assert (first.attempt, first.backend, type(first.error)) == (1, "down", ServerError)
    assert (second.attempt, second.backend, second.error) == (2, "sound", None)
    assert only(log, events.AttemptFailed).error is first.error


def test_a_refusal_is_the_whole_story() -> None:
    log = EventLog()
    plugin = plugin_with(locality=Locality.PUBLIC, cloud=ScriptedBackend())
    near = Client(discover=False, plugins=[plugin, log.plugin], privacy="sovereign")
    with pytest.raises(PrivacyViolation) as caught:
        near.chat("cloud:m", "hi")
    assert kinds(log) == ["RequestReceived", "RequestFailed"]
    failed = only(log, events.RequestFailed)
    assert (failed.error, failed.backend) == (caught.value, None)


def test_a_budget_that_refuses() -> None:
    log = EventLog()
    asking = client(log, far=True, one=ScriptedBackend())
    with pytest.raises(DailyBudgetExceeded):
        asking.chat("one:m", "hi", max_tokens=2000)
    assert kinds(log) == [
        "RequestReceived", "RequestAdmitted", "AttemptFailed", "RequestFailed",
    ]  # fmt: skip


def test_nobody_answers() -> None:
    log = EventLog()
    broken = ScriptedBackend(["Hel", ServerError("it fell")])
    with pytest.raises(StreamInterrupted) as caught:
        list(client(log, far=True, one=broken).stream("one:m", "hi", max_tokens=9, failover="stop"))
    failed = only(log, events.RequestFailed)
    assert (failed.error, failed.backend) == (caught.value, "one")
    # The attempt's cost is the request's.
    assert failed.cost_usd == only(log, events.AttemptEnded).cost_usd > 0


def test_the_caller_closes_the_stream() -> None:
    log = EventLog()
    stream = client(log, far=True, one=ScriptedBackend(["a", "b"])).stream(
        "one:m", "hi", max_tokens=5
    )
    next(stream)
    stream.close()
    assert kinds(log)[-2:] == ["AttemptEnded", "AnswerAbandoned"]
    abandoned = only(log, events.AnswerAbandoned)
    assert abandoned.backend == "one"
    assert abandoned.cost_usd == only(log, events.AttemptEnded).cost_usd > 0


def test_a_stream_that_was_never_begun_tells_nothing() -> None:
    log = EventLog()
    client(log, one=ScriptedBackend()).stream("one:m", "hi").close()
    assert not log.events


async def _asked(log: EventLog, count: int) -> None:
    """Let tasks run until so many requests came, and one step further."""
    for _ in range(1000):
        await asyncio.sleep(0)
        if sum(isinstance(event, events.RequestReceived) for event in log.events) == count:
            break
    await asyncio.sleep(0)


class Endless(ScriptedBackend):
    """Says nothing, for ever."""

    async def astream(self, request: Any, timeout: float | None) -> Any:
        await asyncio.Event().wait()
        yield ChatDelta()


@pytest.mark.parametrize("routing", [None, {"strategy": "spillover", "slots": {"one": 1}}])
def test_a_task_that_is_cancelled(routing: Any) -> None:
    log = EventLog()

    async def run() -> None:
        plugin = plugin_with(one=Endless())
        async with AsyncClient(discover=False, plugins=[plugin, log.plugin], routing=routing) as c:
            asking = [asyncio.create_task(c.chat("one:m", "hi")) for _ in range(2)]
            await _asked(log, 2)
            for task in asking:
                task.cancel()
            await asyncio.gather(*asking, return_exceptions=True)

    asyncio.run(run())
    _check_story(log)
    assert Counter(kinds(log))["AnswerAbandoned"] == 2


def test_a_hedge() -> None:
    log = EventLog()

    async def run() -> None:
        plugin = plugin_with(slow=Endless(), quick=ScriptedBackend())
        async with AsyncClient(discover=False, plugins=[plugin, log.plugin]) as c:
            await c.chat(["slow:m", "quick:m"], "hi", hedge_after=0.001)

    asyncio.run(run())
    _check_story(log)
    assert only(log, events.HedgeStarted).backend == "quick"
    ended = {e.attempt: e for e in log.events if isinstance(e, events.AttemptEnded)}
    assert isinstance(ended[1].error, AnsweredElsewhere) and ended[2].error is None


def test_the_time_in_a_queue() -> None:
    log = EventLog()
    routing = {"strategy": "spillover", "slots": {"one": 1}}

    async def run() -> None:
        plugin = plugin_with(one=ScriptedBackend())
        async with AsyncClient(discover=False, plugins=[plugin, log.plugin], routing=routing) as c:
            stream = c.stream("one:m", "hi")
            await anext(stream)
            waiting = asyncio.create_task(c.chat("one:m", "hi"))
            await _asked(log, 2)
            assert sum(isinstance(event, events.RequestAdmitted) for event in log.events) == 1
            await stream.aclose()
            await waiting

    asyncio.run(run())
    waits = [e.waited for e in log.events if isinstance(e, events.RequestAdmitted)]
    assert waits[0] == 0 and waits[1] > 0


def _check_story(log: EventLog) -> None:
    """Check what holds for every request, whatever becomes of it."""
    by_request: dict[int, list[Any]] = {}
    for event in log.events:
        by_request.setdefault(event.request_id, []).append(event)
    for story in by_request.values():
        assert isinstance(story[0], events.RequestReceived)
        assert [isinstance(event, LAST) for event in story].index(True) == len(story) - 1
        open_attempts: set[int] = set()
        cost = Decimal(0)
        for event in story:
            if isinstance(event, events.AttemptStarted):
                open_attempts.add(event.attempt)
            elif isinstance(event, events.AttemptEnded):
                open_attempts.remove(event.attempt)
                cost += event.cost_usd
        assert not open_attempts
        assert story[-1].cost_usd == cost


_STEPS = st.lists(
    st.sampled_from(["Hel", "lo", ServerError("down"), ValueError("a bug"), KeyboardInterrupt()]),
    max_size=3,
)


@settings(max_examples=150)
@given(
    scripts=st.lists(_STEPS, min_size=1, max_size=3),
    taken=st.integers(0, 5),
    hedge=st.booleans(),
    mode=st.sampled_from(["stop", "continue", "hold"]),
    budget=st.sampled_from([1000, 5]),
)
def test_every_story_has_one_beginning_and_one_end(
    scripts: list[Any], taken: int, hedge: bool, mode: str, budget: int
) -> None:
    """Attempts begin and end once, and their costs add up to the request's."""
    log = EventLog()
    backends = {f"b{n}": ScriptedBackend(script) for n, script in enumerate(scripts)}
    asking = Client(
        discover=False, plugins=[plugin_with(locality=Locality.PUBLIC, **backends), log.plugin],
        prices={f"{name}:m": DOLLAR for name in backends}, daily_budget_usd=budget,
    )  # fmt: skip
    models = [f"{name}:m" for name in backends]
    stream = asking.stream(
        models, "hi", max_tokens=3, failover=mode, hedge_after=1e-6 if hedge else None
    )
    try:
        for _ in range(taken):
            next(stream, None)
    except (AndonError, ValueError, KeyboardInterrupt):
        pass
    finally:
        stream.close()
    if taken:
        _check_story(log)


def test_a_clock_that_tests_can_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is told of time comes from the corridor's clock and adds up."""
    now = [100.0]
    monkeypatch.setattr("andon.workplace.time.monotonic", lambda: now[0])

    class Slow(ScriptedBackend):
        def stream(self, request: Any, timeout: float | None) -> Any:
            now[0] += 4
            yield from ScriptedBackend.stream(self, request, timeout)

    log = EventLog()
    client(log, slow=Slow()).chat("slow:m", "hi", max_tokens=9)
    assert only(log, events.AnswerStarted).seconds == 4
    assert [event.at for event in log.events] == [100, 100, 100, 104, 104, 104]
