"""Every installed plugin: whether it can be used."""

from __future__ import annotations

from collections.abc import Sequence

from andon.plugins import PluginInfo, PluginState
from andon_cli.app import App, quiet_plugins
from andon_cli.checks import Check, State
from andon_cli.failures import explain


def check(app: App) -> Sequence[Check]:
    """Load every plugin."""
    with quiet_plugins(), app.client() as client:
        infos = client.plugins.describe()
    if not infos:
        advice = "none is installed; try: pip install andon-llama-cpp andon-demo-model"
        return [Check("plugins", State.FAILED, advice)]
    return [_check(info) for info in infos]


def _check(info: PluginInfo) -> Check:
    origin = f"{info.distribution} {info.version}".strip()
    if info.error is not None:
        return Check(info.name, State.FAILED, f"{explain(info.error)} ({origin})")
    if info.state is PluginState.DISABLED:
        return Check(
            info.name, State.OFF, f"disabled by the settings or the environment ({origin})"
        )
    return Check(info.name, State.OK, ", ".join(filter(None, (origin, *info.offers))))
