"""The health of endpoints: who failed lately rests, and is tried again with care.

A circuit breaker for each endpoint, without a clock of its own. It is *closed* while all is well,
*open* after failures, and *half-open* when its rest is over: then one request at a time may try,
and closes it with a success.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar

from andon.errors import (
    AndonError,
    AuthenticationError,
    BackendError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    RequestTimeout,
    ServerError,
    StreamInterrupted,
    TransportError,
)

#: What speaks against an endpoint; other errors are about one request.
_SYMPTOMS = (
    AuthenticationError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    RequestTimeout,
    ServerError,
    StreamInterrupted,
    TransportError,
)


class HealthState(StrEnum):
    """What is known of an endpoint."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthConfig:
    """When an endpoint rests, and for how long. Times are in seconds.

    :param failures: failures within memory that open the breaker.
    :param share: share of failures among the outcomes within memory that opens it.
    :param half_life: time after which an outcome counts half.
    :param rest: the first rest; each further one without a success between is twice as long.
    :param longest_rest: no rest is longer, unless the endpoint asks for it.
    :param longest_wait: no rest is longer, whatever the endpoint asks for.
    :param slow_first_token: an answer whose first token takes longer counts as a failure; None
        never.
    """

    failures: float = 2.5
    share: float = 0.5
    half_life: float = 30.0
    rest: float = 1.0
    longest_rest: float = 5.0
    longest_wait: float = 60.0
    slow_first_token: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthChange:
    """What an outcome changed about an endpoint, for boards that are kept alike.

    :param good: how many answers came.
    :param bad: how many failures.
    :param rest: seconds for which it rests from now on, or 0.0 where it is well again; None where
        neither is new.
    :param rests: how many rests it has had without a success between.
    :param probed: whether a probe of it has ended.
    """

    good: int = 0
    bad: int = 0
    rest: float | None = None
    rests: int = 0
    probed: bool = False


#: A request that does not say which one it is.
ANYBODY = object()

#: The shortest rest that can be told, in seconds.
_MOMENT = 0.001

#: Failures that have faded to this are forgotten, and with them the breaker.
_FADED = 0.05


@dataclass(slots=True)
class _Breaker:
    good: float = 0.0
    bad: float = 0.0
    seen: float = 0.0
    open_until: float | None = None
    rests: int = 0
    #: Who probes it.
    probing: object = None


@dataclass(slots=True)
class HealthBoard:
    """The breakers of a client's endpoints. Every ``now`` is in seconds and never goes back.

    Several boards can be kept alike: each says in :meth:`changed` what became of an endpoint, and
    is told in :meth:`adopt` what the others said.

    :param config: when an endpoint rests.
    """

    #: Whether :meth:`admit` may have to ask a server who probes, so that an event loop asks in a
    #: thread. Nothing else may ever wait.
    waits: ClassVar[bool] = False

    config: HealthConfig = HealthConfig()
    _breakers: dict[str, _Breaker] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def state(self, endpoint: str, now: float) -> HealthState:
        """Return what is known of an endpoint.

        :param endpoint: its name.
        :param now: the time.
        """
        breaker = self._breakers.get(endpoint)
        if breaker is None or breaker.open_until is None:
            return HealthState.CLOSED
        return HealthState.OPEN if now < breaker.open_until else HealthState.HALF_OPEN

    def admit(self, endpoint: str, now: float, asker: object = ANYBODY) -> bool:
        """Return whether an endpoint may be asked; one that is tried again has one request.

        After True, exactly one of :meth:`succeeded`, :meth:`failed` and :meth:`released` must
        follow.

        :param endpoint: its name.
        :param now: the time.
        :param asker: the request: what others report, which were asked before or nevertheless,
            does not end its probe.
        """
        breaker = self._breakers.get(endpoint)
        if breaker is None or breaker.open_until is None:
            return True
        with self._lock:
            if now < (breaker.open_until or 0.0) or breaker.probing is not None:
                return False
            breaker.probing = asker
            return True

    def rest_left(self, endpoint: str, now: float) -> float:
        """Return for how many seconds an endpoint still rests.

        :param endpoint: its name.
        :param now: the time.
        """
        breaker = self._breakers.get(endpoint)
        until = None if breaker is None else breaker.open_until
        return 0.0 if until is None else max(0.0, until - now)

    def succeeded(
        self,
        endpoint: str,
        now: float,
        first_token: float | None = None,
        asker: object = ANYBODY,
    ) -> None:
        """Note an answer.

        :param endpoint: who gave it.
        :param now: the time.
        :param first_token: seconds until its first token, where known.
        :param asker: the request.
        """
        slow = self.config.slow_first_token
        if slow is not None and first_token is not None and first_token > slow:
            self._note_failure(endpoint, now, None, asker)
            return
        breaker = self._breakers.get(endpoint)
        if breaker is None:
            # Most endpoints never fail, and cost no lock.
            return
        with self._lock:
            well, probed = breaker.open_until is not None, breaker.probing is not None
            self._heal(endpoint, breaker, now, 1, well=well)
            self.changed(endpoint, HealthChange(good=1, rest=0.0 if well else None, probed=probed))

    def failed(self, endpoint: str, now: float, error: AndonError, asker: object = ANYBODY) -> None:
        """Note a failure; an error that is about the request alone speaks for the endpoint.

        :param endpoint: who failed.
        :param now: the time.
        :param error: how.
        :param asker: the request.
        """
        if isinstance(error, _SYMPTOMS):
            self._note_failure(endpoint, now, error.retry_after, asker)
        elif isinstance(error, BackendError):
            self.succeeded(endpoint, now)
        else:
            self.released(endpoint, asker)

    def released(self, endpoint: str, asker: object = ANYBODY) -> None:
        """Note that a request ended without telling anything.

        :param endpoint: who was asked.
        :param asker: the request.
        """
        breaker = self._breakers.get(endpoint)
        if breaker is None:
            return
        with self._lock:
            if breaker.probing is asker:
                breaker.probing = None
                self.changed(endpoint, HealthChange(probed=True))

    def resting(self, now: float) -> Mapping[str, float]:
        """Return the endpoints that are not asked as usual, and for how many seconds they rest.

        One that is to be tried again with the next request rests 0.0 seconds.

        :param now: the time.
        """
        open_ = [name for name, one in list(self._breakers.items()) if one.open_until is not None]
        return {name: self.rest_left(name, now) for name in open_}

    # -- Several boards that are kept alike -----------------------------------------------------

    def changed(self, endpoint: str, change: HealthChange) -> None:
        """Do something about a change; here nothing.

        It is called with a lock held, and must not wait.

        :param endpoint: whose health changed.
        :param change: how.
        """

    def adopt(self, endpoint: str, now: float, change: HealthChange) -> None:
        """Take over what changed on another board.

        :param endpoint: whose health changed.
        :param now: the time.
        :param change: how.
        """
        with self._lock:
            breaker = self._breakers.get(endpoint)
            if breaker is None:
                if not (change.bad or change.rest):
                    return
                breaker = self._breakers.setdefault(endpoint, _Breaker(seen=now))
            self._fade(breaker, now)
            breaker.bad += change.bad
            if change.rest:
                breaker.good += change.good
                breaker.open_until, breaker.rests = now + change.rest, change.rests
                breaker.probing = None
            else:
                self._heal(endpoint, breaker, now, change.good, well=change.rest == 0.0)

    def summary(self, now: float) -> Mapping[str, HealthChange]:
        """Return what another board has to adopt, to know of each endpoint what this one knows.

        :param now: the time.
        """
        with self._lock:
            return {name: self._known(one, now) for name, one in self._breakers.items()}

    def _known(self, breaker: _Breaker, now: float) -> HealthChange:
        self._fade(breaker, now)
        rest = None if breaker.open_until is None else max(0.0, breaker.open_until - now)
        # A rest that is over is told as one of a moment: nobody has found it well yet.
        rest = _MOMENT if rest == 0.0 else rest
        good, bad = round(breaker.good), round(breaker.bad)
        return HealthChange(good=good, bad=bad, rest=rest, rests=breaker.rests)

    def _note_failure(
        self, endpoint: str, now: float, retry_after: float | None, asker: object
    ) -> None:
        with self._lock:
            breaker = self._breakers.setdefault(endpoint, _Breaker(seen=now))
            self._fade(breaker, now)
            breaker.bad += 1
            many = breaker.bad >= self.config.failures
            most = breaker.bad >= self.config.share * (breaker.bad + breaker.good)
            if breaker.open_until is None:
                opens = (many and most) or retry_after is not None
            else:
                # Requests that were on their way when it opened make no rest longer.
                opens = breaker.probing is asker
            change = self._open(breaker, now, retry_after) if opens else HealthChange(bad=1)
            self.changed(endpoint, change)

    def _open(self, breaker: _Breaker, now: float, retry_after: float | None) -> HealthChange:
        config, probed = self.config, breaker.probing is not None
        rest = min(config.rest * 2.0 ** min(breaker.rests, 32), config.longest_rest)
        if retry_after is not None:
            rest = max(rest, min(retry_after, config.longest_wait))
        breaker.rests += 1
        breaker.open_until, breaker.probing = now + rest, None
        return HealthChange(bad=1, rest=rest, rests=breaker.rests, probed=probed)

    def _heal(self, endpoint: str, breaker: _Breaker, now: float, good: int, *, well: bool) -> None:
        """Note answers, of which one may have ended a rest."""
        if well:
            breaker.good = breaker.bad = 0.0
            breaker.open_until, breaker.rests, breaker.probing = None, 0, None
        self._fade(breaker, now)
        breaker.good += good
        if breaker.open_until is None and breaker.bad < _FADED:
            self._breakers.pop(endpoint, None)

    def _fade(self, breaker: _Breaker, now: float) -> None:
        kept = 0.5 ** (max(0.0, now - breaker.seen) / self.config.half_life)
        breaker.good *= kept
        breaker.bad *= kept
        breaker.seen = now
