"""Asks backends whether they can serve, all at the same time."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from andon.errors import AndonError, ConfigurationError, PrivacyViolation

if TYPE_CHECKING:
    from andon.client import Client


class Health(StrEnum):
    """What a backend says of itself."""

    UP = "up"
    DOWN = "down"
    NOT_SET_UP = "not set up"
    NOT_ALLOWED = "not allowed"


@dataclass(frozen=True, slots=True)
class Report:
    """What came of asking a backend.

    :param backend: its name.
    :param health: what it says.
    :param milliseconds: how long the answer took, or None where there was none.
    :param detail: why it cannot serve.
    """

    backend: str
    health: Health
    milliseconds: float | None = None
    detail: str = ""


def ask_all(client: Client, names: Iterable[str]) -> Sequence[Report]:
    """Ask backends whether they can serve.

    :param client: asks them, within its privacy tier.
    :param names: whom.
    """
    names = list(names)
    with ThreadPoolExecutor(max_workers=max(1, len(names))) as pool:
        reports = list(pool.map(lambda name: _ask(client, name), names))
    resting = client.resting()
    return [
        replace(report, detail=report.detail or _rest_of(report, resting)) for report in reports
    ]


def _rest_of(report: Report, resting: Mapping[str, float]) -> str:
    """Return which models other processes that share their health let rest."""
    own = {name: left for name, left in resting.items() if name.startswith(f"{report.backend}:")}
    if not own:
        return ""
    rests = ", ".join(f"{name.partition(':')[2]} ({left:.0f} s)" for name, left in own.items())
    return f"rests after failures: {rests}"


def _ask(client: Client, name: str) -> Report:
    try:
        # The first time imports and connects as well; the second one shows what a request sees.
        client.check_health(name)
        begun = time.perf_counter()
        client.check_health(name)
    except PrivacyViolation as error:
        return Report(name, Health.NOT_ALLOWED, None, str(error))
    except ConfigurationError as error:
        return Report(name, Health.NOT_SET_UP, None, str(error))
    except AndonError as error:
        return Report(name, Health.DOWN, None, str(error))
    return Report(name, Health.UP, round((time.perf_counter() - begun) * 1000, 1))
