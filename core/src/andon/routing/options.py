"""The settings of routing strategies: read, checked, and explained where they are wrong."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from andon.errors import SettingsError
from andon.routing.load import AGING

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadConfig:
    """How requests are counted, whatever the strategy. Times are in seconds.

    :param slots: requests that a backend serves at a time, by its name.
    :param default_slots: the same for backends on this machine and its network that are not
        named; 0 for no limit. Providers further away have none unless they are named.
    :param max_queue_depth: requests that may be under way or wait at one backend at most.
    :param service_time: how long a request takes, as long as nothing is known.
    :param half_life: time after which what was seen of service times counts half.
    :param aging: waiting this long is worth one step of priority.
    :raises SettingsError: a value is wrong.
    """

    slots: Mapping[str, int] = field(default_factory=dict)
    default_slots: int = 4
    max_queue_depth: int = 50
    service_time: float = 1.0
    half_life: float = 60.0
    aging: float = AGING

    def __post_init__(self) -> None:
        if not isinstance(self.slots, Mapping):
            raise SettingsError(
                f"routing.slots: names of backends, each with a number, not {self.slots!r}"
            )
        for name, slots in self.slots.items():
            check_whole(f"slots.{name}", slots, least=1)
        check_whole("default_slots", self.default_slots, least=0)
        check_whole("max_queue_depth", self.max_queue_depth, least=1)
        for name in ("service_time", "half_life", "aging"):
            check_number(name, getattr(self, name))


def check_whole(name: str, value: object, *, least: int) -> None:
    """Check a whole number.

    :raises SettingsError: it is none, or too small.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise SettingsError(f"routing.{name}: a whole number from {least} on, not {value!r}")


def check_number(name: str, value: object, *, most: float = math.inf) -> None:
    """Check a number above 0.

    :raises SettingsError: it is none, or not within bounds.
    """
    number = not isinstance(value, bool) and isinstance(value, int | float)
    if not number or not 0 < value <= most or (value == math.inf and name != "latency_objective"):  # type: ignore[operator]
        raise SettingsError(f"routing.{name}: a number above 0, not {value!r}")


def read_options(strategy: str, kind: type[T], options: Mapping[str, Any]) -> T:
    """Return a strategy's settings.

    :param strategy: its name.
    :param kind: the record that they make.
    :param options: as they stand in the settings.
    :raises SettingsError: one is unknown or wrong.
    """
    known = [option.name for option in fields(kind)]  # type: ignore[arg-type]
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise SettingsError(
            f"routing.{unknown[0]}: the strategy {strategy!r} has no such option; "
            f"it has {', '.join(known) or 'none'}"
        )
    return kind(**options)
