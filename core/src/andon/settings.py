"""Settings: explicit argument > environment > ``andon.toml`` > the user's file > default.

Nothing is read at import. :func:`load` reads; ``Settings()`` is the defaults and reads nothing.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar, Literal

from andon.budget import Budget
from andon.context import TruncationStrategy
from andon.errors import SettingsError
from andon.failover.policy import FailoverPolicy
from andon.pricing.rows import PriceRows, listed, place_of
from andon.privacy import PrivacyTier
from andon.specs import ModelProfile

FILE_NAME = "andon.toml"

#: Environment variables, and the setting that each one gives.
VARIABLES: Mapping[str, str] = {
    "ANDON_PRIVACY": "privacy",
    "ANDON_DAILY_BUDGET_USD": "daily_budget_usd",
    "ANDON_MAX_REQUEST_COST_USD": "max_request_cost_usd",
    "ANDON_LEDGER": "ledger",
    "ANDON_PRICES_FILE": "prices_file",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSettings:
    """What counts as one's own network.

    :param allow_cidrs: networks of one's own, as ``192.168.1.0/24``; an address in one is local.
    :param allow_names: names of hosts of one's own; what they resolve to must be in one of them.
    :param unix_sockets: paths of unix sockets that may be connected to.
    :param guard: whether a client of the tier sovereign guards the whole process; without, only
        its own connections are checked.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    allow_cidrs: tuple[str, ...] = ()
    allow_names: tuple[str, ...] = ()
    unix_sockets: tuple[str, ...] = ()
    guard: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteSettings(FailoverPolicy):
    """A name for several models, and how hard to try them.

    :param models: ``backend:model``, in order of preference.
    """

    models: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What holds for every request of a client.

    :param privacy: where the data of a request may go.
    :param network: what counts as one's own network, for the tiers that keep data near.
    :param daily_budget_usd: most that one day may cost, in US dollars.
    :param max_request_cost_usd: most that one request may cost, in US dollars.
    :param budgets: further budgets by name: ``limit_usd``, ``period``, ``per``, ``match``.
    :param warning_threshold: share of a budget at which to warn, from 0 to 1.
    :param time_zone: the zone whose midnight begins a day; the machine's own where None.
    :param truncation: what is left out of a chat that does not fit its model's context window.
    :param truncation_block: how many turns are left out at a time. More than one leaves the
        beginning of a chat, which providers cache, the same for some turns.
    :param unknown_price: what to do about a model whose price nobody knows: ``"refuse"``, take
        the ``"highest_known"`` price, or ``"allow"`` it.
    :param ledger_failure: what to do while the ledger cannot be reached: ``"refuse"`` requests
        that cost money, or ``"allow"`` them uncounted.
    :param ledger: URL of the place where spending is kept; in memory where None.
    :param endpoints: settings of backends, by the backend's name.
    :param prices: prices by ``backend:model``; several rows of one model hold in turn.
    :param prices_file: a file of further prices, TOML or JSON; ``prices`` go before it.
    :param profiles: what models accept, by glob patterns of ``model`` or ``backend:model``.
    :param drop_unsupported: whether an option that a model does not take is left out, with an
        event, instead of refused.
    :param routes: names for several models: ``models`` in order of preference, and how hard to
        try them, as in ``failover``.
    :param failover: how hard to try, for models that are named without a route.
    :param routing: ``strategy``, the name of a routing strategy, and that strategy's settings;
        where empty, models are asked in the caller's order.
    :param observers: names of installed plugins whose observers are wanted.
    :param disable_plugins: names of installed plugins to leave out.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    privacy: PrivacyTier = PrivacyTier.STANDARD
    network: NetworkSettings = NetworkSettings()
    daily_budget_usd: Decimal | None = None
    max_request_cost_usd: Decimal | None = None
    budgets: dict[str, Budget] = field(default_factory=dict)
    warning_threshold: float = 0.8
    time_zone: str | None = None
    truncation: TruncationStrategy = TruncationStrategy.ERROR
    truncation_block: int = 1
    unknown_price: Literal["refuse", "highest_known", "allow"] = "refuse"
    ledger_failure: Literal["refuse", "allow"] = "refuse"
    ledger: str | None = None
    endpoints: dict[str, dict[str, Any]] = field(default_factory=dict)
    prices: dict[str, PriceRows] = field(default_factory=dict)
    prices_file: str | None = None
    profiles: dict[str, ModelProfile] = field(default_factory=dict)
    drop_unsupported: bool = False
    routes: dict[str, RouteSettings] = field(default_factory=dict)
    failover: FailoverPolicy = FailoverPolicy()
    routing: dict[str, Any] = field(default_factory=dict)
    observers: tuple[str, ...] = ()
    disable_plugins: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.truncation_block < 1:
            raise SettingsError(f"truncation_block must be 1 or more, not {self.truncation_block}")


def load(
    *,
    directory: Path | None = None,
    user_file: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Settings:
    """Read the settings.

    :param directory: where ``andon.toml`` is looked for; the current directory by default.
    :param user_file: the user's own file; ``andon/andon.toml`` in their configuration folder by
        default.
    :param environment: environment variables; the process's own by default.
    :raises SettingsError: a file cannot be read, or a value is wrong; says which and where.
    """
    environment = os.environ if environment is None else environment
    files = (
        user_file_of(environment) if user_file is None else user_file,
        (Path.cwd() if directory is None else directory) / FILE_NAME,
    )
    settings = Settings()
    for file in files:
        if file.is_file():
            settings = _merge(settings, _placed(_read(file), file.parent), str(file))
    for variable, name in VARIABLES.items():
        if environment.get(variable):
            settings = _merge(settings, {name: environment[variable]}, variable)
    return settings


def load_file(file: Path) -> Settings:
    """Read one file and nothing else.

    :param file: where it is.
    :raises SettingsError: it cannot be read, or a value is wrong; says which.
    """
    return _merge(Settings(), _placed(_read(file), file.parent), str(file))


def override(settings: Settings, **values: Any) -> Settings:
    """Return settings with some values replaced; None leaves a value as it is.

    :raises SettingsError: a value is wrong.
    """
    given = {name: value for name, value in values.items() if value is not None}
    return _merge(settings, given, "argument") if given else settings


def user_file_of(environment: Mapping[str, str]) -> Path:
    """Return where the user's own file lies, or would.

    :param environment: environment variables.
    """
    base = environment.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(base).expanduser() / "andon" / FILE_NAME


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{file} cannot be read: {error}") from error


def _placed(values: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return a file's values; the files that it names lie beside it."""
    named = values.get("prices_file")
    if not isinstance(named, str):
        return values
    return {**values, "prices_file": str(folder / Path(named).expanduser())}


def _merge(settings: Settings, values: Mapping[str, Any], source: str) -> Settings:
    """Lay values over settings; tables are merged entry by entry."""
    try:
        return replace(settings, **_laid_over(settings, _plainly_right(values)))
    except (ArithmeticError, KeyError, TypeError, ValueError):
        # Wrong, or more than plain: it is checked in full, and said in words.
        pass
    # pydantic is imported only where there is something to check, since that takes longer than
    # everything else at the start of a program.
    from pydantic import TypeAdapter, ValidationError

    merged = _laid_over(settings, values)
    merged["prices"] = listed(merged["prices"])
    try:
        return TypeAdapter(Settings).validate_python(merged)
    except ValidationError as error:
        problems = "; ".join(_problem(details) for details in error.errors())
        raise SettingsError(f"{source}: {problems}") from error


def _laid_over(settings: Settings, values: Mapping[str, Any]) -> dict[str, Any]:
    merged = {name: getattr(settings, name) for name in _names()}
    for name, value in values.items():
        old = merged.get(name)
        both = isinstance(old, dict) and isinstance(value, Mapping)
        merged[name] = {**old, **value} if both and old is not None else value
    return merged


def _plainly_right(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values that need no more than a look.

    :raises KeyError: one of them is of a kind that needs more.
    :raises ValueError: one of them is wrong; or TypeError, or ArithmeticError.
    """
    return {name: _PLAIN[name](value) for name, value in values.items()}


def _plain_amount(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, Decimal | int | float | str):
        raise TypeError
    amount = Decimal(str(value).strip())
    if not amount.is_finite():
        raise ValueError
    return amount


def _plain_table(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise TypeError
    return dict(value)


def _plain_tables(value: Any) -> dict[str, dict[str, Any]]:
    return {name: _plain_table(table) for name, table in _plain_table(value).items()}


def _plain_names(value: Any) -> tuple[str, ...]:
    if isinstance(value, str) or not all(isinstance(name, str) for name in value):
        raise TypeError
    return tuple(value)


def _plain_flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _plain_count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError
    return value


def _plain_text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


#: Settings that are given in code or in variables, and seldom wrong.
_PLAIN: Mapping[str, Callable[[Any], Any]] = {
    "privacy": PrivacyTier,
    "truncation": TruncationStrategy,
    "daily_budget_usd": _plain_amount,
    "max_request_cost_usd": _plain_amount,
    "endpoints": _plain_tables,
    "routing": _plain_table,
    "observers": _plain_names,
    "drop_unsupported": _plain_flag,
    "truncation_block": _plain_count,
    "ledger": _plain_text,
    "prices_file": _plain_text,
}


def _problem(details: Mapping[str, Any]) -> str:
    place = ".".join(str(part) for part in details["loc"])
    if details["loc"][0] == "prices" and details["loc"][1:]:
        place = f"prices.{place_of(details['loc'][1:])}"
    if details["type"] in {"unexpected_keyword_argument", "extra_forbidden"}:
        known = ", ".join(sorted(_names()))
        return f"there is no setting {place!r}; the settings are {known}"
    return f"{place}: {details['msg']}, not {details['input']!r}"


def _names() -> list[str]:
    return [setting.name for setting in fields(Settings)]
