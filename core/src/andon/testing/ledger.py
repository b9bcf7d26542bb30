"""What every ledger promises, as tests: subclass, and give a fixture ``ledger``."""

from __future__ import annotations

import os
import threading

from andon.budget import Balance, Charge, Decision, Hold, Ledger, Spending
from andon.testing.conformance.contract import (
    EXPIRED,
    LEDGER_SHARING,
    MARK,
    RESERVE,
    SETTLE,
    SPENDING,
    check,
    check_equal,
)

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

    A subclass gives a fixture ``ledger``: an empty ledger of its own kind. What the contract
    states word for word is compared word for word.
    """

    def test_held_and_settled_count_together(self, ledger: Ledger) -> None:
        """What is held and what is settled count together."""
        first = _hold(60, 100)
        check_equal(ledger.reserve(first), Decision(None, (60,)), "the first decision", RESERVE)
        refused = ledger.reserve(_hold(41, 100))
        check_equal(refused, Decision("all"), "the decision on 41 beside 60 of 100", RESERVE)
        ledger.settle(first.id, 59)
        granted = ledger.reserve(_hold(41, 100))
        check_equal(granted, Decision(None, (100,)), "that decision after 59 is settled", SETTLE)
        check_equal(ledger.balance("all", DAY, 0), Balance(59, 41), "the balance", SETTLE)

    def test_the_same_hold_again_and_the_same_settlement_again_change_nothing(
        self, ledger: Ledger
    ) -> None:
        """Repeating a step changes nothing, as after a lost reply."""
        first = _hold(60, 100)
        ledger.reserve(first)
        again = ledger.reserve(first)
        check_equal(again, Decision(), "the decision on the same hold again", RESERVE)
        ledger.settle(first.id, 10)
        ledger.settle(first.id, 20)
        ledger.settle("unknown", 20)
        late = ledger.reserve(first)
        check_equal(late, Decision(), "the decision on a hold that is settled", RESERVE)
        found = ledger.balance("all", DAY, 0)
        check_equal(found, Balance(10, 0), "the balance after settling 10, then 20", SETTLE)

    def test_a_hold_whose_time_is_over_counts_as_spent_until_it_is_settled_late(
        self, ledger: Ledger
    ) -> None:
        """Whoever died with a hold may have spent it."""
        lost = _hold(60, 100, expires=10)
        ledger.reserve(lost)
        before, after = (ledger.balance("all", DAY, now) for now in (9.9, 10))
        check_equal(before, Balance(0, 60), "the balance before it expires", EXPIRED)
        check_equal(after, Balance(60, 0), "the balance when it has expired", EXPIRED)
        ledger.settle(lost.id, 5)
        late = ledger.balance("all", DAY, 20)
        check_equal(late, Balance(5, 0), "the balance after it was settled late", EXPIRED)

    def test_where_one_account_has_no_room_nothing_is_held_at_any(self, ledger: Ledger) -> None:
        """A request is held at all of its accounts, or at none."""
        charges = (Charge("all", DAY, 100), Charge("team", "2026-01", 10))
        decision = ledger.reserve(Hold(id="x", amount=11, charges=charges, expires=100))
        check_equal(decision, Decision("team"), "the decision", RESERVE)
        used = ledger.balances(DAY, 0).get("all", Balance(0, 0)).used
        check_equal(used, 0, "what the account with room holds", RESERVE)
        used = ledger.balance("team", "2026-01", 0).used
        check_equal(used, 0, "what the account without room holds", RESERVE)

    def test_what_each_model_cost(self, ledger: Ledger) -> None:
        """Spending is told by model and period."""
        for model, amount in [("m", 10), ("n", 20), ("m", 30)]:
            ledger.reserve(_hold(amount, model=model))
        late = _hold(5, model="n", expires=1)
        ledger.reserve(late)
        rows = ledger.spending("all", "2026-01-01", 50)
        found = [(row.model, row.requests, row.settled, row.held) for row in rows]
        meant = [("m", 2, 0, 40), ("n", 2, 5, 20)]
        check_equal(found, meant, "model, requests, settled and held of each row", SPENDING)
        row = Spending(period=DAY, backend="b", model="m", requests=2, settled=0, held=40)
        check_equal(rows[0], row, "the first row", SPENDING)
        later = list(ledger.spending("all", "2026-02-01", 50))
        check_equal(later, [], "what was spent from the next month on", SPENDING)

    def test_a_mark_is_new_once(self, ledger: Ledger) -> None:
        """Only one of many learns that a mark is new."""
        found = [ledger.mark("all", day, "warned") for day in (DAY, DAY, "2026-02-01")]
        check_equal(found, [True, False, True], "whether the marks were new", MARK)

    def test_threads_together_never_pass_the_limit(self, ledger: Ledger) -> None:
        """Many threads at once never hold more than the limit."""
        granted: list[Hold] = []
        errors: list[Exception] = []

        def spend() -> None:
            try:
                for _ in range(30):
                    asked = _hold(10, 1000)
                    if ledger.reserve(asked).refused is None:
                        granted.append(asked)
                        ledger.settle(asked.id, 5)
            except Exception as error:  # noqa: BLE001  told by the test
                errors.append(error)

        threads = [threading.Thread(target=spend) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        check(not errors, f"in threads it raised {errors[:1]!r}", LEDGER_SHARING)
        meant = Balance(5 * len(granted), 0)
        found = ledger.balance("all", DAY, 0)
        check_equal(
            found, meant, f"the balance of {len(granted)} that were granted", LEDGER_SHARING
        )
        some = 100 <= len(granted) <= 200
        check(some, f"of 240 that want 10 of 1000, {len(granted)} were granted", LEDGER_SHARING)
