"""Every ledger beside a model that just remembers: any order of steps, with hypothesis.

Subclass, say how the ledger is opened, and hand the test case over to pytest::

    class FileMachine(LedgerMachine):
        def open(self):
            return SQLiteLedger(self.folder / "spend.db")

    TestFileMachine = FileMachine.TestCase
"""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from andon.budget import Balance, Charge, Decision, Hold, Ledger
from andon.testing.conformance.contract import RESERVE, SETTLE, SPENDING, check, check_equal

_DAYS = ("2026-01-30", "2026-01-31", "2026-02-01")
#: Seconds since 1970; so late that no ledger takes it for long ago, and forgets it.
_START = 4e9
_LIMITS = {"all": 500, "team": 200}
_ACCOUNTS = (("all",), ("all", "team"), ("team",))


class LedgerMachine(RuleBasedStateMachine):
    """Reserve, settle, repeat, restart, and let clocks run and jump, in any order.

    After every step, what the ledger says of every account and day is compared with what the
    model remembers.
    """

    holds = Bundle("holds")

    def __init__(self) -> None:
        super().__init__()
        self._folder = TemporaryDirectory()
        self.folder = Path(self._folder.name)
        #: A name that no other run of the machine has, for ledgers that outlive it.
        self.name = os.urandom(8).hex()
        self.ledger = self.open()
        self.now = _START
        self._numbers = itertools.count()
        self._made: dict[str, Hold] = {}
        self._granted: dict[str, Hold] = {}
        self._settled: dict[str, int] = {}

    def open(self) -> Ledger:
        """Open the ledger. Called again after it was closed, it must find what was kept.

        A ledger that keeps nothing returns the same object again.
        """
        raise NotImplementedError

    def teardown(self) -> None:
        """Close what was opened."""
        self.ledger.close()
        self._folder.cleanup()

    @rule(
        target=holds,
        amount=st.integers(0, 150),
        accounts=st.sampled_from(_ACCOUNTS),
        day=st.sampled_from(_DAYS),
        lease=st.sampled_from([1.0, 5.0, 1000.0]),
    )
    def reserve(self, amount: int, accounts: tuple[str, ...], day: str, lease: float) -> str:
        """A request that fits everywhere is granted; one that does not, nowhere."""
        hold = Hold(
            id=f"{self.name}-{next(self._numbers)}",
            amount=amount,
            charges=tuple(Charge(account, day, _LIMITS[account]) for account in accounts),
            created=self.now,
            expires=self.now + lease,
            backend="b",
            model=accounts[0],
        )
        full = [
            account
            for account in accounts
            if amount and self._used(account, day) + amount > _LIMITS[account]
        ]
        decision = self.ledger.reserve(hold)
        refused = full[0] if full else None
        check_equal(decision.refused, refused, "the account without room", RESERVE)
        self._made[hold.id] = hold
        if not full:
            self._granted[hold.id] = hold
            used = tuple(self._used(account, day) for account in accounts)
            check_equal(decision.used, used, "what the accounts have used", RESERVE)
        return hold.id

    @rule(name=holds)
    def reserve_again(self, name: str) -> None:
        """A hold that is there is not held twice, whether or not it is settled."""
        if name in self._granted:
            again = self.ledger.reserve(self._made[name])
            check_equal(again, Decision(), "the decision on a hold that is there", RESERVE)

    @rule(name=holds, amount=st.integers(0, 200))
    def settle(self, name: str, amount: int) -> None:
        """The first settlement counts, however late; a refused hold has none."""
        self.ledger.settle(name, amount)
        if name in self._granted:
            self._settled.setdefault(name, amount)

    @rule(seconds=st.floats(-20, 20))
    def step_the_clock(self, seconds: float) -> None:
        """Clocks run, and are set forward and back."""
        self.now += seconds

    @rule()
    def restart(self) -> None:
        """What was kept is there again."""
        self.ledger.close()
        self.ledger = self.open()

    @invariant()
    def everything_adds_up(self) -> None:
        """Nothing is lost, nothing is counted twice."""
        for account, day in itertools.product(_LIMITS, _DAYS):
            held = sum(hold.amount for hold in self._under(account, day) if self._is_held(hold))
            used = self._used(account, day)
            found = self.ledger.balance(account, day, self.now)
            check_equal(found, Balance(used - held, held), f"{account} on {day}", SETTLE)
            asked = [self._settled.get(hold.id, 0) - hold.amount for hold in
                     self._under(account, day) if hold.id in self._settled]  # fmt: skip
            most = _LIMITS[account] + sum(max(more, 0) for more in asked)
            check(used <= most, f"{account} on {day} used {used}, above {most}", RESERVE)

    @invariant()
    def it_is_told_by_model(self) -> None:
        """The table of what each model cost has the same sums."""
        rows = self.ledger.spending("all", _DAYS[0], self.now)
        for day in _DAYS:
            told = [row for row in rows if row.period == day]
            amount = sum(row.settled + row.held for row in told)
            check_equal(amount, self._used("all", day), f"what {day} cost", SPENDING)
            requests = sum(row.requests for row in told)
            check_equal(requests, len(self._under("all", day)), f"requests on {day}", SPENDING)

    def _under(self, account: str, day: str) -> list[Hold]:
        return [
            hold
            for hold in self._granted.values()
            if any(charge[:2] == (account, day) for charge in hold.charges)
        ]

    def _is_held(self, hold: Hold) -> bool:
        return hold.id not in self._settled and hold.expires > self.now

    def _used(self, account: str, day: str) -> int:
        return sum(self._settled.get(hold.id, hold.amount) for hold in self._under(account, day))
