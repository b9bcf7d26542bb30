"""Budgets as a client keeps them: concurrent requests neither overspend nor are refused for nothing."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from andon import (
    AndonError,
    AsyncClient,
    Budget,
    BudgetExceeded,
    ChatDelta,
    Client,
    DailyBudgetExceeded,
    FinishReason,
    LedgerError,
    Locality,
    LongContextPrice,
    MemoryLedger,
    ObserverSpec,
    Price,
    RequestTimeout,
    RequestTooExpensive,
    ServerError,
    TransportError,
    UnknownPriceError,
    Usage,
    hookimpl,
)
from andon.budget import Hold
from andon.budget.sqlite import SQLiteLedger
from andon.events import BudgetThresholdPassed, Event
from andon.testing import ScriptedBackend, plugin_with

#: A hundred thousand tokens of output cost a dollar.
PRICE = Price(input=Decimal(0), output=Decimal(10))


def answering(tokens: int, inputs: int = 1) -> ScriptedBackend:
    usage = Usage(inputs, tokens)
    whole = ChatDelta("Hi", finish_reason=FinishReason.STOP, usage=usage)
    return ScriptedBackend([whole], finishes=False)


class Ear:
    def __init__(self) -> None:
        self.events: list[Event] = []

    @hookimpl
    def andon_register_observers(self) -> list[ObserverSpec]:
        return [ObserverSpec(name="ear", observe=self.events.append)]


def arguments(backend: ScriptedBackend, *plugins: object, **settings: Any) -> dict[str, Any]:
    paid = plugin_with(locality=Locality.PUBLIC, paid=backend)
    settings.setdefault("prices", {"paid:m": PRICE})
    return {"discover": False, "plugins": [paid, *plugins], **settings}


@pytest.fixture(params=["memory", "sqlite"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> str | MemoryLedger:
    return MemoryLedger() if request.param == "memory" else f"sqlite:///{tmp_path}/spend.db"


def in_threads(count: int, work: Callable[[], object]) -> list[AndonError]:
    """Do the same in many threads at once; return what went wrong."""
    start, errors = threading.Barrier(count), []

    def run() -> None:
        start.wait()
        try:
            work()
        except AndonError as error:
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


def test_long_prompts_at_once_are_reserved_at_the_price_of_long_prompts(ledger: Any) -> None:
    long = LongContextPrice(above=1000, price=Price(input=Decimal(200), output=Decimal(200)))
    price = Price(input=Decimal(100), output=Decimal(100), long_context=(long,))
    backend = answering(10, inputs=1100)
    backend.measured = False
    # Each costs up to 22.6 cents, at the usual price only 11.3.
    with Client(
        **arguments(backend, prices={"paid:m": price}, ledger=ledger, daily_budget_usd="0.45")
    ) as client:
        errors = in_threads(5, lambda: client.chat("paid:m", "x" * 1100, max_tokens=10))
        assert client.spent_today_usd <= Decimal("0.45")
    assert {type(error) for error in errors} == {DailyBudgetExceeded}
    assert len(errors) >= 3


def test_the_first_requests_of_an_unknown_user_share_one_budget(ledger: Any) -> None:
    budgets = {"user": Budget(limit_usd=Decimal("0.3"), per="user")}
    with Client(**arguments(answering(10_000), budgets=budgets, ledger=ledger)) as client:
        errors = in_threads(
            10, lambda: client.chat("paid:m", "x", max_tokens=10_000, labels={"user": "new"})
        )
        assert len(errors) == 7
        assert {type(error) for error in errors} == {BudgetExceeded}
        client.chat("paid:m", "x", max_tokens=10_000, labels={"user": "other"})


def test_no_request_is_refused_while_there_is_money(ledger: Any) -> None:
    """What was not used comes back at once: a hundred requests of a cent cost one dollar."""
    with Client(**arguments(answering(1000), ledger=ledger, daily_budget_usd=1)) as client:
        for _ in range(99):
            client.chat("paid:m", "x", max_tokens=2000)
        client.chat("paid:m", "x", max_tokens=1000)
        assert client.spent_today_usd == 1
        with pytest.raises(DailyBudgetExceeded):
            client.chat("paid:m", "x", max_tokens=1)


def test_tasks_at_once_neither_overspend_nor_block_the_loop(ledger: Any) -> None:
    async def run() -> tuple[int, Decimal]:
        made = arguments(answering(10_000), ledger=ledger, daily_budget_usd=1)
        async with AsyncClient(**made) as client:
            asked = [client.chat("paid:m", "x", max_tokens=10_000) for _ in range(30)]
            replies = await asyncio.gather(*asked, return_exceptions=True)
            refused = [reply for reply in replies if isinstance(reply, DailyBudgetExceeded)]
            return len(refused), client.spent_today_usd

    assert asyncio.run(run()) == (20, 1)


class SlowLedger(SQLiteLedger):
    """A ledger that lets a test act while it is asked."""

    def __init__(self, path: Path, asked: threading.Event, go_on: threading.Event) -> None:
        super().__init__(path)
        self.asked, self.go_on = asked, go_on

    def reserve(self, hold: Hold) -> Any:
        decision = super().reserve(hold)
        self.asked.set()
        self.go_on.wait(10)
        return decision


def test_a_task_that_is_cancelled_while_it_reserves_holds_nothing(tmp_path: Path) -> None:
    asked, go_on = threading.Event(), threading.Event()
    ledger = SlowLedger(tmp_path / "spend.db", asked, go_on)

    async def run() -> Decimal:
        async with AsyncClient(**arguments(answering(1), ledger=ledger)) as client:
            task = asyncio.create_task(client.chat("paid:m", "x", max_tokens=10_000))
            await asyncio.to_thread(asked.wait, 10)
            task.cancel()
            await asyncio.sleep(0)
            go_on.set()
            with pytest.raises(asyncio.CancelledError):
                await task
            return client.spent_today_usd

    assert asyncio.run(run()) == 0
    ledger.close()


def test_a_warning_is_told_once() -> None:
    ear = Ear()
    client = Client(**arguments(answering(45_000), ear, daily_budget_usd=1))
    for _ in range(2):
        client.chat("paid:m", "x", max_tokens=50_000)
    told = [event for event in ear.events if isinstance(event, BudgetThresholdPassed)]
    assert [(event.warning.budget, event.warning.limit_usd) for event in told] == [("all", 1)]


def test_a_free_model_needs_no_ledger() -> None:
    class Gone(MemoryLedger):
        def reserve(self, hold: Hold) -> Any:
            raise LedgerError("gone")

    free = plugin_with(locality=Locality.LOCAL, own=ScriptedBackend())
    client = Client(discover=False, plugins=[free], ledger=Gone(), daily_budget_usd=0)
    assert client.chat("own:m", "x").cost_usd == 0
    with pytest.raises(LedgerError):
        Client(**arguments(answering(1), ledger=Gone())).chat("paid:m", "x")


def test_nothing_is_sent_that_could_cost_too_much() -> None:
    backend = answering(1)
    client = Client(**arguments(backend, max_request_cost_usd="0.01"))
    with pytest.raises(RequestTooExpensive):
        client.chat("paid:m", "x", max_tokens=2000)
    assert backend.requests == []


def test_what_settings_say_of_money(tmp_path: Path) -> None:
    (tmp_path / "andon.toml").write_text(
        """
        daily_budget_usd = "5"
        warning_threshold = 0.5
        time_zone = "Europe/Rome"
        unknown_price = "highest_known"
        ledger_failure = "allow"
        [budgets.team]
        limit_usd = "1.50"
        period = "month"
        match = { team = "a" }
        [prices."paid:other"]
        input = "1"
        output = "200"
        """
    )
    from andon.settings import load

    settings = load(directory=tmp_path, user_file=tmp_path / "none", environment={})
    paid = plugin_with(locality=Locality.PUBLIC, paid=answering(7_000))
    client = Client(discover=False, plugins=[paid], settings=settings)
    assert client.price("paid:unheard-of").output == 200
    assert client.breaker.config.budgets["team"].limit_usd == Decimal("1.50")
    client.chat("paid:unheard-of", "x", max_tokens=7_000, labels={"team": "a"})
    [_, team] = client.breaker.report().budgets
    assert (team.name, team.limit_usd) == ("team", Decimal("1.5"))
    assert team.used_usd == Decimal("1.40003")


@pytest.mark.parametrize(
    ("error", "billed"),
    [
        (RequestTimeout("no token came for 5 s"), True),
        (ServerError("out of order", status=500), False),
        (TransportError("nobody there"), False),
    ],
)
def test_an_attempt_that_was_too_slow_may_be_billed(error: AndonError, billed: bool) -> None:
    """Who refuses or fails bills nothing; who was still reading may bill the prompt."""
    slow = ScriptedBackend([error], measured=False)
    quick = answering(10)
    plugin = plugin_with(locality=Locality.PUBLIC, slow=slow, quick=quick)
    price = Price(input=Decimal(10), output=Decimal(10))
    client = Client(discover=False, plugins=[plugin], prices={"slow:m": price, "quick:m": price})
    reply = client.chat(["slow:m", "quick:m"], "x" * 1000, max_tokens=10)
    failed, answered = reply.attempts
    assert (failed.cost_usd > 0, failed.usage.estimated) == (billed, billed)
    assert reply.cost_usd == failed.cost_usd + answered.cost_usd == client.spent_today_usd


def test_an_unknown_price_is_refused_before_anything_is_sent() -> None:
    backend = answering(1)
    with pytest.raises(UnknownPriceError, match="andon-prices"):
        Client(**arguments(backend, prices={})).chat("paid:m", "x")
    assert backend.requests == []


def test_requests_are_kept_by_model(ledger: Any) -> None:
    with Client(**arguments(answering(1000), ledger=ledger)) as client:
        client.chat("paid:m", "x", max_tokens=1000)
        client.chat("paid:m", "x", max_tokens=1000)
        [row] = client.breaker.report(1).models
    assert (row.backend, row.model, row.requests) == ("paid", "m", 2)
    assert (row.spent_usd, row.held_usd) == (Decimal("0.02"), 0)
