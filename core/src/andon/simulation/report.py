"""What became of a simulated load, in figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from andon.budget import Ledger
from andon.errors import AndonError, Rejected, UnknownPriceError
from andon.pricing import to_usd
from andon.selection import ModelRef
from andon.simulation.visit import Visit

if TYPE_CHECKING:
    from andon.trip import House


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadReport:
    """What became of a load. Times are in seconds.

    :param rate: requests a second that came.
    :param requests: how many came.
    :param answered: how many were answered, by who answered, as ``backend:model``.
    :param first: the model that was preferred.
    :param rejected: how many were rejected, since every queue was full.
    :param failed: how many failed otherwise, by the name of the error.
    :param continued: how many answers broke off, and were gone on with by another attempt.
    :param waits: how long each that was answered waited for its first token, the shortest first.
    :param durations: how long each took to its end, the shortest first.
    :param cost_usd: what all of it cost, in US dollars.
    :param unpriced: models whose price nobody knows.
    """

    rate: float
    requests: int
    answered: Mapping[str, int]
    first: str
    rejected: int
    failed: Mapping[str, int]
    continued: int
    waits: Sequence[float]
    durations: Sequence[float]
    cost_usd: Decimal
    unpriced: Sequence[str]

    @property
    def spilled(self) -> float:
        """Share of the answers that others than the preferred model gave."""
        total = sum(self.answered.values())
        return 0.0 if not total else 1 - self.answered.get(self.first, 0) / total

    def wait(self, percent: float) -> float | None:
        """Return the wait for the first token that so many percent did not exceed.

        :param percent: from 0 to 100.
        """
        return quantile(self.waits, percent)

    def duration(self, percent: float) -> float | None:
        """Return the time to the end that so many percent did not exceed; see :meth:`wait`."""
        return quantile(self.durations, percent)


def quantile(ordered: Sequence[float], percent: float) -> float | None:
    """Return the number that so many percent of some do not exceed; None where there are none.

    :param ordered: the numbers, the smallest first.
    :param percent: from 0 to 100.
    """
    if not ordered:
        return None
    place = int(len(ordered) * percent / 100)
    return ordered[min(place, len(ordered) - 1)]


def report(
    rate: float,
    visits: Sequence[Visit],
    refs: Sequence[ModelRef],
    ledger: Ledger,
    now: Callable[[], datetime],
    house: House,
) -> LoadReport:
    """Sum up what became of a load.

    :param rate: requests a second.
    :param visits: the requests.
    :param refs: the models that were asked, in order of preference.
    :param ledger: where spending was kept.
    :param now: the world's time.
    :param house: knows the prices.
    """
    answered: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    waits, durations, continued = [], [], 0
    for visit in visits:
        response, error = visit.response, visit.outcome
        if response is None:
            failed[type(error).__name__] += 1
            continue
        assert visit.ended_at is not None
        answered[f"{response.backend}:{response.model}"] += 1
        waits.append((visit.ended_at if visit.first_at is None else visit.first_at) - visit.at)
        durations.append(visit.ended_at - visit.at)
        continued += any(delta.failover for delta in visit.received)
    rows = ledger.spending("all", "", now().timestamp())
    return LoadReport(
        rate=rate,
        requests=len(visits),
        answered=answered,
        first=str(refs[0]),
        rejected=failed.pop(Rejected.__name__, 0),
        failed=failed,
        continued=continued,
        waits=sorted(waits),
        durations=sorted(durations),
        cost_usd=to_usd(sum(row.settled + row.held for row in rows)),
        unpriced=[str(ref) for ref in refs if not _has_price(ref, house)],
    )


def _has_price(ref: ModelRef, house: House) -> bool:
    try:
        spec = house.find_backend(ref.backend)
        price = house.prices.find(spec.family, ref.model, spec.locality)
    except UnknownPriceError:
        return False
    except AndonError:
        return True
    return price is not None
