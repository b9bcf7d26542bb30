"""What observers are told on the way, by every stage of the corridor."""

from __future__ import annotations

from collections.abc import Sequence

from andon.backends import PromptMeasure
from andon.budget import BudgetWarning
from andon.chat import ChatResponse, Reconnected
from andon.errors import UnsupportedParameterError
from andon.events import (
    AnswerAbandoned,
    AnswerFinished,
    AnswerStarted,
    AttemptEnded,
    AttemptStarted,
    BudgetThresholdPassed,
    ChatTruncated,
    Event,
    EventHead,
    HedgeStarted,
    ParameterDropped,
    RequestAdmitted,
    RequestFailed,
    RequestReceived,
    StreamReconnected,
)
from andon.pricing import to_usd
from andon.routing import Admission, Candidate
from andon.trip import Bill, Trip

# -- The request -----------------------------------------------------------------------------------


def tell_received(trip: Trip) -> None:
    """Tell that a caller asks."""
    models = trip.order.models
    trip.tell(
        lambda head: RequestReceived(
            **head, models=tuple(map(str, models)), request=trip.order.request
        )
    )


def tell_admitted(trip: Trip, admission: Admission, came: float) -> None:
    """Tell that the request's turn has come.

    :param came: when the request came, by the corridor's clock.
    """

    def admitted(head: EventHead) -> Event:
        candidates = tuple(str(candidate.ref) for candidate in admission.order)
        waited = 0.0 if admission.turn is None else head["at"] - came
        return RequestAdmitted(**head, candidates=candidates, waited=waited)

    trip.tell(admitted)


def tell_finished(trip: Trip, response: ChatResponse) -> None:
    """Tell that the caller has a complete answer."""
    trip.tell(
        lambda head: AnswerFinished(
            **head,
            backend=response.backend,
            model=response.model,
            finish_reason=response.finish_reason,
            usage=response.usage,
            cost_usd=response.cost_usd,
            response=response,
        )
    )


def tell_unanswered(trip: Trip, error: BaseException) -> None:
    """Tell that the request ends without a complete answer.

    :param error: why; one that is no :class:`Exception` comes from a caller who went away.
    """

    def ended(head: EventHead) -> Event:
        backend = None if trip.asked is None else trip.asked.spec.name
        model = None if trip.asked is None else trip.asked.ref.model
        cost = to_usd(trip.cost)
        if isinstance(error, Exception):
            return RequestFailed(**head, error=error, backend=backend, model=model, cost_usd=cost)
        return AnswerAbandoned(**head, backend=backend, model=model, cost_usd=cost)

    trip.tell(ended)


# -- One attempt -----------------------------------------------------------------------------------


def tell_hedged(trip: Trip, candidate: Candidate) -> None:
    """Tell that a candidate is asked beside a slow one."""
    trip.tell(
        lambda head: HedgeStarted(**head, backend=candidate.spec.name, model=candidate.ref.model)
    )


def tell_attempt(
    trip: Trip, candidate: Candidate, measured: PromptMeasure | None, reserved: int
) -> None:
    """Tell that a candidate is asked.

    :param measured: the prompt's size, or None where unknown.
    :param reserved: nano-dollars that are held for it.
    """
    number = trip.sent
    trip.tell(
        lambda head: AttemptStarted(
            **head,
            attempt=number,
            backend=candidate.spec.name,
            model=candidate.ref.model,
            input_tokens=None if measured is None else measured.count.tokens,
            reserved_usd=to_usd(reserved),
        )
    )


def tell_answer(trip: Trip, candidate: Candidate, attempt: int, seconds: float) -> None:
    """Tell that an answer's first piece is there.

    :param attempt: the attempt's number.
    :param seconds: since the candidate was asked.
    """
    trip.tell(
        lambda head: AnswerStarted(
            **head,
            attempt=attempt,
            backend=candidate.spec.name,
            model=candidate.ref.model,
            seconds=seconds,
        )
    )


def tell_reconnected(trip: Trip, candidate: Candidate, attempt: int, found: Reconnected) -> None:
    """Tell that a broken connection was made anew, and the same answer goes on.

    :param attempt: the attempt's number.
    :param found: what the backend says of it.
    """
    trip.tell(
        lambda head: StreamReconnected(
            **head,
            attempt=attempt,
            backend=candidate.spec.name,
            model=candidate.ref.model,
            reason=found.reason,
            seconds=found.seconds,
            tries=found.tries,
        )
    )


def tell_attempt_ended(
    trip: Trip, candidate: Candidate, attempt: int, bill: Bill, error: BaseException | None
) -> None:
    """Tell that an attempt is over and settled.

    :param attempt: its number.
    :param bill: what it used.
    :param error: why its answer is not complete, or None where it is.
    """
    trip.tell(
        lambda head: AttemptEnded(
            **head,
            attempt=attempt,
            backend=candidate.spec.name,
            model=candidate.ref.model,
            usage=bill.usage,
            cost_usd=to_usd(bill.cost),
            error=error,
        )
    )


# -- On the way ------------------------------------------------------------------------------------


def tell_truncated(trip: Trip, candidate: Candidate, dropped: tuple[int, ...]) -> None:
    """Tell that messages were left out.

    :param dropped: their places in the chat, from 0.
    """
    trip.tell(
        lambda head: ChatTruncated(
            **head, backend=candidate.spec.name, model=candidate.ref.model, dropped=dropped
        )
    )


def tell_dropped(trip: Trip, candidate: Candidate, error: UnsupportedParameterError) -> None:
    """Tell that an option was left out.

    :param error: what the candidate said of it.
    """
    trip.tell(
        lambda head: ParameterDropped(
            **head,
            backend=candidate.spec.name,
            model=candidate.ref.model,
            parameter=error.parameter or "",
            reason=str(error),
        )
    )


def tell_warnings(trip: Trip, warnings: Sequence[BudgetWarning]) -> None:
    """Tell of budgets that come to their end."""
    for warning in warnings:

        def passed(head: EventHead, warning: BudgetWarning = warning) -> Event:
            return BudgetThresholdPassed(**head, warning=warning)

        trip.tell(passed)
