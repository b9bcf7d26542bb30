"""What is done about each error."""

from __future__ import annotations

import inspect

import pytest

from andon import errors
from andon.errors import (
    AndonError,
    BackendError,
    BadRequestError,
    BudgetExceeded,
    ContentFilterError,
    ContextOverflowError,
    EgressBlocked,
    MissingKeyError,
    OverloadedError,
    PrivacyViolation,
    PromptTooLongError,
    RateLimitError,
    RequestTimeout,
    ServerError,
    StreamInterrupted,
    TransportError,
    UnsupportedParameterError,
)
from andon.failover import Reaction, react
from andon.failover.reactions import REACTIONS


@pytest.mark.parametrize(
    ("error", "reaction"),
    [
        (RateLimitError("", status=429), Reaction.AGAIN),
        (RateLimitError("", status=429, code="insufficient_quota"), Reaction.ELSEWHERE),
        (OverloadedError("", status=503), Reaction.AGAIN),
        (ServerError("", status=500), Reaction.AGAIN),
        (ServerError("a web page"), Reaction.ELSEWHERE),
        (TransportError(""), Reaction.AGAIN),
        (RequestTimeout(""), Reaction.ELSEWHERE),
        (StreamInterrupted(""), Reaction.ELSEWHERE),
        (BackendError("", status=409), Reaction.AGAIN),
        (PromptTooLongError("", status=400), Reaction.LARGER_WINDOW),
        (ContextOverflowError("", input_tokens=9, window=8, reserve=0), Reaction.LARGER_WINDOW),
        (ContentFilterError("", status=400), Reaction.STOP),
        (BadRequestError("", status=400), Reaction.STOP),
        (BudgetExceeded(""), Reaction.STOP),
        (EgressBlocked(""), Reaction.STOP),
        (PrivacyViolation(""), Reaction.ELSEWHERE),
        (UnsupportedParameterError(""), Reaction.ELSEWHERE),
        (MissingKeyError(""), Reaction.STOP),
    ],
)
def test_reactions(error: AndonError, reaction: Reaction) -> None:
    assert react(error) is reaction


def test_children_stand_before_their_parents() -> None:
    kinds = [kind for kind, _ in REACTIONS]
    for place, kind in enumerate(kinds):
        assert not any(issubclass(later, kind) for later in kinds[place + 1 :])


def test_no_failure_of_a_backend_is_forgotten() -> None:
    kinds = [
        k for _, k in inspect.getmembers(errors, inspect.isclass) if issubclass(k, BackendError)
    ]
    named = {kind for kind, _ in REACTIONS}
    for kind in kinds:
        assert any(parent in named for parent in kind.__mro__)
