"""Finding plugins: lazily, each in isolation, with every failure explained.

A client owns one :class:`Plugins`. Asking it for a backend reads the installed distributions'
metadata, imports the one plugin whose entry point has that name, and imports the others only
where none has. What a broken plugin does is reported in :meth:`Plugins.describe` and as a
:class:`andon.PluginWarning`, and raised to nobody but whoever asks for that plugin by name.
"""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

import pluggy

from andon import hookspecs
from andon.errors import (
    DuplicateNameError,
    PluginLoadError,
    PluginWarning,
    SettingsError,
    UnknownBackendError,
)
from andon.selection import ServingBackend
from andon.specs import (
    BackendSpec,
    BatchEngineSpec,
    ChatTemplateSpec,
    CommandSpec,
    LedgerSpec,
    ModelCard,
    ModelProfile,
    ObserverSpec,
    Price,
    RouterSpec,
    TokenizerSpec,
)

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "andon"
DISABLE_VARIABLE = "ANDON_DISABLE_PLUGINS"

T = TypeVar("T")

#: For each hook that registers: the attribute by which its records are told apart.
_REGISTER_HOOKS: Mapping[str, str] = {
    "andon_register_backends": "name",
    "andon_register_model_cards": "name",
    "andon_register_chat_templates": "name",
    "andon_register_tokenizers": "name",
    "andon_register_ledgers": "scheme",
    "andon_register_routers": "name",
    "andon_register_observers": "name",
    "andon_register_commands": "name",
    "andon_register_batch_engines": "name",
}

#: The modules of andon's own observers, by the name that settings give them.
_OBSERVERS: Mapping[str, str] = {"logs": "andon.logs"}


class PluginState(StrEnum):
    """How far a plugin has come."""

    NOT_LOADED = "not loaded"
    LOADED = "loaded"
    FAILED = "failed"
    DISABLED = "disabled"


@dataclass(slots=True)
class PluginInfo:
    """What is known of one plugin.

    :param name: its name, the same as its entry point's.
    :param distribution: the distribution that brought it; empty for one handed over in code.
    :param version: that distribution's version.
    :param state: how far it has come.
    :param error: why it failed.
    :param offers: what it registered, as ``"backend groq"``.
    """

    name: str
    distribution: str = ""
    version: str = ""
    state: PluginState = PluginState.NOT_LOADED
    error: Exception | None = None
    offers: tuple[str, ...] = ()

    def __str__(self) -> str:
        origin = f" of {self.distribution} {self.version}" if self.distribution else ""
        return f"plugin {self.name!r}{origin}"


@dataclass(slots=True)
class _Registry:
    """The records of every loaded plugin, by hook and name, each with the plugin it came from."""

    records: dict[str, dict[str, tuple[Any, PluginInfo]]] = field(
        default_factory=lambda: {hook: {} for hook in _REGISTER_HOOKS}
    )

    def add(self, hook: str, name: str, record: Any, info: PluginInfo) -> None:
        taken = self.records[hook].get(name)
        if taken is not None:
            kind = _kind(hook)
            raise DuplicateNameError(
                f"{info} offers the {kind} {name!r}, which {taken[1]} offers already; "
                f"uninstall one of them, or name one in {DISABLE_VARIABLE}"
            )
        self.records[hook][name] = (record, info)

    def drop(self, info: PluginInfo) -> None:
        for table in self.records.values():
            for name in [name for name, (_, owner) in table.items() if owner is info]:
                del table[name]

    def values(self, hook: str) -> list[Any]:
        return [record for record, _ in self.records[hook].values()]


class Plugins:
    """The plugins of one client.

    :param discover: whether to look for installed plugins through their entry points.
    :param plugins: modules or objects that are plugins, asked before installed ones.
    :param disabled: names of installed plugins to leave out, besides those in the environment
        variable ``ANDON_DISABLE_PLUGINS``, which is read only with ``discover``.
    :raises PluginLoadError: one of ``plugins`` is broken.
    """

    def __init__(
        self,
        *,
        discover: bool = True,
        plugins: Sequence[object] = (),
        disabled: Iterable[str] = (),
    ) -> None:
        self._manager = pluggy.PluginManager(GROUP)
        self._manager.add_hookspecs(hookspecs)
        self._registry = _Registry()
        self._infos: dict[str, PluginInfo] = {}
        self._found: dict[str, EntryPoint] = {}
        self._lock = threading.RLock()
        if discover:
            self._discover({*disabled, *_disabled_by_environment()})
        for plugin in plugins:
            self._register_given(plugin)

    # -- What a client asks ----------------------------------------------------------------

    def backend(self, name: str) -> BackendSpec:
        """Return the backend called ``name``, which may be an alias.

        :raises UnknownBackendError: no plugin offers it.
        :raises PluginLoadError: the plugin of that name is broken.
        """
        spec: BackendSpec | None = self._named("andon_register_backends", name)
        if spec is not None:
            return spec
        info = self._infos.get(name)
        if info is not None and info.state is PluginState.DISABLED:
            raise UnknownBackendError(f"the backend {name!r} is disabled in {DISABLE_VARIABLE}")
        raise UnknownBackendError(_unknown(name, sorted(self.backends())))

    def backends(self) -> dict[str, BackendSpec]:
        """Return every backend by its own name; imports every plugin."""
        return {spec.name: spec for spec in _unique(self._all("andon_register_backends"))}

    def model_card(self, name: str) -> ModelCard | None:
        """Return what is known of a model, or None."""
        card: ModelCard | None = self._named("andon_register_model_cards", name)
        return card

    def model_cards(self) -> list[ModelCard]:
        """Return every model card; imports every plugin."""
        return self._all("andon_register_model_cards")

    def chat_templates(self) -> list[ChatTemplateSpec]:
        """Return every chat template that plugins offer; imports every plugin."""
        return self._all("andon_register_chat_templates")

    def tokenizers(self) -> list[TokenizerSpec]:
        """Return every tokenizer that plugins offer; imports every plugin."""
        return self._all("andon_register_tokenizers")

    def ledger(self, scheme: str) -> LedgerSpec | None:
        """Return the ledger for a URL's scheme, or None."""
        spec: LedgerSpec | None = self._named("andon_register_ledgers", scheme)
        return spec

    def router(self, name: str) -> RouterSpec | None:
        """Return the routing strategy called ``name``, or None."""
        spec: RouterSpec | None = self._named("andon_register_routers", name)
        return spec

    def batch_engine(self, name: str) -> BatchEngineSpec | None:
        """Return the batch engine called ``name``, or None."""
        spec: BatchEngineSpec | None = self._named("andon_register_batch_engines", name)
        return spec

    def commands(self) -> dict[str, CommandSpec]:
        """Return every command of the command line; imports every plugin."""
        return {spec.name: spec for spec in self._all("andon_register_commands")}

    def observers(self, enabled: Iterable[str] = ()) -> list[ObserverSpec]:
        """Return the observers of plugins handed over in code, and those that are named.

        Installed observers wait to be named, so that a request imports no plugin unasked.

        :param enabled: names of installed plugins whose observers are wanted; ``logs`` is andon's
            own.
        :raises SettingsError: there is no plugin of such a name.
        :raises PluginLoadError: one of them is broken.
        """
        with self._lock:
            wanted = set(enabled)
            for name in wanted:
                self._load_observer(name)
            table = self._registry.records["andon_register_observers"].values()
            return [spec for spec, info in table if not info.distribution or info.name in wanted]

    def _load_observer(self, name: str) -> None:
        module = _OBSERVERS.get(name)
        if module is not None and name not in self._infos:
            if module not in self._infos:
                self._register_given(import_module(module))
            return
        self._load(name)
        self._raise_if_failed(name)
        if name not in self._infos:
            raise SettingsError(
                f"observers: no installed plugin is called {name!r}; try: pip install andon-{name}"
            )

    def price(self, backend: str, model: str) -> Price | None:
        """Return what a model costs, or None where no plugin knows.

        Plugins that were handed over in code are asked before installed ones. One that raises is
        reported and passed over.
        """
        price = self.price_in_code(backend, model)
        if price is not None:
            return price
        self._load_all()
        found = self._first_answer(
            "andon_price", backend, model, wanted=lambda info: bool(info.distribution)
        )
        return _from(found, "an installed plugin")

    @property
    def has_prices_in_code(self) -> bool:
        """Whether a plugin that was handed over in code is to be asked for prices."""
        return any(not info.distribution for _, info in self._callers("andon_price"))

    def price_in_code(self, backend: str, model: str) -> Price | None:
        """Return what a model costs by a plugin that was handed over in code, or None."""
        found = self._first_answer(
            "andon_price", backend, model, wanted=lambda info: not info.distribution
        )
        return _from(found, "a plugin handed over in code")

    def model_profile(self, backend: str, model: str) -> ModelProfile | None:
        """Return what plugins know of what a model accepts, or None where they know nothing.

        Only those handed over in code and the one that brings the backend are asked, so that a
        request imports no plugin unasked. One that raises is reported and passed over.
        """
        with self._lock:
            owner = self._registry.records["andon_register_backends"].get(backend, (None, None))[1]
        profile: ModelProfile | None = self._first_answer(
            "andon_model_profile",
            backend,
            model,
            wanted=lambda info: not info.distribution or info is owner,
        )
        return profile

    def describe(self) -> tuple[PluginInfo, ...]:
        """Return what is known of every plugin; imports every plugin."""
        self._load_all()
        return tuple(sorted(self._infos.values(), key=lambda info: info.name))

    def __iter__(self) -> Iterator[PluginInfo]:
        return iter(self.describe())

    def _first_answer(
        self,
        hook: str,
        backend: str,
        model: str,
        wanted: Callable[[PluginInfo], bool] = lambda info: True,
    ) -> Any:
        for caller, info in self._callers(hook):
            if not wanted(info):
                continue
            try:
                answer = caller(backend=backend, model=model)
            except Exception as error:  # noqa: BLE001  a plugin may raise anything at all
                self._warn(info, error)
                continue
            if answer is not None:
                return answer
        return None

    # -- How they are found and loaded -----------------------------------------------------

    def _discover(self, disabled: set[str]) -> None:
        # Here, since programs that hand their plugins over need not wait for it.
        from importlib.metadata import entry_points

        claims: dict[str, list[EntryPoint]] = {}
        for entry_point in entry_points(group=GROUP):
            claims.setdefault(entry_point.name, []).append(entry_point)
        for name, claimants in sorted(claims.items()):
            info = self._infos[name] = _info_of(claimants[0])
            if name in disabled:
                info.state = PluginState.DISABLED
            elif _distributions(claimants) > 1:
                self._fail(info, _claimed_twice(name, claimants))
            else:
                self._found[name] = claimants[0]

    def _load(self, name: str) -> None:
        """Load the installed plugin called ``name``, if there is one that is not loaded yet."""
        with self._lock:
            entry_point = self._found.pop(name, None)
            if entry_point is None:
                return
            info = self._infos[name]
            try:
                self._register(entry_point.load(), info)
            except Exception as error:  # noqa: BLE001  a plugin may raise anything at all
                self._registry.drop(info)
                self._fail(info, error)

    def _load_all(self) -> None:
        for name in list(self._found):
            self._load(name)

    def _register_given(self, plugin: object) -> None:
        name = getattr(plugin, "__name__", None) or type(plugin).__name__
        info = self._infos[name] = PluginInfo(name)
        try:
            self._register(plugin, info)
        except Exception as error:
            raise PluginLoadError(f"{info} cannot be used: {_explain(error)}") from error

    def _register(self, plugin: object, info: PluginInfo) -> None:
        if self._manager.is_registered(plugin):
            # One module under two entry points: the second name is an alias of the first.
            info.state = PluginState.LOADED
            info.offers = self._same_plugin(plugin).offers
            return
        self._manager.register(plugin, name=info.name)
        try:
            self._check_names(plugin)
            info.offers = tuple(self._collect(plugin, info))
        except Exception:
            self._manager.unregister(plugin)
            raise
        info.state = PluginState.LOADED

    def _collect(self, plugin: object, info: PluginInfo) -> Iterator[str]:
        others = [other for _, other in self._manager.list_name_plugin() if other is not plugin]
        for hook, key in _REGISTER_HOOKS.items():
            caller = self._manager.subset_hook_caller(hook, others)
            for record in (item for answer in caller() for item in answer):
                for name in (getattr(record, key), *getattr(record, "aliases", ())):
                    self._registry.add(hook, name, record, info)
                    yield f"{_kind(hook)} {name}"

    def _check_names(self, plugin: object) -> None:
        # pluggy takes a function with an unknown name for one that it may ignore.
        marked = [
            name
            for name in dir(plugin)
            if self._manager.parse_hookimpl_opts(plugin, name) is not None
        ]
        known = {name for name in dir(hookspecs) if name.startswith("andon_")}
        for name in marked:
            if name not in known:
                raise PluginLoadError(f"there is no hook {name!r}; the hooks are {sorted(known)}")

    def _same_plugin(self, plugin: object) -> PluginInfo:
        return self._infos[str(self._manager.get_name(plugin))]

    def _callers(self, hook: str) -> Iterator[tuple[Callable[..., Any], PluginInfo]]:
        """Give each loaded plugin's own answer to a hook, those handed over in code first."""
        plugins = [p for _, p in self._manager.list_name_plugin() if hasattr(p, hook)]
        by_origin = sorted(plugins, key=lambda p: bool(self._same_plugin(p).distribution))
        for plugin in by_origin:
            others = [other for other in plugins if other is not plugin]
            yield self._manager.subset_hook_caller(hook, others), self._same_plugin(plugin)

    # -- How answers are looked up ---------------------------------------------------------

    def _named(self, hook: str, name: str) -> Any:
        """Return the record called ``name``, loading as few plugins as will do."""
        with self._lock:
            table = self._registry.records[hook]
            if name not in table:
                self._load(name)
            if name not in table:
                self._raise_if_failed(name)
                self._load_all()
            record = table.get(name)
            return None if record is None else record[0]

    def _all(self, hook: str) -> list[Any]:
        with self._lock:
            self._load_all()
            return self._registry.values(hook)

    def _raise_if_failed(self, name: str) -> None:
        info = self._infos.get(name)
        if info is None or info.state is not PluginState.FAILED or info.error is None:
            return
        if isinstance(info.error, DuplicateNameError):
            raise info.error
        raise PluginLoadError(f"{info} cannot be used: {_explain(info.error)}") from info.error

    def _fail(self, info: PluginInfo, error: Exception) -> None:
        info.state = PluginState.FAILED
        info.error = error
        self._warn(info, error)

    def _warn(self, info: PluginInfo, error: Exception) -> None:
        warnings.warn(f"{info}: {_explain(error)}", PluginWarning, stacklevel=2)


def _disabled_by_environment() -> set[str]:
    return {name.strip() for name in os.environ.get(DISABLE_VARIABLE, "").split(",")} - {""}


def _info_of(entry_point: EntryPoint) -> PluginInfo:
    distribution = entry_point.dist
    if distribution is None:
        return PluginInfo(entry_point.name, entry_point.value)
    return PluginInfo(entry_point.name, distribution.name, distribution.version)


def _distributions(claimants: Sequence[EntryPoint]) -> int:
    # An editable install can show one distribution twice on the path; that is no conflict.
    return len({(_info_of(claimant).distribution, claimant.value) for claimant in claimants})


def _claimed_twice(name: str, claimants: Sequence[EntryPoint]) -> DuplicateNameError:
    names = " and ".join(f"{info.distribution} {info.version}" for info in map(_info_of, claimants))
    return DuplicateNameError(
        f"{names} both claim the name {name!r}, so neither is used; uninstall one of them"
    )


def _unique(records: Sequence[T]) -> list[T]:
    """Return records without repetition: one with aliases is registered under each name."""
    return list({id(record): record for record in records}.values())


def _explain(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _kind(hook: str) -> str:
    return hook.removeprefix("andon_register_").removesuffix("s").replace("_", " ")


def _from(price: Price | None, origin: str) -> Price | None:
    """Return a price that says where it comes from."""
    return price if price is None or price.source else replace(price, source=origin)


def _unknown(name: str, installed: Sequence[str]) -> str:
    """Return what to say of a backend that no plugin offers."""
    from difflib import get_close_matches

    known = {*installed, *map(str, ServingBackend)}
    near = next(iter(get_close_matches(name, known, n=1, cutoff=0.7)), None)
    wanted, advice = name, ""
    if near in installed:
        advice = f"did you mean {near!r}? Otherwise "
    elif near is not None and near != name:
        wanted, advice = near, f"did you mean {near!r}? "
    ours = wanted in ServingBackend.__members__.values()
    distribution = ServingBackend(wanted).distribution if ours else f"andon-{wanted}"
    return (
        f"no installed plugin offers the backend {name!r} "
        f"(installed: {', '.join(installed) or 'none'}); {advice}try: pip install {distribution}"
    )
