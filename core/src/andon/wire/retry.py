"""When to ask again, and after how long: full-jitter backoff within a budget. Pure."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC

from andon.errors import BackendError
from andon.failover.reactions import Reaction, react


def parse_retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds that a reply asks to wait, or None where it does not say.

    :param headers: the reply's headers, names in lower case.
    :param now: seconds since 1970, for the form that names a date.
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after")
    if value is None:
        return None
    seconds = _number(value)
    return _seconds_until(value, now) if seconds is None else seconds


def _number(value: str | None) -> float | None:
    try:
        number = float(value or "")
    except ValueError:
        return None
    # Neither NaN nor infinity nor a negative number is a time to wait.
    return number if 0 <= number < float("inf") else None


def _seconds_until(date: str, now: float) -> float | None:
    from email.utils import parsedate_to_datetime  # seldom needed, and slow to import

    try:
        moment = parsedate_to_datetime(date)
    except (ValueError, TypeError, IndexError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, moment.timestamp() - now)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often and how patiently to ask again.

    :param max_retries: most attempts after the first.
    :param base: the first wait is somewhere between 0 and this many seconds; it doubles.
    :param cap: no wait of our own is longer, in seconds.
    :param longest_wait: a backend that asks for more seconds than this is not waited for.
    :param chance: gives a number from 0 up to 1.
    """

    max_retries: int = 2
    base: float = 0.5
    cap: float = 8.0
    longest_wait: float = 60.0
    chance: Callable[[], float] = random.random

    def delay(self, error: BackendError, retries: int) -> float | None:
        """Return the seconds to wait before the next attempt, or None to give up.

        :param error: why the last attempt failed.
        :param retries: how many attempts after the first there were already.
        """
        if retries >= self.max_retries or react(error) is not Reaction.AGAIN:
            return None
        # The whole range and not the top of it: clients that failed together come back apart.
        wait = self.chance() * min(self.cap, self.base * 2.0 ** min(retries, 32))
        if error.retry_after is None:
            return wait
        return None if error.retry_after > self.longest_wait else max(wait, error.retry_after)


@dataclass(slots=True)
class RetryBudget:
    """Keeps retries to a share of the requests, so that they cannot bury a backend in trouble.

    :param share: retries that each request earns.
    :param per_second: retries that are earned by waiting, for clients with few requests.
    :param capacity: most retries that can be saved up.
    :param clock: gives seconds, never going back.
    """

    share: float = 0.2
    per_second: float = 0.5
    capacity: float = 20.0
    clock: Callable[[], float] = time.monotonic
    _saved: float = field(init=False)
    _time: float = field(init=False)
    _lock: threading.Lock = field(init=False, repr=False, default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._saved = self.capacity
        self._time = self.clock()

    def note_request(self) -> None:
        """Note a first attempt, which earns its share."""
        with self._lock:
            self._saved = min(self.capacity, self._saved + self.share)

    def take(self) -> bool:
        """Take one retry; return whether there was one."""
        with self._lock:
            now = self.clock()
            earned = (now - self._time) * self.per_second
            self._time = now
            self._saved = min(self.capacity, self._saved + earned)
            if self._saved < 1:
                return False
            self._saved -= 1
            return True
