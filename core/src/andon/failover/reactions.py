"""What to do about an error: ask again, ask somebody else, or stop. The one table of that."""

from __future__ import annotations

from enum import StrEnum

from andon.errors import (
    AndonError,
    AuthenticationError,
    BackendError,
    BadRequestError,
    ContentFilterError,
    ContextOverflowError,
    EgressBlocked,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    PrivacyViolation,
    PromptTooLongError,
    RateLimitError,
    RequestTimeout,
    ServerError,
    StreamInterrupted,
    TransportError,
    UnsupportedParameterError,
)


class Reaction(StrEnum):
    """What to do about an error."""

    #: Ask the same backend again, after a pause; then somebody else.
    AGAIN = "again"
    #: Ask somebody else: this one would fail again, or cannot do it at all.
    ELSEWHERE = "elsewhere"
    #: Ask only a model with a larger context window.
    LARGER_WINDOW = "larger_window"
    #: Nobody else may be asked, or would answer otherwise.
    STOP = "stop"


#: The first class that an error belongs to counts, so children come before their parents.
REACTIONS: tuple[tuple[type[AndonError], Reaction], ...] = (
    (PromptTooLongError, Reaction.LARGER_WINDOW),
    (ContextOverflowError, Reaction.LARGER_WINDOW),
    # What one provider's filter refuses is not carried to the next until one lets it through.
    (ContentFilterError, Reaction.STOP),
    (BadRequestError, Reaction.STOP),
    (AuthenticationError, Reaction.ELSEWHERE),
    (PermissionDeniedError, Reaction.ELSEWHERE),
    (NotFoundError, Reaction.ELSEWHERE),
    (RateLimitError, Reaction.AGAIN),
    (OverloadedError, Reaction.AGAIN),
    (ServerError, Reaction.AGAIN),
    (TransportError, Reaction.AGAIN),
    # A silent backend stays silent: asking it again multiplies the wait.
    (RequestTimeout, Reaction.ELSEWHERE),
    (StreamInterrupted, Reaction.ELSEWHERE),
    (BackendError, Reaction.ELSEWHERE),
    # Somebody tried to get past the guard: that is no reason to try on.
    (EgressBlocked, Reaction.STOP),
    # This candidate turned out to be somewhere else than it said; the tier allows the others.
    (PrivacyViolation, Reaction.ELSEWHERE),
    (UnsupportedParameterError, Reaction.ELSEWHERE),
)


#: Statuses after which the same request may succeed, whatever the error's class.
_AGAIN_STATUSES = frozenset({408, 409})

#: Codes that say that waiting does not help, whatever the status.
_HOPELESS_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached"})


def react(error: AndonError) -> Reaction:
    """Return what to do about an error; what the table does not name stops.

    Budgets are not in it: a request that they refuse is refused.

    :param error: what happened.
    """
    found = (reaction for kind, reaction in REACTIONS if isinstance(error, kind))
    reaction = next(found, Reaction.STOP)
    return _as_told(error, reaction) if isinstance(error, BackendError) else reaction


def _as_told(error: BackendError, reaction: Reaction) -> Reaction:
    """Return the reaction in the light of what the backend itself says."""
    final = reaction in {Reaction.STOP, Reaction.LARGER_WINDOW}
    otherwise = reaction if final else Reaction.ELSEWHERE
    if error.code in _HOPELESS_CODES:
        return otherwise
    if error.should_retry is not None:
        return Reaction.AGAIN if error.should_retry else otherwise
    if error.status in _AGAIN_STATUSES or (error.status or 0) >= 500:
        return Reaction.AGAIN
    # Without a status it answered what is no answer; the same would come again.
    answered = error.status is not None or isinstance(error, TransportError)
    return reaction if answered or reaction is not Reaction.AGAIN else Reaction.ELSEWHERE
