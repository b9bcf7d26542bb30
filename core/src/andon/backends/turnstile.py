"""A fair lock: whoever comes first goes first, whatever thread or task it is."""

from __future__ import annotations

import threading
from collections import deque


class Ticket:
    """A place in the queue of a :class:`Turnstile`; made by :meth:`Turnstile.join`."""

    __slots__ = ("_turnstile", "gate", "thread")

    def __init__(self, turnstile: Turnstile) -> None:
        self._turnstile = turnstile
        #: Opened by the turnstile when the turn has come, or the place is lost.
        # A bare lock, opened once: the garbage collector may have it opened by the very thread
        # that is about to wait at it, which the classes written in Python do not survive.
        self.gate = threading.Lock()
        self.gate.acquire()
        #: The thread that last worked under this ticket.
        self.thread: int | None = None

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for one's turn; called once.

        :param timeout: most seconds to wait, or None for ever.
        :return: whether the turn has come; False when the time is over or the place was given up.
        """
        self.gate.acquire(timeout=-1 if timeout is None else max(timeout, 0.0))
        return self._turnstile.holder is self

    def withdraw(self) -> None:
        """Give up the place in the queue; without effect once the turn has come."""
        self._turnstile.remove(self, if_holding=False)

    def leave(self) -> None:
        """Give up the place or end the turn, whichever it is; may be called twice."""
        self._turnstile.remove(self, if_holding=True)


class Turnstile:
    """Lets one ticket in at a time, in the order of joining.

    Unlike :class:`threading.Lock`, any thread may join for, wait under or leave with a ticket:
    generators are finalized, and tasks cancelled, in threads of others' choice.
    """

    __slots__ = ("_mutex", "_queue", "holder")

    def __init__(self) -> None:
        self._queue: deque[Ticket] = deque()
        # Reentrant, as the garbage collector may finalize an answer, which then leaves, in the
        # very thread that is inside this class. The order of statements below allows for it.
        self._mutex = threading.RLock()
        #: The ticket whose turn it is.
        self.holder: Ticket | None = None

    def join(self) -> Ticket:
        """Take a place at the end of the queue; never blocks."""
        ticket = Ticket(self)
        self._queue.append(ticket)
        self._advance()
        return ticket

    def held_by(self, thread: int) -> bool:
        """Return whether the turn is that of a ticket under which ``thread`` worked last."""
        holder = self.holder
        return holder is not None and holder.thread == thread

    def clear(self) -> None:
        """Send everybody away who waits; who has the turn keeps it."""
        for ticket in list(self._queue):
            ticket.withdraw()

    def remove(self, ticket: Ticket, *, if_holding: bool) -> None:
        """Take a ticket out of the queue and, with ``if_holding``, out of its turn."""
        with self._mutex:
            if self.holder is ticket:
                if if_holding:
                    self.holder = None
            elif ticket in self._queue:
                self._queue.remove(ticket)
                ticket.gate.release()
            self._advance()

    def _advance(self) -> None:
        with self._mutex:
            if self.holder is None and self._queue:
                self.holder = self._queue.popleft()
                self.holder.gate.release()
