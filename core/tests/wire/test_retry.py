"""When to ask again, and when not."""

from __future__ import annotations

import pytest

from andon.errors import (
    AuthenticationError,
    BackendError,
    RateLimitError,
    RequestTimeout,
    ServerError,
    StreamInterrupted,
    TransportError,
)
from andon.failover import Reaction, react
from andon.wire.retry import RetryBudget, RetryPolicy, parse_retry_after

NOW = 1445412480.0  # 21 Oct 2015 07:28:00 GMT


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:30 GMT"}, 30.0),
        ({"retry-after": "Wednesday, 21-Oct-15 07:28:30 GMT"}, 30.0),
        ({"retry-after": "Wed Oct 21 07:28:30 2015"}, 30.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:27:30 GMT"}, 0.0),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after-ms": "x", "retry-after": "7"}, 7.0),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "soon"}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert parse_retry_after(headers, NOW) == seconds


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (RateLimitError("", status=429), True),
        (RateLimitError("", status=429, code="insufficient_quota"), False),
        (BackendError("", status=408), True),
        (BackendError("", status=409), True),
        (ServerError("", status=500), True),
        (ServerError("", status=503), True),
        (ServerError("", status=529), True),
        (TransportError(""), True),
        (AuthenticationError("", status=401), False),
        (BackendError("", status=400), False),
        (ServerError(""), False),
        (RequestTimeout(""), False),
        (StreamInterrupted(""), False),
    ],
)
def test_what_is_worth_another_attempt(error: BackendError, *, again: bool) -> None:
    assert (react(error) is Reaction.AGAIN) is again


def test_waits_are_drawn_from_a_range_that_doubles_up_to_a_cap() -> None:
    policy = RetryPolicy(max_retries=6, base=0.5, cap=4, chance=lambda: 0.5)
    waits = [policy.delay(TransportError(""), retries) for retries in range(7)]
    assert waits == [0.25, 0.5, 1, 2, 2, 2, None]


def test_the_backend_is_given_the_time_it_asks_for_within_reason() -> None:
    policy = RetryPolicy(chance=lambda: 1.0, longest_wait=60)
    assert policy.delay(RateLimitError("", status=429, retry_after=9), 0) == 9
    assert policy.delay(RateLimitError("", status=429, retry_after=0), 0) == 0.5
    assert policy.delay(RateLimitError("", status=429, retry_after=61), 0) is None


def test_retries_are_a_share_of_the_requests() -> None:
    now = 0.0
    budget = RetryBudget(share=0.25, per_second=0.5, capacity=2, clock=lambda: now)
    assert [budget.take() for _ in range(3)] == [True, True, False]
    for _ in range(4):
        budget.note_request()
    assert [budget.take(), budget.take()] == [True, False]
    now = 2.0
    assert [budget.take(), budget.take()] == [True, False]
    now = 1000.0
    assert [budget.take() for _ in range(3)] == [True, True, False]


@pytest.mark.parametrize(("status", "advice"), [(500, False), (400, True)])
def test_a_providers_own_advice_goes_first(status: int, advice: bool) -> None:
    error = BackendError("x", status=status)
    assert (react(error) is Reaction.AGAIN) is not advice
    error.should_retry = advice
    assert (react(error) is Reaction.AGAIN) is advice
