"""An answer on its way from a simulated server to whoever asked for it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from random import Random
from typing import TYPE_CHECKING, TypeAlias

from andon.chat import ChatDelta, ChatRequest
from andon.errors import BackendError, RequestTimeout, StreamInterrupted, TransportError
from andon.simulation.timeline import Appointment, call_off
from andon.wire.retry import RetryBudget, RetryPolicy

if TYPE_CHECKING:
    from andon.simulation.server import Fault, Server

#: What comes next: a piece, or None at the end, or an error.
Outcome: TypeAlias = ChatDelta | BaseException | None

#: Seconds that a backend waits for the first token, and between two, where nobody says.
FIRST_TOKEN, STALL = 600.0, 120.0


class Retries:
    """How a process asks a server again that failed before its first piece.

    :param random: the world's dice.
    :param clock: the world's time.
    :param most: how often at most.
    """

    def __init__(self, random: Random, clock: Callable[[], float], most: int = 2) -> None:
        self.policy = RetryPolicy(max_retries=most, chance=random.random)
        self.budget = RetryBudget(clock=clock)


class SimulatedStream:
    """A stream whose pieces come at their times.

    :param server: who answers.
    :param request: what is asked.
    :param timeout: seconds until the whole answer must be there.
    :param retries: whether and how to ask again.
    """

    __slots__ = (
        "_arrivals",
        "_deadline",
        "_done",
        "_has_outcome",
        "_last",
        "_outcome",
        "_retried",
        "_retries",
        "_timeline",
        "_timer",
        "_wake",
        "delivered",
        "fault",
        "is_closed",
        "request",
        "server",
    )  # fmt: skip

    def __init__(
        self, server: Server, request: ChatRequest, timeout: float | None, retries: Retries
    ) -> None:
        self.server = server
        self.request = request
        self.fault: Fault | None = None
        #: The pieces that were handed over.
        self.delivered: list[ChatDelta] = []
        self._retries = retries
        self._retried = 0
        self._timeline = timeline = server.timeline
        self._deadline = float("inf") if timeout is None else timeline.now + timeout
        self._last = timeline.now
        self._arrivals: deque[tuple[float, Outcome]] = deque()
        self._outcome: Outcome = None
        self._has_outcome = self.is_closed = self._done = False
        self._wake: Callable[[], object] | None = None
        self._timer: Appointment | None = None
        retries.budget.note_request()
        self._send()

    @property
    def has_outcome(self) -> bool:
        """Whether the next piece is there."""
        return self._has_outcome

    # -- For the server -----------------------------------------------------------------------

    def begin(self, arrivals: Sequence[tuple[float, Outcome]]) -> None:
        """Take note of what comes when."""
        self._arrivals += arrivals
        self._rearm()

    def break_off(self, error: BackendError) -> None:
        """Lose what has not come yet."""
        now = self._timeline.now
        came = [arrival for arrival in self._arrivals if arrival[0] <= now]
        self._arrivals = deque([*came, (now, error)])
        self._rearm()

    # -- For the driver -----------------------------------------------------------------------

    def fetch(self, wake: Callable[[], object]) -> bool:
        """Begin to wait for the next piece; return True where it is there already.

        :param wake: called once when it comes, if it is not there.
        """
        if self._has_outcome:
            return True
        waits = self._wake is not None
        self._wake = wake
        if not waits:
            self._arm()
        if self.has_outcome:
            self._wake = None
        return self.has_outcome

    def forget(self) -> None:
        """Wake nobody any more; the piece is kept."""
        if self._wake is not None:
            self._wake = _nobody

    def take(self) -> ChatDelta | None:
        """Return the piece that has come, or None at the end.

        :raises BaseException: an error came.
        """
        outcome, self._outcome, self._has_outcome = self._outcome, None, False
        if isinstance(outcome, BaseException):
            self._done = True
            raise outcome
        if outcome is None:
            self._done = True
        else:
            self.delivered.append(outcome)
        return outcome

    def close(self) -> None:
        """Stop it. The server takes note half a round trip later."""
        if self.is_closed:
            return
        self.is_closed = True
        self._wake = None
        if self._timer is not None:
            call_off(self._timer)
        self._timeline.after(self.server.service.latency / 2, self._drop)

    # -- Inside -------------------------------------------------------------------------------

    def _drop(self) -> None:
        self.server.drop(self)

    def _send(self) -> None:
        self._timeline.after(self.server.service.latency / 2, self._arrive)

    def _arrive(self) -> None:
        if not self.is_closed:
            self.server.arrive(self)

    def _rearm(self) -> None:
        if self._wake is not None:
            if self._timer is not None:
                call_off(self._timer)
            self._arm()
            if self._has_outcome:
                wake, self._wake = self._wake, None
                wake()

    def _arm(self) -> None:
        """Look when the next piece comes, or the patience ends."""
        if self._done:
            self._outcome, self._has_outcome = None, True
            return
        patience = self.request.patience
        if self.delivered:
            within = STALL if patience.stall is None else patience.stall
        else:
            within = FIRST_TOKEN if patience.first_token is None else patience.first_token
        moment = min(self._deadline, self._last + within)
        if self._arrivals and self._arrivals[0][0] <= moment:
            moment = self._arrivals[0][0]
        if moment <= self._timeline.now:
            self._look()
        else:
            self._timer = self._timeline.at(moment, self._come)

    def _come(self) -> None:
        self._timer = None
        self._look()
        if self._has_outcome and self._wake is not None:
            wake, self._wake = self._wake, None
            wake()

    def _look(self) -> None:
        now = self._timeline.now
        if self._arrivals and self._arrivals[0][0] <= now:
            outcome = self._arrivals.popleft()[1]
        else:
            outcome = RequestTimeout(f"nothing came for {now - self._last:.3f} s")
        if isinstance(outcome, BackendError):
            if not self.delivered and self._retry(outcome):
                return
            if self.delivered and isinstance(outcome, TransportError):
                broken = StreamInterrupted(f"the answer broke off: {outcome}")
                broken.__cause__ = outcome
                outcome = broken
        self._last = now
        self._outcome, self._has_outcome = outcome, True

    def _retry(self, error: BackendError) -> bool:
        most = self.request.patience.retries
        if most is not None and self._retried >= most:
            return False
        wait = self._retries.policy.delay(error, self._retried)
        now = self._timeline.now
        if wait is None or now + wait >= self._deadline or not self._retries.budget.take():
            return False
        self._retried += 1
        self._last = now + wait
        self._arrivals.clear()
        self.server.drop(self)
        self._timeline.after(wait, self._send)
        # The patience begins anew with the new request.
        self._arm()
        return True


def _nobody() -> None:
    """Wake nobody."""
