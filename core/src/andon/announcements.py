"""What observers are told on the way, by every stage of the corridor.

Imported only where somebody observes: no other program waits for all of the events' records.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from andon.backends import PromptMeasure
from andon.budget import BudgetWarning
from andon.chat import ChatResponse, Failover, Reconnected
from andon.errors import AndonError, UnsupportedParameterError
from andon.events import (
    AnswerAbandoned,
    AnswerContinued,
    AnswerFinished,
    AnswerStarted,
    AttemptEnded,
    AttemptFailed,
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

if TYPE_CHECKING:
    from andon.trip import Bill, Trip


class Announcer:
    """Makes events of what happens to requests, and tells of them.

    :param observe: is told of events.
    :param clock: gives seconds, never going back.
    """

    def __init__(self, observe: Callable[[Event], None], clock: Callable[[], float]) -> None:
        self._observe = observe
        self._clock = clock

    def _head(self, trip: Trip) -> EventHead:
        order = trip.order
        return EventHead(request_id=order.number, at=self._clock(), labels=order.labels)

    # -- The request --------------------------------------------------------------------------

    def received(self, trip: Trip) -> None:
        """Tell that a caller asks."""
        models = tuple(map(str, trip.order.models))
        self._observe(
            RequestReceived(**self._head(trip), models=models, request=trip.order.request)
        )

    def admitted(self, trip: Trip, admission: Admission, came: float) -> None:
        """Tell that the request's turn has come.

        :param came: when the request came, by the corridor's clock.
        """
        head = self._head(trip)
        candidates = tuple(str(candidate.ref) for candidate in admission.order)
        waited = 0.0 if admission.turn is None else head["at"] - came
        self._observe(RequestAdmitted(**head, candidates=candidates, waited=waited))

    def finished(self, trip: Trip, response: ChatResponse) -> None:
        """Tell that the caller has a complete answer."""
        self._observe(
            AnswerFinished(
                **self._head(trip),
                backend=response.backend,
                model=response.model,
                finish_reason=response.finish_reason,
                usage=response.usage,
                cost_usd=response.cost_usd,
                response=response,
            )
        )

    def unanswered(self, trip: Trip, error: BaseException) -> None:
        """Tell that the request ends without a complete answer.

        :param error: why; one that is no :class:`Exception` comes from a caller who went away.
        """
        head, cost = self._head(trip), to_usd(trip.cost)
        backend = None if trip.asked is None else trip.asked.spec.name
        model = None if trip.asked is None else trip.asked.ref.model
        event: Event
        if isinstance(error, Exception):
            event = RequestFailed(**head, error=error, backend=backend, model=model, cost_usd=cost)
        else:
            event = AnswerAbandoned(**head, backend=backend, model=model, cost_usd=cost)
        self._observe(event)

    # -- One attempt --------------------------------------------------------------------------

    def hedged(self, trip: Trip, candidate: Candidate) -> None:
        """Tell that a candidate is asked beside a slow one."""
        backend, model = candidate.spec.name, candidate.ref.model
        self._observe(HedgeStarted(**self._head(trip), backend=backend, model=model))

    def attempt_started(
        self, trip: Trip, candidate: Candidate, measured: PromptMeasure | None, reserved: int
    ) -> None:
        """Tell that a candidate is asked.

        :param measured: the prompt's size, or None where unknown.
        :param reserved: nano-dollars that are held for it.
        """
        self._observe(
            AttemptStarted(
                **self._head(trip),
                attempt=trip.sent,
                backend=candidate.spec.name,
                model=candidate.ref.model,
                input_tokens=None if measured is None else measured.count.tokens,
                reserved_usd=to_usd(reserved),
            )
        )

    def answer_started(
        self, trip: Trip, candidate: Candidate, attempt: int, seconds: float
    ) -> None:
        """Tell that an answer's first piece is there.

        :param attempt: the attempt's number.
        :param seconds: since the candidate was asked.
        """
        self._observe(
            AnswerStarted(
                **self._head(trip),
                attempt=attempt,
                backend=candidate.spec.name,
                model=candidate.ref.model,
                seconds=seconds,
            )
        )

    def reconnected(
        self, trip: Trip, candidate: Candidate, attempt: int, found: Reconnected
    ) -> None:
        """Tell that a broken connection was made anew, and the same answer goes on.

        :param attempt: the attempt's number.
        :param found: what the backend says of it.
        """
        self._observe(
            StreamReconnected(
                **self._head(trip),
                attempt=attempt,
                backend=candidate.spec.name,
                model=candidate.ref.model,
                reason=found.reason,
                seconds=found.seconds,
                tries=found.tries,
            )
        )

    def attempt_ended(
        self,
        trip: Trip,
        candidate: Candidate,
        attempt: int,
        bill: Bill,
        error: BaseException | None,
    ) -> None:
        """Tell that an attempt is over and settled.

        :param attempt: its number.
        :param bill: what it used.
        :param error: why its answer is not complete, or None where it is.
        """
        self._observe(
            AttemptEnded(
                **self._head(trip),
                attempt=attempt,
                backend=candidate.spec.name,
                model=candidate.ref.model,
                usage=bill.usage,
                cost_usd=to_usd(bill.cost),
                error=error,
            )
        )

    def attempt_failed(self, trip: Trip, candidate: Candidate, error: AndonError) -> None:
        """Tell that a candidate failed or was passed over."""
        backend, model = candidate.spec.name, candidate.ref.model
        self._observe(AttemptFailed(**self._head(trip), backend=backend, model=model, error=error))

    # -- On the way ---------------------------------------------------------------------------

    def continued(self, trip: Trip, failover: Failover) -> None:
        """Tell that another candidate goes on with the answer."""
        self._observe(AnswerContinued(**self._head(trip), failover=failover))

    def truncated(self, trip: Trip, candidate: Candidate, dropped: tuple[int, ...]) -> None:
        """Tell that messages were left out.

        :param dropped: their places in the chat, from 0.
        """
        backend, model = candidate.spec.name, candidate.ref.model
        head = self._head(trip)
        self._observe(ChatTruncated(**head, backend=backend, model=model, dropped=dropped))

    def dropped(self, trip: Trip, candidate: Candidate, error: UnsupportedParameterError) -> None:
        """Tell that an option was left out.

        :param error: what the candidate said of it.
        """
        self._observe(
            ParameterDropped(
                **self._head(trip),
                backend=candidate.spec.name,
                model=candidate.ref.model,
                parameter=error.parameter or "",
                reason=str(error),
            )
        )

    def warned(self, trip: Trip, warnings: Sequence[BudgetWarning]) -> None:
        """Tell of budgets that come to their end."""
        for warning in warnings:
            self._observe(BudgetThresholdPassed(**self._head(trip), warning=warning))
