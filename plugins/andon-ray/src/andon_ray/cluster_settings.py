"""Which settings hold on a cluster."""

from __future__ import annotations

from importlib.util import find_spec

from andon import ConfigurationError, PrivacyTier, PrivacyViolation, Settings


def check_settings(settings: Settings, machines: int) -> None:
    """Check that a cluster may serve under these settings.

    :param settings: the settings.
    :param machines: how many machines the cluster has.
    :raises ConfigurationError: the workers would not share the budgets.
    :raises PrivacyViolation: the requests would leave this machine, or could, and must not.
    """
    if settings.privacy is PrivacyTier.SOVEREIGN:
        _check_privacy(machines, guarded=settings.network.guard)
    if settings.daily_budget_usd is not None or settings.budgets:
        _check_ledger(settings.ledger, machines)


def _check_privacy(machines: int, *, guarded: bool) -> None:
    if machines > 1:
        raise PrivacyViolation(
            f"the privacy tier 'sovereign' keeps requests on this machine, and the Ray cluster has "
            f"{machines}; unset RAY_ADDRESS to work with this one only"
        )
    # Ray's workers take it wherever it is installed.
    if guarded and find_spec("uvloop") is not None:
        raise PrivacyViolation(
            "the workers of Ray use uvloop, which is installed here and connects where the guard "
            "of the privacy tier 'sovereign' does not see it; uninstall uvloop, or leave out "
            "--engine"
        )


def _check_ledger(ledger: str | None, machines: int) -> None:
    scheme = (ledger or "").partition(":")[0]
    if scheme in {"", "memory"}:
        raise ConfigurationError(
            "the workers would not share the budgets: name a ledger in the settings, like "
            "sqlite:///spend.db on one machine or redis://… on many"
        )
    if scheme == "sqlite" and machines > 1:
        raise ConfigurationError(
            f"the {machines} machines of the Ray cluster would not share the budgets in a SQLite "
            "file: name a ledger that all of them reach, like redis://… of andon-redis"
        )
