"""What every command is given: the way to a client."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from andon.client import AsyncClient, Client
    from andon.settings import Settings
    from andon.specs import CommandSpec


@dataclass(frozen=True)
class App:
    """How clients are made. An embedder hands one to ``cli.main(obj=…)``.

    :param plugins: modules or objects that are plugins, besides installed ones.
    :param discover: whether to look for installed plugins and settings.
    """

    plugins: Sequence[object] = ()
    discover: bool = True

    def client(self, privacy: str | None = None) -> Client:
        """Make a client.

        :param privacy: the privacy tier; None takes the one of the settings.
        """
        from andon.client import Client

        return Client(settings=self.settings_of_clients(privacy), **self._arguments())

    def async_client(self, privacy: str | None = None) -> AsyncClient:
        """Make a client for asyncio; see :meth:`client`."""
        from andon.client import AsyncClient

        return AsyncClient(settings=self.settings_of_clients(privacy), **self._arguments())

    def settings_of_clients(self, privacy: str | None = None) -> Settings:
        """Return the settings that clients are made with, the ledger among them.

        :param privacy: the privacy tier; None takes the one of the settings.
        """
        from andon.settings import override

        settings = override(self.settings(), privacy=privacy)
        if not self.discover:
            return settings
        from andon.budget.sqlite import default_url

        # Each command is a process of its own: in memory, a budget would begin anew with each.
        return replace(settings, ledger=settings.ledger or default_url(os.environ))

    def _arguments(self) -> dict[str, Any]:
        return {
            "discover": self.discover,
            "plugins": self.plugins,
            "environment": self.environment(),
        }

    def environment(self) -> Mapping[str, str] | None:
        """Return what backends find their keys in: variables, and behind them the keyring."""
        from andon_cli.key_store import KeyringEnvironment, KeyStore

        if not self.discover:
            return None
        return KeyringEnvironment(os.environ, KeyStore.of(os.environ))

    def settings(self) -> Settings:
        """Return the settings, without making a client."""
        from andon.settings import Settings, load

        return load() if self.discover else Settings()

    def commands(self) -> dict[str, CommandSpec]:
        """Return the commands that plugins offer; imports every plugin."""
        with self.client() as client:
            return client.plugins.commands()


def quiet_plugins() -> AbstractContextManager[object]:
    """Return a context in which a broken plugin does not warn."""
    import warnings

    from andon.errors import PluginWarning

    return warnings.catch_warnings(action="ignore", category=PluginWarning)
