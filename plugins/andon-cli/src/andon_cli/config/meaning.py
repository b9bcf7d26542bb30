"""What settings of the right kind may still get wrong: it is tried on the parts that read them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from andon.errors import (
    AndonError,
    ConfigurationError,
    MissingKeyError,
    SettingsError,
    UnknownBackendError,
)
from andon_cli.app import App, quiet_plugins
from andon_cli.config.findings import Problem, Severity, blame, suggestion
from andon_cli.config.places import Way

if TYPE_CHECKING:
    from andon.client import Client
    from andon.settings import Settings

#: Settings that a client reads when it is made, each by itself.
_READ_AT_ONCE = (
    "network", "daily_budget_usd", "max_request_cost_usd", "warning_threshold", "time_zone",
    "routing",
)  # fmt: skip


def check_meaning(app: App, sound: Mapping[str, Any], folder: Path) -> Iterator[Problem]:
    """Give what is wrong with settings of the right kind. Nothing is sent, and nothing is opened.

    :param app: knows what is installed.
    :param sound: the settings.
    :param folder: where their file lies.
    """
    sound = dict(sound)
    with quiet_plugins():
        for name in filter(sound.__contains__, _READ_AT_ONCE):
            problems = list(_tried(app, sound, (name,)))
            yield from problems
            if problems:
                del sound[name]
        for name in sound.get("budgets", {}):
            yield from _tried(app, sound, ("budgets", name))
        yield from _prices_file(sound, folder)
        with _client(app, {}) as client:
            yield from _ledger(client, sound)
            yield from _plugins(client, sound)
            yield from _prices(client, sound)
            yield from _routes(client, sound)
            yield from _endpoints(client, app, sound)


def _client(app: App, values: Mapping[str, Any]) -> Client:
    from andon.client import Client

    return Client(
        settings=_settings(values),
        discover=app.discover,
        plugins=app.plugins,
        environment=app.environment(),
    )


def _settings(values: Mapping[str, Any]) -> Settings:
    from andon.settings import Settings, override

    return override(Settings(), **values)


def _tried(app: App, sound: Mapping[str, Any], way: Way) -> Iterator[Problem]:
    """Make a client with one setting, or one entry of a table, and nothing else."""
    name, *entry = way
    value = sound[str(name)]
    if entry:
        value = {entry[0]: value[entry[0]]}
    try:
        _client(app, {str(name): value}).close()
    except AndonError as error:
        yield blame(value[entry[0]] if entry else value, way, error)


def _prices_file(sound: Mapping[str, Any], folder: Path) -> Iterator[Problem]:
    from andon.pricing.rows import read_prices

    if named := sound.get("prices_file"):
        try:
            read_prices(folder / Path(named).expanduser())
        except ConfigurationError as error:
            yield Problem(("prices_file",), str(error))


def _ledger(client: Client, sound: Mapping[str, Any]) -> Iterator[Problem]:
    scheme = str(sound.get("ledger", "sqlite:")).partition(":")[0]
    if scheme != "sqlite" and client.plugins.ledger(scheme) is None:
        yield Problem(("ledger",), f"no installed plugin opens a ledger at {scheme}:")


def _plugins(client: Client, sound: Mapping[str, Any]) -> Iterator[Problem]:
    installed = sorted(info.name for info in client.plugins.describe())
    severities = {"observers": Severity.ERROR, "disable_plugins": Severity.WARNING}
    for setting, severity in severities.items():
        for number, name in enumerate(sound.get(setting, ())):
            if name not in installed:
                message = f"no plugin {name!r} is installed{suggestion(name, installed)}"
                yield Problem((setting, number), message, severity=severity)


def _prices(client: Client, sound: Mapping[str, Any]) -> Iterator[Problem]:
    known = _names(client, sound)
    for name in sound.get("prices", {}):
        problem = _unknown_backend(name, known)
        if problem:
            yield Problem(("prices", name), problem, at_key=True, severity=Severity.WARNING)


def _routes(client: Client, sound: Mapping[str, Any]) -> Iterator[Problem]:
    known = _names(client, sound)
    for name, route in sound.get("routes", {}).items():
        way: Way = ("routes", name, "models")
        if not route["models"]:
            yield Problem(way, "a route without a model leads nowhere")
        for number, model in enumerate(route["models"]):
            problem = _unknown_backend(model, known) or _unknown_model(client, model)
            if problem:
                yield Problem((*way, number), problem)


def _names(client: Client, sound: Mapping[str, Any]) -> list[str]:
    """Return the names that may stand before a model's: backends, aliases, further endpoints."""
    specs = client.plugins.backends()
    aliases = {alias for spec in specs.values() for alias in spec.aliases}
    return sorted({*specs, *aliases, *sound.get("endpoints", {})})


def _unknown_backend(model: str, known: list[str]) -> str:
    from andon.selection import ModelRef

    try:
        backend = ModelRef.parse(model).backend
    except ConfigurationError as error:
        return str(error)
    if backend in known:
        return ""
    return f"no installed plugin offers the backend {backend!r}{suggestion(backend, known)}"


def _unknown_model(client: Client, model: str) -> str:
    """Say so where a model should lie on this machine, and does not."""
    from andon.selection import ModelRef
    from andon.specs import Locality

    ref = ModelRef.parse(model)
    with suppress(ConfigurationError):
        # What is served elsewhere is known there only.
        if client.plugins.backend(ref.backend).locality is not Locality.IN_PROCESS:
            return ""
        card = client.plugins.model_card(ref.model)
        if (card is not None and card.file is not None) or Path(ref.model).expanduser().exists():
            return ""
        with_files = (card for card in client.plugins.model_cards() if card.file is not None)
        names = sorted(card.name for card in with_files)
        what = f"{ref.model!r} is neither an installed model nor a file"
        return what + suggestion(ref.model, names)
    return ""


def _endpoints(client: Client, app: App, sound: Mapping[str, Any]) -> Iterator[Problem]:
    names = ("privacy", "network", "endpoints")
    settings = _settings({name: sound[name] for name in names if name in sound})
    for name, table in settings.endpoints.items():
        way: Way = ("endpoints", name)
        try:
            yield from _read(client, app, settings, name)
        except UnknownBackendError as error:
            named = (*way, "backend") if "backend" in table else way
            message = _misspelled(client, str(table.get("backend", name))) or str(error)
            yield Problem(named, message, at_key="backend" not in table)
        except AndonError as error:
            yield blame(table, way, error)


def _misspelled(client: Client, backend: str) -> str:
    near = get_close_matches(backend, sorted(client.plugins.backends()), n=1)
    what = f"no installed plugin offers the backend {backend!r}"
    return f"{what}; did you mean {near[0]!r}?" if near else ""


def _read(client: Client, app: App, settings: Settings, name: str) -> Iterator[Problem]:
    try:
        _make(client, app, settings, name)
    except MissingKeyError as error:
        way: Way = ("endpoints", name)
        yield Problem(way, str(error), at_key=True, severity=Severity.WARNING)
        # With some key, to see what else is wrong.
        with suppress(MissingKeyError):
            _make(client, app, settings, name, api_key="none")


def _make(client: Client, app: App, settings: Settings, name: str, **more: str) -> None:
    """Let a backend read its table, as it does before its first request."""
    from andon.privacy import PrivacyTier
    from andon.privacy.egress import EgressPolicy
    from andon.privacy.endpoints import check_endpoint
    from andon.specs import BackendContext

    options = {**settings.endpoints[name], **more}
    kind = options.pop("backend", name)
    if not isinstance(kind, str):
        raise SettingsError("backend must be the name of a backend")
    network = settings.network
    egress = EgressPolicy.of(network.allow_cidrs, network.allow_names, network.unix_sockets)
    check_endpoint(settings.privacy, egress, name, options)
    context = BackendContext(
        options=options,
        offline=settings.privacy is PrivacyTier.SOVEREIGN,
        no_relay=settings.privacy is not PrivacyTier.STANDARD,
        find_card=client.plugins.model_card,
        environment=app.environment() or {},
        egress=egress,
    )
    client.plugins.backend(kind).create(context).close()
