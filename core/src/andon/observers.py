"""Whoever watches a client's requests: told of every event, and never in their way."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from andon.errors import PluginWarning
from andon.events import Event
from andon.specs import ObserverSpec


class Observers:
    """Tells observers of events; one that fails is told no more.

    :param observers: whom to tell, in order.
    """

    def __init__(self, observers: Sequence[ObserverSpec]) -> None:
        self._observers = tuple(observers)
        self._silenced: set[str] = set()

    def __call__(self, event: Event) -> None:
        """Tell of an event."""
        for observer in self._observers:
            if observer.name in self._silenced:
                continue
            try:
                observer.observe(event)
            except Exception as error:  # noqa: BLE001  an observer may raise anything at all
                self._silenced.add(observer.name)
                warnings.warn(
                    f"the observer {observer.name!r} failed and is told no more: "
                    f"{type(error).__name__}: {error}",
                    PluginWarning,
                    stacklevel=2,
                )
