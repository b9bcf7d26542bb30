"""Privacy tiers: where the data of a request may go; and a lock for the whole process."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

from andon.specs import Locality

if TYPE_CHECKING:
    from andon.privacy.egress import EgressPolicy
    from andon.privacy.kernel import Layer, Protection


class PrivacyTier(StrEnum):
    """Where the data of a request may go.

    ``SOVEREIGN`` keeps it on this machine, ``PRIVATE`` adds endpoints of one's own, and
    ``STANDARD`` allows every backend.
    """

    SOVEREIGN = "sovereign"
    PRIVATE = "private"
    STANDARD = "standard"

    def allows(self, locality: Locality) -> bool:
        """Return whether data may go to a backend of this locality."""
        return locality in _ALLOWED[self]


_ON_THIS_MACHINE = frozenset({Locality.IN_PROCESS, Locality.LOCAL})
_ALLOWED = {
    PrivacyTier.SOVEREIGN: _ON_THIS_MACHINE,
    PrivacyTier.PRIVATE: _ON_THIS_MACHINE | {Locality.PRIVATE},
    PrivacyTier.STANDARD: frozenset(Locality),
}


def lockdown(
    policy: EgressPolicy | None = None,
    *,
    kernel: bool = False,
    layer: Layer | str = "auto",
    ports: Sequence[int] = (),
) -> tuple[Protection, ...]:
    """Lock this process in, for good: it reaches this machine, and what is listed, and no other.

    The guard is armed and never let go, libraries are told not to call home, and, on request, the
    Linux kernel holds native code and other programs as well. Call it first: what was imported,
    or connected, before goes on as it was.

    :param policy: what may be reached besides this machine; nothing where None.
    :param kernel: whether to put a layer in the kernel over the process too.
    :param layer: which one: ``"auto"``, ``"seccomp"``, ``"namespace"``, ``"no-network"`` or
        ``"landlock"``; see :class:`andon.privacy.kernel.Layer`.
    :param ports: the only TCP ports to connect to, by a layer in the kernel; all where empty.
    :return: what is in force, and what could not be had.
    :raises PrivacyViolation: a layer in the kernel was asked for, and none could be had; or uvloop
        is loaded, and there is none.
    """
    from andon.privacy.hold import lock
    from andon.privacy.kernel import Layer as KnownLayer

    return lock(policy, kernel, KnownLayer(layer), ports)
