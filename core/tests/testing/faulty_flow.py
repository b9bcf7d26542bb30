"""Faulty routers and ledgers, each with the test of its kit that is meant to catch it."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

import pytest

from andon import RouterSpec, SettingsError, hookimpl
from andon.budget import Balance, Decision, Hold, MemoryLedger, Spending
from andon.errors import Rejected
from andon.routing import Admission, Ask, Candidate, RouterConfig, SpilloverRouter
from andon.testing import LedgerConformance, RouterConformance


@dataclass(frozen=True)
class Fault:
    """A faulty part, and the test that must fail for it."""

    name: str
    test: str
    kit: type[Any]
    facts: Mapping[str, Any]


def offering(hook: str, *records: Any) -> ModuleType:
    module = ModuleType("andon_faulty")
    setattr(module, hook, hookimpl(lambda: list(records)))
    return module


# -- Routers --------------------------------------------------------------------------------------

CONFIG = RouterConfig(slots={"home": 2, "near": 2}, max_queue_depth=6)


class Wrapped:
    """An admission in another's hands."""

    def __init__(self, inner: Admission) -> None:
        self.inner = inner

    @property
    def order(self) -> Sequence[Candidate]:
        return self.inner.order

    @property
    def turn(self) -> Any:
        return self.inner.turn

    def move(self, candidate: Candidate, now: float) -> None:
        self.inner.move(candidate, now)

    def leave(self, now: float, *, tokens: int = 0, answered: bool = True) -> None:
        self.inner.leave(now, tokens=tokens, answered=answered)


class Sound(SpilloverRouter):
    """A sound router; those below are this one with a fault."""

    def __init__(self) -> None:
        super().__init__(CONFIG)

    def admit(self, candidates: Sequence[Candidate], ask: Ask, now: float) -> Admission:
        return self.changed(super().admit(candidates, ask, now))

    def changed(self, admission: Admission) -> Admission:
        return admission


class Doubles(Wrapped):
    @property
    def order(self) -> Sequence[Candidate]:
        return [*self.inner.order, self.inner.order[0]]


class Invents(Wrapped):
    @property
    def order(self) -> Sequence[Candidate]:
        first = self.inner.order[0]
        return [replace(first, spec=replace(first.spec, name="stranger"))]


class Nobody(Wrapped):
    order = ()


class PrefersTheIll(Wrapped):
    @property
    def order(self) -> Sequence[Candidate]:
        return sorted(self.inner.order, key=lambda one: one.healthy)


class CannotMove(Wrapped):
    def move(self, candidate: Candidate, now: float) -> None:
        raise NotImplementedError


class LeavesOnce(Wrapped):
    gone = False

    def leave(self, now: float, *, tokens: int = 0, answered: bool = True) -> None:
        if self.gone:
            raise RuntimeError("it has left already")
        self.gone = True
        super().leave(now, tokens=tokens, answered=answered)


class NeverLeaves(Wrapped):
    def leave(self, now: float, *, tokens: int = 0, answered: bool = True) -> None:
        pass


class StaysWhereItFailed(Wrapped):
    def leave(self, now: float, *, tokens: int = 0, answered: bool = True) -> None:
        if answered:
            super().leave(now, tokens=tokens)


def wrapping(wrapper: type[Wrapped]) -> type[Sound]:
    class Wrapping(Sound):
        def changed(self, admission: Admission) -> Admission:
            return wrapper(admission)

    return Wrapping


class KeyErrors(Sound):
    def admit(self, candidates: Sequence[Candidate], ask: Ask, now: float) -> Admission:
        try:
            return super().admit(candidates, ask, now)
        except Rejected:
            raise KeyError("no slot") from None


class Counting:
    """Counts by hand, and not well: two leave for one, or in threads."""

    waits = weighs = False

    def __init__(self, *, twice: bool = False, torn: bool = False) -> None:
        self.inside, self.twice, self.torn = 0, twice, torn
        self.queue: list[Any] = []

    def admit(self, candidates: Sequence[Candidate], ask: Ask, now: float) -> Admission:
        from andon.routing import Turn

        class Entry(Wrapped):
            order = candidates
            turn: Any = None
            gone = False

            def __init__(self) -> None:
                pass

            def move(self, candidate: Candidate, now: float) -> None:
                pass

            def leave(entry, now: float, *, tokens: int = 0, answered: bool = True) -> None:  # noqa: N805
                if not entry.gone or self.twice:
                    entry.gone = True
                    self.leave(entry)

        if len(self.queue) > 5:
            raise Rejected("full", reason="queue_full", retry_after=-1.0 if self.torn else None)
        entry = Entry()
        self.inside += 1
        if self.inside > 2:
            entry.turn = Turn()
            self.queue.append(entry)
        return entry

    def leave(self, entry: Any) -> None:
        self.inside = max(self.inside - 1, 0)
        if entry in self.queue:
            self.queue.remove(entry)
        elif self.queue:
            self.queue.pop(0).turn.give()


class ForgetsWaiting(Counting):
    def leave(self, entry: Any) -> None:
        self.inside -= 1
        if entry not in self.queue and self.queue:
            self.queue.pop(0).turn.give()


class LosesTurns(Counting):
    def leave(self, entry: Any) -> None:
        self.inside -= 1
        if entry in self.queue:
            self.queue.remove(entry)


class InOneThread(Sound):
    def admit(self, candidates: Sequence[Candidate], ask: Ask, now: float) -> Admission:
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("dictionary changed size during iteration")
        return super().admit(candidates, ask, now)


class NoFacts(Sound):
    def __init__(self) -> None:
        super().__init__()
        self.weighs = None  # type: ignore[assignment]


class NoWeights(Sound):
    def admit(self, candidates: Sequence[Candidate], ask: Ask, now: float) -> Admission:
        ask.key.encode("ascii")
        return super().admit(candidates, ask, now)


def strictly(create: Callable[[], Any]) -> Callable[[Mapping[str, Any]], Any]:
    def made(options: Mapping[str, Any]) -> Any:
        if options:
            raise SettingsError(f"routing: no such option: {', '.join(options)}")
        return create()

    return made


def router(name: str, test: str, create: Any) -> Fault:
    spec = RouterSpec(name="faulty", create=create)
    return Fault(
        name, test, RouterConformance, {"plugin": offering("andon_register_routers", spec)}
    )


ROUTERS = [
    router("Doubles", "test_it_decides_among_the_candidates", strictly(wrapping(Doubles))),
    router("Invents", "test_it_decides_among_the_candidates", strictly(wrapping(Invents))),
    router("Nobody", "test_it_decides_among_the_candidates", strictly(wrapping(Nobody))),
    router("PrefersTheIll", "test_candidates_at_rest_come_last", strictly(wrapping(PrefersTheIll))),
    router("CannotMove", "test_a_request_moves_and_leaves_once", strictly(wrapping(CannotMove))),
    router("LeavesOnce", "test_a_request_moves_and_leaves_once", strictly(wrapping(LeavesOnce))),
    router("NeverLeaves", "test_everybody_leaves_an_empty_house", strictly(wrapping(NeverLeaves))),
    router("NeverLeavesALoad", "test_a_load", strictly(wrapping(StaysWhereItFailed))),
    router("NeverLeavesInThreads", "test_threads_at_once", strictly(wrapping(NeverLeaves))),
    router("KeyErrors", "test_who_waits_is_let_in", strictly(KeyErrors)),
    router(
        "CountsTwice", "test_only_the_first_leaving_counts", strictly(lambda: Counting(twice=True))
    ),
    router("ThePast", "test_who_waits_is_let_in", strictly(lambda: Counting(torn=True))),
    router("LosesTurns", "test_who_waits_is_let_in", strictly(LosesTurns)),
    router("ForgetsWaiting", "test_who_gives_up_waiting_is_passed_over", strictly(ForgetsWaiting)),
    router("InOneThread", "test_threads_at_once", strictly(InOneThread)),
    router("NoFacts", "test_it_says_what_it_is_like", strictly(NoFacts)),
    router("NoWeights", "test_any_request_is_weighed", strictly(NoWeights)),
    router("TakesAnything", "test_an_unknown_setting", lambda options: Sound()),
    router("DiesOfOptions", "test_an_unknown_setting", lambda options: {}[next(iter(options))]),
]


# -- Ledgers --------------------------------------------------------------------------------------


class HoldsTwice(MemoryLedger):
    def reserve(self, hold: Hold) -> Decision:
        return super().reserve(replace(hold, id=f"{hold.id}{random.random()}"))


class HoldsInPart(MemoryLedger):
    def reserve(self, hold: Hold) -> Decision:
        for charge in hold.charges[:-1]:
            super().reserve(replace(hold, id=f"{hold.id} {charge}", charges=(charge,)))
        return super().reserve(hold)


class SettlesAgain(MemoryLedger):
    def settle(self, hold_id: str, amount: int) -> None:
        super().settle(hold_id, amount)
        with self._lock:
            for key in self._used:
                self._used[key] += amount if amount == 20 else 0


class ForgetsTheDead(MemoryLedger):
    def balance(self, account: str, period: str, now: float) -> Balance:
        found = super().balance(account, period, now)
        return found if now < 10 else Balance(0, found.held)


class PassesLimits(MemoryLedger):
    def reserve(self, hold: Hold) -> Decision:
        charges = tuple(charge._replace(limit=None) for charge in hold.charges)
        return super().reserve(replace(hold, charges=charges))


class MixesModels(MemoryLedger):
    def spending(self, account: str, first: str, now: float) -> Sequence[Spending]:
        return [replace(row, model="?") for row in super().spending(account, first, now)]


class MarksForEver(MemoryLedger):
    def mark(self, account: str, period: str, mark: str) -> bool:
        return super().mark(account, "", mark)


class DiesInThreads(MemoryLedger):
    def reserve(self, hold: Hold) -> Decision:
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("made in another thread")
        return super().reserve(hold)


class GivenLedger(LedgerConformance):
    make: Any

    @pytest.fixture
    def ledger(self) -> Any:
        return type(self).make()


def ledger(test: str, make: type[Any]) -> Fault:
    return Fault(f"Ledger{make.__name__}", test, GivenLedger, {"make": make})


LEDGERS = [
    ledger("test_held_and_settled_count_together", PassesLimits),
    ledger("test_the_same_hold_again_and_the_same_settlement_again_change_nothing", HoldsTwice),
    ledger("test_the_same_hold_again_and_the_same_settlement_again_change_nothing", SettlesAgain),
    ledger(
        "test_a_hold_whose_time_is_over_counts_as_spent_until_it_is_settled_late", ForgetsTheDead
    ),
    ledger("test_where_one_account_has_no_room_nothing_is_held_at_any", HoldsInPart),
    ledger("test_what_each_model_cost", MixesModels),
    ledger("test_a_mark_is_new_once", MarksForEver),
    ledger("test_threads_together_never_pass_the_limit", DiesInThreads),
]


FAULTS = [*ROUTERS, *LEDGERS]
for fault in FAULTS:
    title = f"Test{fault.name}"
    globals()[title] = type(title, (fault.kit,), dict(fault.facts))
