"""Broken corridors, budgets, routers and seams, each of which the simulated world must notice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import andon.attempt
import andon.budget.ledger
import andon.failover.resumption
import andon.failover.seam
import andon.hedge
import andon.pipeline
import andon.simulation.process
from andon.budget import CostCircuitBreaker
from andon.chat import ChatResponse, Usage
from andon.effects import Close, Effect, Leave, Settle, Steps
from andon.failover.resumption import Resumption, safe_end
from andon.failover.seam import Expected, Seam
from andon.health import HealthBoard
from andon.pipeline import serve
from andon.selection import BackendSelector
from andon.simulation import InvariantBroken, run_seed
from andon.trip import Trip

#: Every mutant must be noticed within so many worlds.
ENOUGH = 3000

Break = Callable[[pytest.MonkeyPatch], None]


def forgetting(kind: type[Effect], *, only_given_up: bool = False) -> Break:
    """Return what makes the corridor forget a kind of effect, at least where a caller gave up."""

    def mutant(order: Any, house: Any) -> Steps[ChatResponse]:
        steps, given_up = serve(order, house), False
        step: Callable[[], Effect] = lambda: next(steps)  # noqa: E731
        while True:
            try:
                effect = step()
            except StopIteration as end:
                response: ChatResponse = end.value
                return response
            try:
                forgotten = isinstance(effect, kind) and (given_up or not only_given_up)
                reply = None if forgotten else (yield effect)
            except BaseException as error:  # noqa: BLE001  passed on
                given_up = given_up or not isinstance(error, Exception)
                step = lambda thrown=error: steps.throw(thrown)  # type: ignore[misc]  # noqa: E731
            else:
                step = lambda sent=reply: steps.send(sent)  # type: ignore[misc]  # noqa: E731

    return lambda patch: patch.setattr(andon.simulation.process, "serve", mutant)


def replaced(place: Any, name: str, other: Any) -> Break:
    """Return what puts something else in a place."""
    return lambda patch: patch.setattr(place, name, other)


def cut_as_it_is(patch: pytest.MonkeyPatch) -> None:
    """Give the delivered text back as it is, half a token and a space at its end included."""
    patch.setattr(andon.failover.resumption, "word_start", len)
    patch.setattr(andon.failover.resumption, "safe_end", len)


def keep_max_tokens(patch: pytest.MonkeyPatch) -> None:
    """Let the one who goes on write as many tokens as the first might have."""
    real = andon.failover.resumption.continued
    from dataclasses import replace

    def continued(request: Any, delivered: Any, cut: int) -> Any:
        return replace(real(request, delivered, cut), sampling=request.sampling)

    patch.setattr(andon.failover.resumption, "continued", continued)


def probe_together(patch: pytest.MonkeyPatch) -> None:
    """Let everybody try an endpoint again whose rest is over."""
    real = HealthBoard.admit

    def admit(self: HealthBoard, endpoint: str, now: float, asker: object = None) -> bool:
        return real(self, endpoint, now, asker) or self.rest_left(endpoint, now) == 0

    patch.setattr(HealthBoard, "admit", admit)


def hold_nothing(patch: pytest.MonkeyPatch) -> None:
    """Look first and pay later, as if nobody else were spending."""
    real = CostCircuitBreaker.reserve_nano

    def reserve_nano(self: Any, amount: int, *, labels: Any = None) -> Any:
        real(self, amount, labels=labels).cancel()
        return real(self, 0, labels=labels)

    patch.setattr(CostCircuitBreaker, "reserve_nano", reserve_nano)


def forget_bills(patch: pytest.MonkeyPatch) -> None:
    """Leave attempts that failed out of the price of an answer."""
    real = Trip.note_failure

    def note_failure(self: Trip, *arguments: Any) -> Iterator[Any]:
        before = self.cost
        yield from real(self, *arguments)
        self.cost = before

    patch.setattr(Trip, "note_failure", note_failure)


def no_deadline(self: Trip) -> Steps[float | None]:
    """Tell backends that there is any amount of time."""
    return None
    yield


MUTANTS: dict[str, Break] = {
    "it never leaves its place in the counts": forgetting(Leave),
    "it settles nothing where the caller gives up": forgetting(Settle, only_given_up=True),
    "it leaves streams open": forgetting(Close),
    "it leaves streams open where the caller gives up": forgetting(Close, only_given_up=True),
    "it settles nothing in a race that was given up": replaced(
        andon.hedge, "_stop", lambda walks, error: iter(())
    ),
    "the seam expects nothing again": replaced(
        Resumption, "seam", lambda self: Seam("", kept=self.delivered.text[: self.cut])
    ),
    "the seam compares nothing": replaced(Expected, "feed", lambda self, text: text),
    "the text is cut inside tokens": cut_as_it_is,
    "only signs stay whole, and words do not": replaced(
        andon.failover.resumption, "word_start", safe_end
    ),
    "max_tokens begins anew behind the seam": keep_max_tokens,
    "usage counts the beginning for the prompt": replaced(
        andon.attempt, "shifted", lambda usage, tokens: usage
    ),
    "every tier allows everything": replaced(BackendSelector, "validate", lambda self, spec: None),
    "the ledger knows no limits": replaced(
        andon.budget.ledger, "refusing", lambda hold, used: None
    ),
    "it checks, and pays later": hold_nothing,
    "broken answers cost nothing": replaced(
        andon.attempt, "_used", lambda *arguments, sent: Usage()
    ),
    "failed attempts are not in the price": forget_bills,
    "there is no end of attempts": replaced(andon.pipeline, "_spent", lambda trip: False),
    "nobody minds the deadline": replaced(Trip, "remaining", no_deadline),
    "an endpoint is probed by everybody": probe_together,
}


@pytest.mark.parametrize("name", MUTANTS)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_broken_variant_is_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    MUTANTS[name](monkeypatch)
    for seed in range(ENOUGH):
        try:
            run_seed(seed)
        except InvariantBroken as broken:
            print(f"noticed in world {seed}: {broken}")
            return
    pytest.fail(f"{ENOUGH} worlds did not notice that {name}")
