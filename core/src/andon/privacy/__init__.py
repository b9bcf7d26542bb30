"""Privacy tiers: where the data of a request may go."""

from __future__ import annotations

from enum import StrEnum

from andon.specs import Locality


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
