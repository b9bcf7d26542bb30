"""How long a backend takes for a request, learned from those that it answered."""

from __future__ import annotations

#: How much larger or smaller than usual a request may count.
MOST_WEIGHT = 16.0


class ServiceTime:
    """A decayed mean of service times, by size.

    What was seen counts half after ``half_life`` seconds, however many requests came since. While
    the backend is idle the estimate goes the same way back to the prior. Sizes are tokens: the mean
    is one of seconds over one of tokens, so that large requests count by their size.

    :param prior: seconds for a request, before anything is known.
    :param half_life: seconds.
    """

    __slots__ = ("_at", "_busy", "_half_life", "_idle_since", "_mass", "_mean", "_prior", "_tokens")

    def __init__(self, prior: float, half_life: float) -> None:
        self._prior = prior
        self._half_life = half_life
        self._mean = prior
        self._tokens = 0.0
        # The prior counts as one request.
        self._mass = 1.0
        self._at = 0.0
        self._busy = 0
        self._idle_since: float | None = None

    def begin(self, now: float) -> None:
        """Take note of a request that begins."""
        if self._idle_since is not None and now > self._idle_since:
            kept = self._kept(now - self._idle_since)
            self._mean = self.seconds(now)
            # By as much as the past is forgotten, the next request counts.
            if kept < 1.0:
                self._mass = max(1.0, min(self._mass * kept, kept / (1.0 - kept)))
            self._at = now
        self._idle_since = None
        self._busy += 1

    def end(self, now: float, seconds: float | None, tokens: int) -> None:
        """Take note of a request that ends.

        :param now: when.
        :param seconds: how long it took, or None where that says nothing.
        :param tokens: its size as it was announced; 0 where unknown.
        """
        self._busy = max(0, self._busy - 1)
        if self._busy == 0:
            self._idle_since = now
        if seconds is None:
            return
        self._mass = self._mass * self._kept(max(0.0, now - self._at)) + 1.0
        self._at = max(self._at, now)
        self._mean += (seconds - self._mean) / self._mass
        if tokens > 0:
            known = self._tokens or tokens
            self._tokens = known + (tokens - known) / self._mass

    def seconds(self, now: float) -> float:
        """Return the seconds that a typical request is expected to take."""
        if self._idle_since is None or now <= self._idle_since:
            return self._mean
        return self._prior + (self._mean - self._prior) * self._kept(now - self._idle_since)

    def weigh(self, tokens: int) -> float:
        """Return the size of a request, in typical requests."""
        if tokens <= 0 or self._tokens <= 0:
            return 1.0
        return min(MOST_WEIGHT, max(1 / MOST_WEIGHT, tokens / self._tokens))

    def _kept(self, seconds: float) -> float:
        return float(2.0 ** (-seconds / self._half_life))
