"""What a client works with: settings, plugins, backends, and the rooms of the corridor."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from andon.backends import Backend, TellsSlots
from andon.budget import CircuitBreakerConfig, CostCircuitBreaker, Ledger, MemoryLedger
from andon.context import ContextManager, ContextWindow
from andon.context.manager import counter_for
from andon.drivers import World
from andon.errors import AndonError, ClientClosedError, SettingsError
from andon.health import HealthBoard
from andon.plugins import Plugins
from andon.pricing import Priced, PriceTable
from andon.pricing.rows import as_table, read_prices
from andon.privacy import PrivacyTier
from andon.privacy.egress import EgressPolicy
from andon.privacy.endpoints import check_endpoint
from andon.privacy.location import is_near
from andon.profiles import ProfileTable
from andon.routing import BUILTIN, InOrder, Router, SharesHealth, create_router
from andon.selection import BackendSelector
from andon.settings import Settings
from andon.specs import BackendContext, BackendSpec, Locality, ModelCard, ObserverSpec
from andon.trip import House

if TYPE_CHECKING:
    from andon.announcements import Announcer


class Workplace:
    """Makes what a client needs, each thing at its first use and once.

    :param settings: what holds for every request.
    :param prices: prices by ``backend:model``, before those of the settings.
    :param ledger: where spending is kept, before the settings' own.
    :param discover: whether to look for installed plugins, and to read the environment.
    :param plugins: modules or objects that are plugins.
    :param environment: the variables that backends may read; with ``discover``, the process's own
        where None.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        prices: Mapping[str, Priced],
        ledger: Ledger | str | None,
        discover: bool,
        plugins: Sequence[object],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.settings = settings
        network = settings.network
        self._egress = EgressPolicy.of(
            network.allow_cidrs, network.allow_names, network.unix_sockets
        )
        self._check_endpoints()
        # Before any plugin is imported.
        self._unguard = self._guard()
        self.plugins = Plugins(
            discover=discover, plugins=plugins, disabled=settings.disable_plugins
        )
        if environment is None:
            environment = os.environ if discover else {}
        self._environment = environment
        self._specs: dict[str, BackendSpec] = {}
        self._backends: dict[str, Backend] = {}
        self._lock = threading.Lock()
        self._closed = False
        observers = self.plugins.observers(settings.observers)
        self.house = self._build_house(prices, observers)
        place = settings.ledger if ledger is None else ledger
        self._owns_ledger = place is None or isinstance(place, str)
        breaker = CostCircuitBreaker(
            _breaker_config(settings), ledger=_open_ledger(place, self.plugins)
        )
        self.world = World(
            self.create_backend,
            breaker,
            router_waits=getattr(self.house.router, "waits", False),
            health_waits=self.house.health.waits,
        )

    def find_backend(self, name: str) -> BackendSpec:
        """Return a backend's record, its locality as the settings make it."""
        spec = self._specs.get(name)
        if spec is None:
            spec = self._named(name)
            if spec.locate is not None:
                spec = replace(spec, locality=spec.locate(self._context(spec)))
            self._specs[name] = spec
        return spec

    def _named(self, name: str) -> BackendSpec:
        """Return a plugin's record, or a copy of it for a further endpoint of the settings."""
        kind = self.settings.endpoints.get(name, {}).get("backend", name)
        if kind == name:
            return self.plugins.backend(name)
        if not isinstance(kind, str):
            raise SettingsError(f"endpoints.{name}.backend must be the name of a backend")
        return replace(self.plugins.backend(kind), name=name, kind=kind, aliases=())

    def create_backend(self, spec: BackendSpec) -> Backend:
        """Return the one backend of a record."""
        with self._lock:
            self.check_open()
            backend = self._backends.get(spec.name)
            if backend is None:
                context = self._context(spec)
                check_endpoint(self.settings.privacy, self._egress, spec.name, context.options)
                backend = self._backends[spec.name] = spec.create(context)
                if spec.locality is Locality.IN_PROCESS and isinstance(backend, TellsSlots):
                    # Nobody needs to be asked over a network for it.
                    self.note_slots(spec.name, backend.learn_slots())
            return backend

    def note_slots(self, name: str, slots: int | None) -> None:
        """Tell the router how many requests a backend serves at a time."""
        note = getattr(self.house.router, "note_slots", None)
        if note is not None:
            note(self.find_backend(name).name, slots)

    def reach(self, name: str) -> Backend:
        """Return a backend that the privacy tier allows to ask.

        :raises PrivacyViolation: it does not.
        """
        spec = self.find_backend(name)
        self.house.selector.validate(spec)
        return self.create_backend(spec)

    def models(self) -> list[tuple[str, ModelCard]]:
        """Return every model that can be asked for by name, each with its backend's name."""
        names = sorted(self.plugins.backends())
        return [(name, card) for name in names for card in self._models_of(name)]

    def check_open(self) -> None:
        """Check that nothing was closed.

        :raises ClientClosedError: it was.
        """
        if self._closed:
            raise ClientClosedError("this client is closed; make a new one")

    def take_backends(self) -> list[Backend]:
        """Return the backends for closing; the client can serve no more."""
        with self._lock:
            self._closed = True
            backends = list(self._backends.values())
            self._backends.clear()
            return backends

    def end(self) -> None:
        """Let go of all but the backends."""
        # A ledger that was handed over may be in use elsewhere.
        if self._owns_ledger:
            self.world.breaker.ledger.close()
        # Only those that share their counts have something open.
        close = getattr(self.house.router, "close", None)
        if close is not None:
            close()
        self._unguard()

    def _models_of(self, name: str) -> Sequence[ModelCard]:
        try:
            spec = self.find_backend(name)
            if not self.house.selector.privacy.allows(spec.locality):
                return ()
            return self.create_backend(spec).models()
        except AndonError:
            return ()

    def _check_endpoints(self) -> None:
        """Check the endpoints whose near address would be of no use; others when they are used."""
        for name, options in self.settings.endpoints.items():
            base_url = options.get("base_url")
            if isinstance(base_url, str) and is_near(base_url, self._egress):
                check_endpoint(self.settings.privacy, self._egress, name, options)

    def _guard(self) -> Callable[[], object]:
        """Guard the process where the tier demands it; return what ends that."""
        if self.settings.privacy is not PrivacyTier.SOVEREIGN or not self.settings.network.guard:
            return lambda: None
        import weakref

        from andon.privacy.guard import arm

        # Until the client is closed, or forgotten.
        return weakref.finalize(self, arm(self._egress).release)

    def _build_house(
        self, prices: Mapping[str, Priced], observers: Sequence[ObserverSpec]
    ) -> House:
        settings, plugins = self.settings, self.plugins
        profiles = ProfileTable(settings.profiles, plugins.model_profile)
        router = _find_router(settings.routing, plugins)
        return House(
            find_backend=self.find_backend,
            selector=BackendSelector(settings.privacy),
            prices=_price_table(settings, plugins, prices),
            router=router,
            health=(router.health if isinstance(router, SharesHealth) else None) or HealthBoard(),
            profiles=profiles,
            find_manager=lru_cache(maxsize=256)(partial(_find_manager, profiles, plugins)),
            truncation_block=settings.truncation_block,
            clock=time.monotonic,
            backends=self._backends,
            announcer=_announcer(observers) if observers else None,
        )

    def _context(self, spec: BackendSpec) -> BackendContext:
        options: dict[str, Any] = {}
        for name in (*spec.aliases, spec.name):
            options.update(self.settings.endpoints.get(name, {}))
        options.pop("backend", None)
        return BackendContext(
            options=options,
            offline=self.settings.privacy is PrivacyTier.SOVEREIGN,
            no_relay=self.settings.privacy is not PrivacyTier.STANDARD,
            find_card=self.plugins.model_card,
            cards=self.plugins.model_cards,
            chat_templates=self.plugins.chat_templates,
            environment=self._environment,
            find_profile=partial(self.house.profiles.find, spec.family),
            egress=self._egress,
        )


def _announcer(observers: Sequence[ObserverSpec]) -> Announcer:
    # Here, since the records of all events take their time to import.
    from andon.announcements import Announcer
    from andon.observers import Observers

    return Announcer(Observers(observers), time.monotonic)


def _breaker_config(settings: Settings) -> CircuitBreakerConfig:
    return CircuitBreakerConfig(
        daily_budget_usd=settings.daily_budget_usd,
        warning_threshold=settings.warning_threshold,
        max_request_cost_usd=settings.max_request_cost_usd,
        budgets=settings.budgets,
        time_zone=settings.time_zone,
        ledger_failure=settings.ledger_failure,
    )


def _price_table(settings: Settings, plugins: Plugins, prices: Mapping[str, Priced]) -> PriceTable:
    from_file = read_prices(Path(settings.prices_file)) if settings.prices_file else {}
    return PriceTable(
        prices,
        plugins.price,
        unknown=settings.unknown_price,
        # Asked for each request, so only where there is somebody to ask.
        hook=plugins.price_in_code if plugins.has_prices_in_code else None,
        tables=(as_table(settings.prices, "settings"), from_file),
    )


def _find_manager(
    profiles: ProfileTable, plugins: Plugins, backend: str, model: str
) -> ContextManager | None:
    profile = profiles.find(backend, model)
    if profile.context_window is None:
        return None
    counter = counter_for(f"{backend}:{model}", plugins.tokenizers(), profile.image_tokens)
    return ContextManager(ContextWindow(profile.context_window), counter)


def _find_router(routing: Mapping[str, Any], plugins: Plugins) -> Router:
    if not routing:
        return InOrder()
    options = dict(routing)
    name = options.pop("strategy", None)
    if name in BUILTIN:
        return create_router(name, options)
    spec = plugins.router(name) if isinstance(name, str) else None
    if spec is None:
        raise SettingsError(
            f"routing.strategy: no plugin offers the routing strategy {name!r}; andon has "
            + ", ".join(BUILTIN)
        )
    return spec.create(options)


def _open_ledger(place: Ledger | str | None, plugins: Plugins) -> Ledger:
    if place is None:
        return MemoryLedger()
    if not isinstance(place, str):
        return place
    scheme = place.partition(":")[0]
    if scheme == "sqlite":
        from andon.budget.sqlite import open_sqlite

        return open_sqlite(place)
    # What stands before an @ may be a password.
    shown = f"{scheme}://***@{place.rpartition('@')[2]}" if "@" in place else place
    spec = plugins.ledger(scheme)
    if spec is None:
        raise SettingsError(f"no plugin opens a ledger at {shown!r}: unknown scheme {scheme!r}")
    try:
        return spec.create(place)
    except AndonError:
        raise
    except Exception as error:
        raise SettingsError(f"the ledger at {shown!r} cannot be opened: {error}") from error
