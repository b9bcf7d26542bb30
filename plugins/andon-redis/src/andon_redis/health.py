"""The health of endpoints as many processes and machines see it together, in Redis or Valkey.

Every process has breakers of its own, with the rules of :class:`andon.health.HealthBoard`, and
tells the others what changed: so an endpoint that is well costs no question, and one that rests for
one rests for all as soon as they are told, within milliseconds. Only who may probe it is asked of
the server, which grants that to one request of all processes at a time.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from math import ceil
from typing import ClassVar

import redis

from andon.health import ANYBODY, HealthBoard, HealthChange, HealthConfig, HealthState
from andon_redis.address import connect
from andon_redis.clerk import REST, TIMEOUT, Clerk
from andon_redis.health_scripts import CLAIM, KEEP, RECALL, TELL

#: Seconds from one look after things to the next, at most: that often answers are told of, which
#: matter only where others fail.
_EVERY = 0.5


class RedisHealth(HealthBoard):
    """Breakers that are alike in all processes that name the same server and prefix.

    While the server cannot be reached each process has its own. A process that dies while it probes
    lets another one do so when its lease has run out.

    :param url: ``redis://host:6379/0``, as for :class:`andon_redis.load.RedisLoad`.
    :param config: when an endpoint rests.
    :param lease: seconds after which a probe counts as dead of which its process gave no sign.
    :param clock: the clock that times come with.
    :raises SettingsError: it is no such URL.
    """

    waits: ClassVar[bool] = True

    def __init__(
        self,
        url: str,
        *,
        config: HealthConfig = HealthConfig(),  # noqa: B008  it is frozen
        lease: float = 15.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(config)
        self._server, self._prefix, self._shown = connect(url, "health", TIMEOUT)
        self._lease = lease
        self._clock = clock
        self._me = uuid.uuid4().hex
        scripts = {"tell": TELL, "claim": CLAIM, "keep": KEEP, "recall": RECALL}
        self._scripts = {name: self._server.register_script(text) for name, text in scripts.items()}
        self._down_until = 0.0
        #: Answers of endpoints that failed lately, which nobody was told of yet.
        self._answers: Counter[str] = Counter()
        #: How many changes of each endpoint the server was not told of yet.
        self._untold: Counter[str] = Counter()
        #: The probes of this process, by endpoint: the token of each.
        self._probes: dict[str, str] = {}
        self._joining = threading.Lock()
        self._clerk: Clerk | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"RedisHealth({self._shown!r})"

    # -- For the corridor -------------------------------------------------------------------

    def state(self, endpoint: str, now: float) -> HealthState:
        """Return what is known of an endpoint; see :meth:`andon.health.HealthBoard.state`."""
        if self._clerk is None and now >= self._down_until:
            self._join_soon()
        return super().state(endpoint, now)

    def admit(self, endpoint: str, now: float, asker: object = ANYBODY) -> bool:
        """Return whether an endpoint may be asked; see :meth:`andon.health.HealthBoard.admit`.

        Where it is tried again, the server is asked whether another process does so already.
        """
        again = self.state(endpoint, now) is HealthState.HALF_OPEN
        if not super().admit(endpoint, now, asker):
            return False
        if not again or self._claim(endpoint, now):
            return True
        self.released(endpoint, asker)
        return False

    def resting(self, now: float) -> Mapping[str, float]:
        """Return who rests, as the server knows it; see :class:`andon.health.HealthBoard`."""
        self._recall()
        return super().resting(now)

    def close(self) -> None:
        """Tell what is left to tell, and close the connections."""
        with self._joining:
            self._closed = True
            clerk, self._clerk = self._clerk, None
        if clerk is not None:
            clerk.stop()
        self._server.close()

    def changed(self, endpoint: str, change: HealthChange) -> None:
        """Have the others told of a change; see :meth:`andon.health.HealthBoard.changed`."""
        if change == HealthChange(good=1):
            self._answers[endpoint] += 1
            return
        token = self._probes.pop(endpoint, "") if change.probed else ""
        if token or change != HealthChange(probed=True):
            self._leave(endpoint, change, token)

    def _leave(self, endpoint: str, change: HealthChange, token: str = "") -> None:
        """Leave a change with the clerk, who tells it; before there is one, it is told later.

        Called with the lock held.
        """
        if self._clerk is not None:
            self._untold[endpoint] += 1
            self._clerk.leave((endpoint, change, token))

    def _claim(self, endpoint: str, now: float) -> bool:
        """Return whether this process may probe an endpoint."""
        if self._clerk is None or now < self._down_until:
            return True
        token = f"{self._me}:{uuid.uuid4().hex}"
        try:
            claimed, left, rests = self._scripts["claim"](
                keys=self._keys(endpoint), args=[endpoint, token, int(self._lease * 1000)]
            )
        except (redis.RedisError, OSError):
            self._down_until = self._clock() + REST
            return True
        if claimed:
            self._probes[endpoint] = token
        elif left:
            self.adopt(endpoint, now, HealthChange(rest=left / 1000, rests=rests))
        return bool(claimed)

    def _keys(self, endpoint: str) -> list[str]:
        return [f"{self._prefix}health", f"{self._prefix}probe:{endpoint}"]

    @property
    def _channel(self) -> str:
        return f"{self._prefix}health"

    # -- Joining the others -----------------------------------------------------------------

    def _join_soon(self) -> None:
        """Join them in a thread: a request must not wait for it."""
        if self._closed or not self._joining.acquire(blocking=False):
            return
        threading.Thread(target=self._join, name="andon-redis join", daemon=True).start()

    def _join(self) -> None:
        try:
            if self._clerk is None and not self._closed:
                self._clerk = Clerk(self, self._server, self._channel, min(_EVERY, self._lease / 3))
        except (redis.RedisError, OSError):
            # Whoever keeps the counts at the same server says so.
            self._down_until = self._clock() + REST
        finally:
            self._joining.release()
        if self._clerk is not None:
            known = self.summary(self._clock())
            with self._lock:
                # They are in the summary.
                self._answers.clear()
            self._tell_all(known)

    # -- For the clerk ----------------------------------------------------------------------

    def pass_on(self, items: Sequence[tuple[str, HealthChange, str]]) -> None:
        """Tell the others; see :class:`andon_redis.clerk.Employer`."""
        for endpoint, change, token in items:
            self._tell(endpoint, change, token)
            with self._lock:
                self._untold[endpoint] -= 1
                if not self._untold[endpoint]:
                    del self._untold[endpoint]

    def _tell(self, endpoint: str, change: HealthChange, token: str = "") -> None:
        told = {
            "by": self._me,
            "endpoint": endpoint,
            "good": change.good + self._answers.pop(endpoint, 0),
            "bad": change.bad,
            "rest": change.rest,
            "rests": change.rests,
        }
        rest = -1 if change.rest is None else ceil(change.rest * 1000)
        with suppress(redis.RedisError, OSError):
            # Others find out by themselves, or when they join again.
            self._scripts["tell"](
                keys=self._keys(endpoint),
                args=[endpoint, rest, change.rests, token, self._channel, json.dumps(told)],
            )

    def look_after(self) -> None:
        """Tell of answers, and keep the probes of this process."""
        for endpoint in list(self._answers):
            self._tell(endpoint, HealthChange())
        probes = dict(self._probes)
        if probes:
            with suppress(redis.RedisError, OSError):
                keys = [self._keys(endpoint)[1] for endpoint in probes]
                self._scripts["keep"](keys=keys, args=[int(self._lease * 1000), *probes.values()])

    def hear(self, data: str) -> None:
        """Take over what another process told."""
        told = json.loads(data)
        endpoint, rest, rests = told["endpoint"], told["rest"], told["rests"]
        if told["by"] != self._me:
            change = HealthChange(good=told["good"], bad=told["bad"], rest=rest, rests=rests)
            self.adopt(endpoint, self._clock(), change)
        elif rest is not None:
            # Again, in the server's order: if another one said something else meanwhile, whoever
            # was the last is right for all.
            self.adopt(endpoint, self._clock(), HealthChange(rest=rest, rests=rests))

    def join_again(self) -> None:
        """Tell who rests here, and take over who rests elsewhere.

        Outcomes are not told again: those of before the break are in everybody's counts.
        """
        known = self.summary(self._clock())
        rests = {
            endpoint: HealthChange(rest=change.rest, rests=change.rests)
            for endpoint, change in known.items()
            if change.rest is not None
        }
        self._tell_all(rests)

    def _tell_all(self, known: Mapping[str, HealthChange]) -> None:
        """Have the others told of all of this, and take over who rests elsewhere."""
        with self._lock:
            for endpoint, change in known.items():
                self._leave(endpoint, change)
        self._recall()

    def _recall(self) -> None:
        """Take over who rests now, as the server knows it."""
        with self._lock:
            untold = set(self._untold)
        try:
            time_there, entries = self._scripts["recall"](keys=[f"{self._prefix}health"])
        except (redis.RedisError, OSError):
            return
        for endpoint, entry in zip(entries[::2], entries[1::2], strict=True):
            if endpoint in untold or endpoint in self._untold:
                # It knows better than the server.
                continue
            until, rests = map(int, entry.split())
            # One whose rest is over is to be probed, and not well.
            left = max(until - time_there, 1) / 1000
            self.adopt(endpoint, self._clock(), HealthChange(rest=left, rests=rests))
