"""The health of endpoints."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from andon.errors import (
    BadRequestError,
    BudgetExceeded,
    OverloadedError,
    RateLimitError,
    ServerError,
)
from andon.health import HealthBoard, HealthChange, HealthConfig, HealthState

DOWN = ServerError("down", status=500)


def fail(board: HealthBoard, times: int, now: float = 0.0) -> None:
    for _ in range(times):
        board.failed("a", now, DOWN)


def test_failures_in_a_row_open_the_breaker_and_a_success_closes_it() -> None:
    board = HealthBoard()
    fail(board, 2)
    assert board.state("a", 0.0) is HealthState.CLOSED
    fail(board, 1)
    assert board.state("a", 0.9) is HealthState.OPEN
    assert not board.admit("a", 0.9)
    assert board.state("a", 1.0) is HealthState.HALF_OPEN
    assert board.admit("a", 1.0)
    board.succeeded("a", 1.1)
    assert board.state("a", 1.1) is HealthState.CLOSED
    assert not board.resting(1.1)


def test_one_probe_at_a_time() -> None:
    board = HealthBoard()
    fail(board, 3)
    assert [board.admit("a", 1.0) for _ in range(3)] == [True, False, False]
    board.released("a")
    assert board.admit("a", 1.0)


def test_only_whoever_probes_can_end_the_probe() -> None:
    board, prober, other, third = HealthBoard(), object(), object(), object()
    fail(board, 3)
    assert board.admit("a", 1.0, prober)
    # One that was asked before, and one that was refused by its budget and asked nobody.
    board.failed("a", 1.1, DOWN, other)
    board.released("a", other)
    board.failed("a", 1.2, BudgetExceeded("no"), other)
    assert not board.admit("a", 30.0, third)
    board.failed("a", 30.0, DOWN, prober)
    assert board.rest_left("a", 30.0) == 2.0
    assert board.admit("a", 32.0, third)


def test_each_failed_probe_doubles_the_rest_up_to_the_longest() -> None:
    board = HealthBoard(HealthConfig(rest=1.0, longest_rest=5.0))
    fail(board, 3)
    now, rests = 0.0, []
    for _ in range(4):
        rests.append(board.rest_left("a", now))
        now += rests[-1]
        assert board.admit("a", now)
        board.failed("a", now, DOWN)
    assert rests == [1.0, 2.0, 4.0, 5.0]


def test_what_was_on_its_way_makes_no_rest_longer() -> None:
    board = HealthBoard()
    fail(board, 3)
    fail(board, 20, now=0.5)
    assert board.rest_left("a", 0.5) == pytest.approx(0.5)


@pytest.mark.parametrize("error", [RateLimitError, OverloadedError])
def test_a_wait_that_the_endpoint_asks_for_is_kept(error: type[ServerError]) -> None:
    board = HealthBoard()
    board.failed("a", 0.0, error("busy", status=429, retry_after=4.0))
    assert board.rest_left("a", 0.0) == 4.0
    other = HealthBoard(HealthConfig(longest_wait=3.0))
    other.failed("a", 0.0, error("busy", status=429, retry_after=3600.0))
    assert other.rest_left("a", 0.0) == 3.0


def test_few_failures_among_many_answers_are_no_reason() -> None:
    board = HealthBoard()
    for second in range(100):
        board.failed("a", second, DOWN) if second % 4 == 0 else board.succeeded("a", second)
    assert board.state("a", 100) is HealthState.CLOSED


def test_old_failures_are_forgotten() -> None:
    board = HealthBoard()
    fail(board, 2)
    fail(board, 2, now=300.0)
    assert board.state("a", 300.0) is HealthState.CLOSED


def test_errors_about_the_request_say_nothing_against_the_endpoint() -> None:
    board = HealthBoard()
    for _ in range(10):
        board.failed("a", 0.0, BadRequestError("no", status=400))
        board.failed("a", 0.0, BudgetExceeded("no"))
    assert board.state("a", 0.0) is HealthState.CLOSED


def test_an_answer_that_is_slow_to_begin_counts_as_a_failure() -> None:
    board = HealthBoard(HealthConfig(slow_first_token=2.0))
    for _ in range(3):
        board.succeeded("a", 0.0, first_token=2.5)
    assert board.state("a", 0.0) is HealthState.OPEN


class Breaker(RuleBasedStateMachine):
    """However requests come and go: one probe at a time, and no rest without an end."""

    def __init__(self) -> None:
        super().__init__()
        self.board = HealthBoard()
        self.now = 0.0
        self.probes = 0
        self.under_way = 0

    @rule(seconds=st.floats(0, 40))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def ask(self) -> None:
        closed = self.board.state("a", self.now) is HealthState.CLOSED
        if self.board.admit("a", self.now):
            if closed:
                self.under_way += 1
            else:
                self.probes += 1

    @precondition(lambda self: self.probes)
    @rule(good=st.booleans())
    def end_probe(self, good: bool) -> None:
        self.probes -= 1
        if good:
            self.board.succeeded("a", self.now)
            assert self.board.state("a", self.now) is HealthState.CLOSED
        else:
            self.board.failed("a", self.now, DOWN)
            assert self.board.state("a", self.now) is HealthState.OPEN

    @precondition(lambda self: self.under_way and not self.probes)
    @rule(good=st.booleans())
    def end(self, good: bool) -> None:
        self.under_way -= 1
        if good:
            self.board.succeeded("a", self.now)
        else:
            self.board.failed("a", self.now, DOWN)

    @invariant()
    def one_probe(self) -> None:
        assert self.probes <= 1

    @invariant()
    def every_rest_ends(self) -> None:
        assert self.board.rest_left("a", self.now) <= self.board.config.longest_rest


TestBreaker = Breaker.TestCase


# -- Several boards that are kept alike ---------------------------------------------------------------


class Linked(HealthBoard):
    """A board that tells another one of every change."""

    def __init__(self) -> None:
        super().__init__()
        self.other: HealthBoard = self
        self.now = 0.0

    def changed(self, endpoint: str, change: HealthChange) -> None:
        self.other.adopt(endpoint, self.now, change)


class LinkedBoards(RuleBasedStateMachine):
    """Two boards that tell each other everything are as one that sees it all."""

    def __init__(self) -> None:
        super().__init__()
        self.alone = HealthBoard()
        self.boards = Linked(), Linked()
        self.boards[0].other, self.boards[1].other = self.boards[1], self.boards[0]
        self.now = 0.0

    @rule(seconds=st.sampled_from([0.0, 0.1, 0.9, 1.0, 4.0, 60.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        for board in self.boards:
            board.now = self.now

    @rule(place=st.booleans(), good=st.booleans(), retry_after=st.sampled_from([None, 3.0]))
    def outcome(self, place: bool, good: bool, retry_after: float | None) -> None:
        asker = object()
        asked = [board.admit("a", self.now, asker) for board in (self.alone, self.boards[place])]
        assert asked[0] == asked[1]
        for board in (self.alone, self.boards[place]):
            if good:
                board.succeeded("a", self.now, None, asker)
            else:
                error = ServerError("down", status=503, retry_after=retry_after)
                board.failed("a", self.now, error, asker)

    @invariant()
    def they_agree(self) -> None:
        for board in self.boards:
            assert board.state("a", self.now) is self.alone.state("a", self.now)
            assert board.resting(self.now) == pytest.approx(self.alone.resting(self.now))
        newcomer = HealthBoard()
        for endpoint, change in self.alone.summary(self.now).items():
            newcomer.adopt(endpoint, self.now, change)
        rests = pytest.approx(self.alone.resting(self.now), abs=0.002)
        assert newcomer.resting(self.now) == rests


TestLinkedBoards = LinkedBoards.TestCase


def test_what_has_healed_is_forgotten() -> None:
    board = HealthBoard()
    fail(board, 1)
    board.succeeded("a", 300.0)
    fail(board, 2, now=300.0)
    assert board.state("a", 300.0) is HealthState.CLOSED
