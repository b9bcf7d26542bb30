"""What ``andon doctor`` looks at, one module for each section.

A module offers ``check(app)``, which returns checks; ``andon_cli.commands.doctor`` lists it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How a check ended."""

    #: It is as it should be.
    OK = "ok"
    #: It is not there, and need not be.
    OFF = "off"
    #: It should be there, and is not.
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Check:
    """What was found.

    :param name: what was looked at.
    :param state: how that ended.
    :param detail: what it does, or why it is not there and what to do.
    """

    name: str
    state: State
    detail: str
