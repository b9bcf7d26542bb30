"""A broken connection to a server that keeps the stream: how long to try for another one. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from andon.chat import Reconnected
from andon.errors import BackendError, RequestTimeout, StreamInterrupted, TransportError
from andon.wire.dialect import HTTPCall
from andon.wire.retry import RetryPolicy
from andon.wire.waits import Timeouts

#: What becomes of a connection, whatever becomes of the answer.
_BROKEN = (TransportError, RequestTimeout, StreamInterrupted)

#: No timeout is shorter, in seconds.
_LEAST = 0.001


@dataclass(slots=True)
class Outage:
    """The time between a break and the stream's next piece.

    :param error: what broke the connection.
    :param asked: the call whose stream it was.
    :param place: the address from which the stream goes on.
    :param began: when it broke, in seconds of a clock that never goes back.
    :param within: seconds that the next piece may take, or None for ever.
    """

    error: BackendError
    asked: HTTPCall
    place: str
    began: float
    within: float | None
    _tries: int = 0

    def delay(
        self, error: BackendError, policy: RetryPolicy, most: int, now: float
    ) -> float | None:
        """Return the seconds to wait before the next connection, or None to give up.

        The first one is tried at once.

        :param error: what became of the last connection.
        :param policy: says how long to wait.
        :param most: how many may be tried after the first.
        :param now: the time.
        """
        wait: float | None = 0.0
        if self._tries:
            wait = None if self._tries > most else policy.delay(error, self._tries - 1)
        late = self.within is not None and now + (wait or 0.0) >= self.began + self.within
        return None if late else wait

    def note_try(self) -> None:
        """Note that a connection is tried."""
        self._tries += 1

    def shortened(self, timeouts: Timeouts, now: float) -> Timeouts:
        """Return how long the next connection may take.

        :param timeouts: how long any may take.
        :param now: the time.
        """
        if self.within is None:
            return replace(timeouts, first_byte=None)
        left = max(_LEAST, self.began + self.within - now)
        connect = left if timeouts.connect is None else min(left, timeouts.connect)
        return replace(timeouts, connect=connect, first_byte=left)

    def over(self, now: float) -> Reconnected:
        """Return what to tell now that the next piece is there."""
        return Reconnected(
            reason=str(self.error), seconds=max(0.0, now - self.began), tries=self._tries
        )

    def lost(self, error: BackendError) -> BackendError:
        """Return what broke the connection, with the reason why there is no other.

        :param error: what became of the last connection.
        """
        if error is not self.error:
            first, *rest = self.error.args
            self.error.args = (f"{first}; its server does not go on with it: {error}", *rest)
        return self.error


def is_break(error: BackendError) -> bool:
    """Return whether an error is one of the connection, and none of the server's."""
    return isinstance(error, _BROKEN) and error.status is None
