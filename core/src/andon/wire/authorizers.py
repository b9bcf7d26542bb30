"""Ways to sign in that several endpoints share; see :class:`andon.wire.endpoint.Authorizer`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from andon.errors import BackendError, ConfigurationError
from andon.wire.endpoint import Authorizer

T = TypeVar("T")

#: Seconds after which a failed replacement is tried again while the old credentials still hold.
PAUSE = 10.0


class FixedHeaders(Authorizer):
    """Signs every call with the same headers.

    :param headers: the headers, names in lower case; empty where the user signs with their own.
    """

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = dict(headers)

    def refresh_due(self) -> bool:
        """Return False: a key needs nothing."""
        return False

    def refresh(self) -> None:
        """Do nothing."""

    def sign(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> dict[str, str]:
        """Return the headers."""
        return dict(self._headers)

    def secrets(self) -> tuple[str, ...]:
        """Return what must not appear in a message."""
        return tuple(value.removeprefix("Bearer ") for value in self._headers.values())


class RenewedAuthorizer(Authorizer, Generic[T]):
    """Signs calls with credentials that expire, and replaces them before they do.

    A subclass says how to fetch them, when they expire, and how to sign with them.

    :param margin: seconds before their end at which they are replaced.
    :param clock: gives seconds.
    """

    def __init__(self, margin: float, clock: Callable[[], float] = time.time) -> None:
        self._margin = margin
        self._clock = clock
        self._held: T | None = None
        self._due = self._end = float("-inf")
        self._lock = threading.Lock()

    def fetch(self) -> tuple[T, float | None]:
        """Fetch credentials; return them, and when they end by the clock, or None for never."""
        raise NotImplementedError

    def refresh_due(self) -> bool:
        """Return whether the credentials are missing or expire soon."""
        return self._clock() >= self._due

    def refresh(self) -> None:
        """Fetch credentials; one thread does, the others wait for it.

        :raises ConfigurationError: there are none.
        :raises BackendError: they could not be had, and those before have expired.
        """
        with self._lock:
            if not self.refresh_due():
                return
            try:
                held, end = self.fetch()
            except (BackendError, ConfigurationError):
                if self._held is None or self._clock() >= self._end:
                    raise
                self._due = min(self._clock() + PAUSE, self._end)
                return
            self._held, self._end = held, float("inf") if end is None else end
            # What lives shorter than the margin is used up to its half.
            life = self._end - self._clock()
            self._due = self._end - min(self._margin, life / 2)

    @property
    def held(self) -> T:
        """The credentials of the moment, once :meth:`refresh` has brought some."""
        assert self._held is not None
        return self._held
