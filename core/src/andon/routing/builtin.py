"""The strategies that come with andon, by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from andon.errors import SettingsError
from andon.routing.in_order import InOrder
from andon.specs import RouterSpec

if TYPE_CHECKING:
    from random import Random

    from andon.routing.contract import Router
    from andon.routing.load import LoadStore


@dataclass(frozen=True, slots=True)
class _NoOptions:
    """A strategy without options."""


#: Their names.
BUILTIN = ("in_order", "spillover", "least_busy", "cheapest", "fastest", "weighted")


def builtin_routers() -> Mapping[str, RouterSpec]:
    """Return the strategies that come with andon, by name."""
    return {name: RouterSpec(name=name, create=partial(create_router, name)) for name in BUILTIN}


def create_router(
    name: str,
    options: Mapping[str, Any],
    store: LoadStore | None = None,
    random: Random | None = None,
) -> Router:
    """Make one of the strategies that come with andon.

    :param name: its name, one of :data:`BUILTIN`.
    :param options: its settings.
    :param store: keeps the counts and queues; in this process where None.
    :param random: draws the backends that are compared, where the strategy draws any.
    :raises SettingsError: there is no such strategy, or an option is unknown or wrong.
    """
    # Imported here: most programs ask in order.
    from andon.routing import spillover, strategies
    from andon.routing.options import LoadConfig, read_options

    match name:
        case "in_order":
            read_options(name, _NoOptions, options)
            return InOrder(store)
        case "spillover":
            config = read_options(name, spillover.RouterConfig, options)
            return spillover.SpilloverRouter(config, store, random)
        case "least_busy":
            return strategies.LeastBusy(
                read_options(name, strategies.LeastBusyConfig, options), store, random
            )
        case "cheapest":
            return strategies.Cheapest(read_options(name, LoadConfig, options), store)
        case "fastest":
            return strategies.Fastest(read_options(name, LoadConfig, options), store)
        case "weighted":
            return strategies.Weighted(
                read_options(name, strategies.WeightedConfig, options), store
            )
    raise SettingsError(
        f"routing.strategy: there is no strategy {name!r}; there are {', '.join(BUILTIN)}"
    )
