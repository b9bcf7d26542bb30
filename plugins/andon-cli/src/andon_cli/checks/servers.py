"""Whether backends can serve: those that the settings name must, the others may."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from andon_cli.app import App, quiet_plugins
from andon_cli.checks import Check, State
from andon_cli.health import Health, Report, ask_all

if TYPE_CHECKING:
    from andon.settings import Settings


def check(app: App) -> Sequence[Check]:
    """Ask every backend that the privacy tier allows to ask, all at the same time."""
    with quiet_plugins(), app.client() as client:
        wanted = _wanted(client.settings)
        names = {*client.plugins.backends(), *wanted}
        return [_check(report, wanted) for report in ask_all(client, sorted(names))]


def _wanted(settings: Settings) -> set[str]:
    """Return the backends that the settings name: those with a table, and those of routes."""
    routed = {
        model.partition(":")[0] for route in settings.routes.values() for model in route.models
    }
    return {*settings.endpoints, *routed}


def _check(report: Report, wanted: set[str]) -> Check:
    if report.health is Health.UP:
        return Check(report.backend, State.OK, f"it can serve ({report.milliseconds:.0f} ms)")
    # What is merely installed need not run, nor have a key.
    missed = report.backend in wanted and report.health is not Health.NOT_ALLOWED
    state = State.FAILED if missed else State.OFF
    return Check(report.backend, state, f"{report.health}: {report.detail}")
