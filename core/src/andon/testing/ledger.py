"""What every ledger promises, as tests: subclass, and give a fixture ``ledger``."""

from __future__ import annotations

import os
import threading

from andon.budget import Balance, Charge, Decision, Hold, Ledger, Spending

DAY = "2026-01-31"


def _hold(
    amount: int,
    limit: int | None = None,
    *,
    account: str = "all",
    expires: float = 100,
    model: str = "m",
) -> Hold:
    return Hold(
        id=os.urandom(8).hex(),
        amount=amount,
        charges=(Charge(account, DAY, limit),),
        expires=expires,
        backend="b",
        model=model,
    )


class LedgerConformance:
    """The promises of :class:`andon.budget.Ledger`.

    A subclass gives a fixture ``ledger``: an empty ledger of its own kind. Assertions compare with
    ``==`` what the contract states word for word.
    """

    def test_held_and_settled_count_together(self, ledger: Ledger) -> None:
        """What is held and what is settled count together."""
        first = _hold(60, 100)
        assert ledger.reserve(first) == Decision(None, (60,))
        assert ledger.reserve(_hold(41, 100)) == Decision("all")
        ledger.settle(first.id, 59)
        assert ledger.reserve(_hold(41, 100)) == Decision(None, (100,))
        assert ledger.balance("all", DAY, 0) == Balance(59, 41)

    def test_the_same_hold_again_and_the_same_settlement_again_change_nothing(
        self, ledger: Ledger
    ) -> None:
        """Repeating a step changes nothing, as after a lost reply."""
        first = _hold(60, 100)
        ledger.reserve(first)
        assert ledger.reserve(first) == Decision()
        ledger.settle(first.id, 10)
        ledger.settle(first.id, 20)
        ledger.settle("unknown", 20)
        assert ledger.reserve(first) == Decision()
        assert ledger.balance("all", DAY, 0) == Balance(10, 0)

    def test_a_hold_whose_time_is_over_counts_as_spent_until_it_is_settled_late(
        self, ledger: Ledger
    ) -> None:
        """Whoever died with a hold may have spent it."""
        lost = _hold(60, 100, expires=10)
        ledger.reserve(lost)
        assert ledger.balance("all", DAY, 9.9) == Balance(0, 60)
        assert ledger.balance("all", DAY, 10) == Balance(60, 0)
        ledger.settle(lost.id, 5)
        assert ledger.balance("all", DAY, 20) == Balance(5, 0)

    def test_where_one_account_has_no_room_nothing_is_held_at_any(self, ledger: Ledger) -> None:
        """A request is held at all of its accounts, or at none."""
        charges = (Charge("all", DAY, 100), Charge("team", "2026-01", 10))
        both = Hold(id="x", amount=11, charges=charges, expires=100)
        assert ledger.reserve(both) == Decision("team")
        assert ledger.balances(DAY, 0).get("all", Balance(0, 0)).used == 0
        assert ledger.balance("team", "2026-01", 0).used == 0

    def test_what_each_model_cost(self, ledger: Ledger) -> None:
        """Spending is told by model and period."""
        for model, amount in [("m", 10), ("n", 20), ("m", 30)]:
            ledger.reserve(_hold(amount, model=model))
        late = _hold(5, model="n", expires=1)
        ledger.reserve(late)
        rows = ledger.spending("all", "2026-01-01", 50)
        assert [(row.model, row.requests, row.settled, row.held) for row in rows] == [
            ("m", 2, 0, 40),
            ("n", 2, 5, 20),
        ]
        assert rows[0] == Spending(
            period=DAY, backend="b", model="m", requests=2, settled=0, held=40
        )
        assert ledger.spending("all", "2026-02-01", 50) == []

    def test_a_mark_is_new_once(self, ledger: Ledger) -> None:
        """Only one of many learns that a mark is new."""
        assert ledger.mark("all", DAY, "warned")
        assert not ledger.mark("all", DAY, "warned")
        assert ledger.mark("all", "2026-02-01", "warned")

    def test_threads_together_never_pass_the_limit(self, ledger: Ledger) -> None:
        """Many threads at once never hold more than the limit."""
        granted: list[Hold] = []

        def spend() -> None:
            for _ in range(30):
                asked = _hold(10, 1000)
                if ledger.reserve(asked).refused is None:
                    granted.append(asked)
                    ledger.settle(asked.id, 5)

        threads = [threading.Thread(target=spend) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert ledger.balance("all", DAY, 0) == Balance(5 * len(granted), 0)
        assert 100 <= len(granted) <= 200
