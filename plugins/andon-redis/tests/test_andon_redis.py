"""The ledger at a real server, which the tests start and end."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

import andon_redis
from andon import (
    CircuitBreakerConfig,
    Client,
    CostCircuitBreaker,
    DailyBudgetExceeded,
    LedgerError,
    SettingsError,
)
from andon.budget import Charge, Hold, Ledger
from andon.testing import LedgerConformance, LedgerMachine
from andon_redis.ledger import RedisLedger

DAY = "2026-01-31"


class TestRedisLedger(LedgerConformance):
    @pytest.fixture
    def ledger(self, url: str) -> Iterator[Ledger]:
        ledger = RedisLedger(url)
        yield ledger
        ledger.close()


def test_any_order_of_steps(server: str) -> None:
    class RedisMachine(LedgerMachine):
        def open(self) -> Ledger:
            return RedisLedger(f"{server}?prefix={self.name}")

    fewer = settings(max_examples=15, stateful_step_count=20)
    run_state_machine_as_test(RedisMachine, settings=fewer)


#: Reserves and settles as fast as it can, and says how often it was granted.
WORKER = """
import sys
from andon.budget import Charge, Hold
from andon_redis.ledger import RedisLedger

ledger = RedisLedger(sys.argv[1])
total = 0
for number in range(200):
    name = f"{sys.argv[2]}-{number}"
    charges = (Charge("all", "2026-01-31", 100_000),)
    if ledger.reserve(Hold(id=name, amount=1000, charges=charges, expires=100)).refused is None:
        total += 1
        ledger.settle(name, 500)
ledger.close()
print(total)
"""


def test_processes_together_never_pass_the_limit(url: str) -> None:
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, url, str(number)], stdout=subprocess.PIPE, text=True
        )
        for number in range(3)
    ]
    total = sum(int(worker.communicate(timeout=60)[0]) for worker in workers)
    ledger = RedisLedger(url)
    used = ledger.balance("all", DAY, 0).used
    assert used == 500 * total
    assert 50_000 <= used <= 100_000
    ledger.close()


def test_amounts_beyond_what_a_double_can_add_up(url: str) -> None:
    ledger = RedisLedger(url)
    big = 2**53 + 1
    for number in range(3):
        hold = Hold(id=str(number), amount=big, charges=(Charge("all", DAY, None),), expires=100)
        ledger.reserve(hold)
    ledger.settle("0", big - 1)
    assert ledger.balance("all", DAY, 0).used == 3 * big - 1
    ledger.close()


def test_a_client_names_its_ledger_by_a_url(url: str) -> None:
    arguments = {"discover": False, "plugins": [andon_redis], "daily_budget_usd": 1}
    with Client(ledger=url, **arguments) as one, Client(ledger=url, **arguments) as other:  # type: ignore[arg-type]
        one.breaker.record(1)
        with pytest.raises(DailyBudgetExceeded):
            other.breaker.reserve("0.01")


def test_a_server_that_is_not_there() -> None:
    ledger = RedisLedger("redis://:a-password@127.0.0.1:1/0")
    with pytest.raises(LedgerError, match=r"redis://127\.0\.0\.1:1/0") as raised:
        CostCircuitBreaker(ledger=ledger).reserve(1)
    assert "a-password" not in str(raised.value) + repr(ledger)
    config = CircuitBreakerConfig(ledger_failure="allow")
    CostCircuitBreaker(config, ledger=ledger).reserve(1).settle(1)


def test_a_url_that_cannot_be_used() -> None:
    with pytest.raises(SettingsError, match="redis://host"):
        RedisLedger("redis://host:6379/zero?db=x")


def test_the_schemes() -> None:
    schemes = [spec.scheme for spec in andon_redis.andon_register_ledgers()]
    assert schemes == ["redis", "rediss", "valkey", "valkeys"]
    assert repr(RedisLedger("valkeys://host:1234/2")) == "RedisLedger('valkeys://host:1234/2')"
