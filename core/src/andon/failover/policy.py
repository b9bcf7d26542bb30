"""What a caller may choose about failover."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

from andon.errors import SettingsError


class FailoverMode(StrEnum):
    """What becomes of an answer that breaks off after its first piece was handed over."""

    #: It goes on from where it broke, wherever that can be done exactly.
    CONTINUE = "continue"
    #: Nothing is handed over before the answer is complete, so a broken one is started anew.
    HOLD = "hold"
    #: It ends with :class:`andon.StreamInterrupted`.
    STOP = "stop"


@dataclass(frozen=True, slots=True, kw_only=True)
class FailoverPolicy:
    """How hard to try. Times are in seconds; None is "as the endpoint's settings say".

    :param mode: what becomes of an answer that breaks off in its middle.
    :param announce: whether the caller sees a failover as ``delta.failover``; events tell of it
        in any case.
    :param max_attempts: most requests that are sent for one answer, a backend's own retries
        before the first token not counted.
    :param first_token_timeout: time until the first token, after which another candidate is asked.
    :param stall_timeout: time between two tokens; signs of life without one do not count.
    :param hedge_after: time without a first token after which the next candidate is asked beside;
        the first to answer is taken, and the other one stopped. Both may cost.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    mode: FailoverMode = FailoverMode.CONTINUE
    announce: bool = True
    max_attempts: int = 6
    first_token_timeout: float | None = None
    stall_timeout: float | None = None
    hedge_after: float | None = None

    def __post_init__(self) -> None:
        if self.max_attempts < 1:
            raise SettingsError(f"max_attempts must be 1 or more, not {self.max_attempts}")
        for name in ("first_token_timeout", "stall_timeout", "hedge_after"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise SettingsError(f"{name} must be more than 0 seconds, not {value}")
