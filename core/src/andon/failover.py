"""What to do when an answer breaks off."""

from __future__ import annotations

from andon.errors import (
    AndonError,
    BackendError,
    ContextOverflowError,
    PrivacyViolation,
    UnsupportedParameterError,
)


def may_go_elsewhere(error: AndonError, *, seen: bool) -> bool:
    """Return whether the request may be started anew, with the next candidate.

    :param error: why this one failed.
    :param seen: whether the caller has seen a part of its answer, which another would repeat.
    """
    if isinstance(error, ContextOverflowError | PrivacyViolation | UnsupportedParameterError):
        return True
    return isinstance(error, BackendError) and error.recoverable and not seen
