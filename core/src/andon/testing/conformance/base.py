"""What every conformance class says of its backend, and the fixtures that its tests stand on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from types import ModuleType
from typing import Any, ClassVar

import pytest

from andon import BackendContext, BackendSpec, Price, Settings, hookimpl
from andon.backends import Backend
from andon.testing.conformance.abilities import Ability
from andon.testing.conformance.callers import Caller

COLOURS = ("sync", "async")


class Conformance:
    """The facts of a backend, which a subclass gives."""

    #: The plugin: a module or an object with andon's hooks.
    plugin: object  # no ClassVar: to mypy, a subclass could then assign no module
    #: Other plugins that it needs, one that brings a model, say.
    companions: ClassVar[Sequence[object]] = ()
    #: The backend's name.
    backend: ClassVar[str]
    #: What sets this class apart from another one of the same backend, in a word.
    variant: ClassVar[str] = ""
    #: A model there. This one is in no table of profiles, so that nothing is known against it.
    model: ClassVar[str] = "sample-model"
    #: What the backend claims to do besides text; see :class:`Ability`.
    abilities: ClassVar[frozenset[Ability]]
    #: Further settings of the backend.
    options: ClassVar[Mapping[str, Any]] = {}
    #: The environment variables that the backend sees.
    environment: ClassVar[Mapping[str, str]] = {}
    #: Further arguments of the client.
    client_arguments: ClassVar[Mapping[str, Any]] = {}

    def claims(self, ability: Ability) -> bool:
        """Return whether the backend claims an ability."""
        return ability in self.abilities

    def need(self, ability: Ability) -> None:
        """Skip the test of an ability that is not claimed, and is no option to refuse."""
        if not self.claims(ability):
            pytest.skip(f"{self.backend} does not claim {ability.value}")

    def create(self, settings: Mapping[str, Any]) -> Backend:
        """Return the backend as a client makes it.

        :param settings: its settings.
        """
        register: Any = getattr(self.plugin, "andon_register_backends")  # noqa: B009
        spec = next(spec for spec in register() if spec.name == self.backend)
        context = BackendContext(options=settings, environment=self.environment)
        backend: Backend = spec.create(context)
        return backend

    @classmethod
    def make_caller(cls, colour: str, settings: Mapping[str, Any]) -> Caller:
        """Return a client for this backend.

        :param colour: ``"sync"`` or ``"async"``.
        :param settings: the backend's settings.
        """
        free = Price(input=Decimal(0), output=Decimal(0))
        return Caller(
            colour,
            discover=False,
            plugins=[_in_environment(cls.plugin, cls.environment), *cls.companions],
            settings=Settings(endpoints={cls.backend: dict(settings)}),
            prices={f"{cls.backend}:{cls.model}": free},
            **cls.client_arguments,
        )


def _in_environment(plugin: object, environment: Mapping[str, str]) -> object:
    """Return a plugin whose backends see other environment variables."""
    if not environment:
        return plugin

    def told(spec: BackendSpec) -> BackendSpec:
        def context(given: BackendContext) -> BackendContext:
            return replace(given, environment=environment)

        locate = spec.locate
        return replace(
            spec,
            create=lambda given: spec.create(context(given)),
            locate=None if locate is None else lambda given: locate(context(given)),
        )

    changed = ModuleType(getattr(plugin, "__name__", type(plugin).__name__))
    vars(changed).update({name: getattr(plugin, name) for name in dir(plugin)})
    register: Any = getattr(plugin, "andon_register_backends")  # noqa: B009
    vars(changed)["andon_register_backends"] = hookimpl(lambda: [told(spec) for spec in register()])
    return changed
