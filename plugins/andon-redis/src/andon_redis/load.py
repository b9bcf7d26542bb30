"""The load of backends as many processes and machines see it together, in Redis or Valkey."""

from __future__ import annotations

import threading
import time
import uuid
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import redis

from andon.errors import PluginWarning
from andon.routing.contract import Ask
from andon.routing.load import AGING, SHARE, Load, Marks, Option, Plan, rejected
from andon.routing.memory import MemoryLoad
from andon.routing.turn import Turn
from andon_redis.address import connect
from andon_redis.clerk import REST, TIMEOUT, Clerk
from andon_redis.health import RedisHealth
from andon_redis.load_scripts import LEAVE, LOOK, MOVE, RENEW, RESIZE, TAKE

#: Seconds after which a process that gave no sign counts as dead, and its requests no more.
LEASE = 15.0


@dataclass(slots=True, eq=False)
class _Booking:
    """A request in the books; its id is None once it has left."""

    id: str | None
    option: Option
    turn: Turn | None = None
    begun: float | None = None


class RedisLoad:
    """Keeps the books of all processes that name the same server and prefix.

    Deciding and counting is one script on the server, as is everything else. A process renews the
    leases of its requests every few seconds; when it dies they run out, and whoever waits goes on.
    While the server cannot be reached each process counts for itself.

    :param url: ``redis://host:6379/0``, with ``rediss:`` for TLS; ``?prefix=`` names the keys.
    :param aging: seconds of waiting that are worth one step of priority.
    :param lease: seconds after which a process that gave no sign counts as dead.
    :param clock: the clock that requests come with.
    :raises SettingsError: it is no such URL.
    """

    waits = True

    def __init__(
        self,
        url: str,
        *,
        aging: float = AGING,
        lease: float = LEASE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._server, self._prefix, self._shown = connect(url, "routing", TIMEOUT)
        self._aging = aging
        self._lease = lease
        self._clock = clock
        self._channel = f"{self._prefix}turns:{uuid.uuid4().hex}"
        scripts = {
            "take": TAKE, "look": LOOK, "resize": RESIZE,
            "leave": LEAVE, "move": MOVE, "renew": RENEW,
        }  # fmt: skip
        self._scripts = {name: self._server.register_script(text) for name, text in scripts.items()}
        self._alone = MemoryLoad(aging)
        self._down_until = 0.0
        self._bookings: dict[str, _Booking] = {}
        self._lock = threading.Lock()
        self._clerk: Clerk | None = None
        self.health = RedisHealth(url, lease=lease, clock=clock)

    def __repr__(self) -> str:
        return f"RedisLoad({self._shown!r})"

    def take(self, plan: Plan, ask: Ask, now: float) -> Any:
        """Decide and count in one step; see :meth:`andon.routing.LoadStore.take`."""
        if self._clock() < self._down_until:
            return self._alone.take(plan, ask, now)
        groups = list(plan)
        options = [one for group in groups for one in group.options]
        booking = _Booking(uuid.uuid4().hex, options[0], Turn())
        assert booking.id is not None
        arguments: list[Any] = [
            booking.id, self._channel, self._lease, self._aging, ask.priority, ask.key, SHARE,
        ]  # fmt: skip
        for number, group in enumerate(groups):
            for option in group.options:
                arguments += _values(number, group.marks, option)
        # Noted before the server knows it: its turn may come at once.
        self._bookings[booking.id] = booking
        try:
            self._start()
            keys = [self._base(option.name) for option in options]
            number, *rest = self._scripts["take"](keys=keys, args=arguments)
        except (redis.RedisError, OSError) as error:
            del self._bookings[booking.id]
            self._go_without(error)
            return self._alone.take(groups, ask, now)
        if number == 0:
            del self._bookings[booking.id]
            over_share, seconds = rest
            raise rejected(options, [float(seconds)], over_share=bool(over_share))
        booking.option = options[number - 1]
        if rest[0] == 0:
            booking.turn, booking.begun = None, now
        return booking

    def move(self, ticket: Any, option: Option, now: float) -> None:
        """Count a request elsewhere; see :meth:`andon.routing.LoadStore.move`."""
        if not isinstance(ticket, _Booking):
            self._alone.move(ticket, option, now)
            return
        if ticket.id is not None and self._clerk is not None:
            keys = [self._base(ticket.option.name), self._base(option.name)]
            self._clerk.leave(("move", keys, [ticket.id, self._lease]))
        ticket.option, ticket.turn, ticket.begun = option, None, now

    def leave(self, ticket: Any, now: float) -> None:
        """Count a request no more; see :meth:`andon.routing.LoadStore.leave`."""
        if not isinstance(ticket, _Booking):
            self._alone.leave(ticket, now)
            return
        identifier, ticket.id = ticket.id, None
        if identifier is None:
            return
        self._bookings.pop(identifier, None)
        if self._clerk is not None:
            self._clerk.leave(("leave", [self._base(ticket.option.name)], [identifier]))

    def resize(self, name: str, slots: int) -> None:
        """Take note of a backend's slots; see :meth:`andon.routing.LoadStore.resize`."""
        self._alone.resize(name, slots)
        with suppress(redis.RedisError, OSError):
            self._scripts["resize"](keys=[self._base(name)], args=[slots])

    def load(self, name: str) -> Load:
        """Return how busy a backend is; see :meth:`andon.routing.LoadStore.load`."""
        try:
            found = self._scripts["look"](keys=[self._base(name)])
        except (redis.RedisError, OSError):
            return self._alone.load(name)
        running, waiting, overloaded, admitted, flips = found
        return Load(
            in_flight=running + waiting,
            waiting=waiting,
            overloaded=bool(overloaded),
            admitted=admitted,
            flips=flips,
        )

    def close(self) -> None:
        """Pass on what is left to pass on, and close the connections."""
        with self._lock:
            clerk, self._clerk = self._clerk, None
        if clerk is not None:
            clerk.stop()
        self.health.close()
        self._server.close()

    def _base(self, name: str) -> str:
        return f"{self._prefix}load:{name}"

    def _start(self) -> None:
        if self._clerk is None:
            with self._lock:
                if self._clerk is None:
                    self._clerk = Clerk(self, self._server, self._channel, self._lease / 3)

    def _go_without(self, error: Exception) -> None:
        self._down_until = self._clock() + REST
        warnings.warn(
            f"the load at {self._shown} cannot be shared, so this process counts for itself: "
            f"{error}",
            PluginWarning,
            stacklevel=4,
        )

    # -- For the clerk ----------------------------------------------------------------------

    def pass_on(self, items: Sequence[tuple[str, list[str], list[Any]]]) -> None:
        """Run the scripts that were left; see :class:`andon_redis.clerk.Employer`."""
        for script, keys, arguments in items:
            with suppress(redis.RedisError, OSError):
                # What is lost here ends with its lease.
                self._scripts[script](keys=keys, args=arguments)

    def look_after(self) -> None:
        """Renew the lease of every request of this process."""
        held = [(key, self._base(one.option.name)) for key, one in list(self._bookings.items())]
        if not held:
            return
        with suppress(redis.RedisError, OSError):
            arguments: list[Any] = [self._lease, *(identifier for identifier, _ in held)]
            waits = self._scripts["renew"](keys=[base for _, base in held], args=arguments)
            for (identifier, _), still in zip(held, waits, strict=True):
                if not still:
                    # Its turn came while nobody heard.
                    self.hear(identifier)

    def join_again(self) -> None:
        """Turns that came while nobody heard are found when leases are renewed."""

    def hear(self, data: str) -> None:
        """Give a request its turn.

        :param data: its id.
        """
        booking = self._bookings.get(data)
        if booking is None or booking.turn is None or booking.turn.come:
            return
        booking.begun = self._clock()
        if not booking.turn.give():
            self.leave(booking, booking.begun)


def _values(group: int, marks: Marks | None, option: Option) -> list[float]:
    """Return an option as the script reads it; what has no limit is negative."""
    if marks is None or option.endless:
        judged: list[float] = [0, -1, -1, 1]
    else:
        wait = -1 if marks.wait is None else marks.wait
        judged = [1, wait, -1 if marks.depth is None else marks.depth, marks.calm]
    most = -1 if option.most is None else option.most
    return [
        group, option.slots or 0, most, option.pace, option.weight, option.base, option.free,
        *judged,
    ]  # fmt: skip
