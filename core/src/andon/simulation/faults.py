"""What can go wrong with one exchange, drawn at random."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from andon.errors import (
    AndonError,
    AuthenticationError,
    BackendError,
    BadRequestError,
    ContentFilterError,
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
from andon.simulation.server import DrawFault, Fault, FaultKind

#: Errors that come instead of an answer, each made anew: those who pass one on write into it.
REFUSALS: tuple[Callable[[], AndonError], ...] = (
    lambda: AuthenticationError("who are you?", status=401),
    lambda: PermissionDeniedError("not for you", status=403),
    lambda: NotFoundError("no such model", status=404),
    lambda: BadRequestError("what?", status=400),
    lambda: BadRequestError("in the meantime", status=409),
    lambda: PromptTooLongError("too long", status=400),
    lambda: ContentFilterError("not that", status=400),
    lambda: RateLimitError("too often", status=429),
    lambda: RateLimitError("too often", status=429, retry_after=0.5),
    lambda: RateLimitError("too often", status=429, retry_after=90),
    lambda: RateLimitError("pay first", status=429, code="insufficient_quota"),
    lambda: ServerError("it hurts", status=500),
    lambda: OverloadedError("later", status=503, retry_after=1.0),
    lambda: OverloadedError("loading", status=503),
    lambda: TransportError("no connection"),
    lambda: RequestTimeout("nothing came"),
    lambda: ServerError("that is no answer"),
    lambda: BackendError("nobody knows"),
    lambda: UnsupportedParameterError("no seeds here", parameter="seed"),
    lambda: PrivacyViolation("it turned out to be far away"),
    lambda: EgressBlocked("the guard stopped it"),
)

#: Errors that end a stream.
BREAKS: tuple[Callable[[], AndonError], ...] = (
    lambda: TransportError("the cable was pulled"),
    lambda: StreamInterrupted("the stream ended early"),
    lambda: ServerError("a piece cannot be read"),
    lambda: OverloadedError("too much to do", status=529),
    lambda: RateLimitError("enough", status=429, retry_after=0.2),
    lambda: ContentFilterError("stop there", status=400),
)

#: Broken answers are what is hardest, so there are most of them.
_KINDS = (*FaultKind, FaultKind.CUT, FaultKind.CUT, FaultKind.CUT)

#: No more pieces than this come before a fault.
_LATE = 20


def draw_fault(share: float) -> DrawFault:
    """Return what draws faults of every kind.

    :param share: share of the exchanges that go wrong.
    """

    def draw(random: Random) -> Fault | None:
        if random.random() >= share:
            return None
        after = min(int(random.expovariate(0.2)), _LATE)
        match random.choice(_KINDS):
            case FaultKind.ERROR:
                return Fault(kind=FaultKind.ERROR, error=random.choice(REFUSALS)())
            case FaultKind.SLOW:
                return Fault(kind=FaultKind.SLOW, factor=random.choice((3.0, 30.0)))
            case FaultKind.CUT:
                return Fault(kind=FaultKind.CUT, after=after, error=random.choice(BREAKS)())
            case kind:
                return Fault(kind=kind, after=after)

    return draw
