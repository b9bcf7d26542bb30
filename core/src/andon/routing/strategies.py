"""Simple strategies over one's own counts: least busy, cheapest, fastest, weighted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from random import Random

from andon.errors import SettingsError
from andon.routing.contract import Ask, Candidate
from andon.routing.counted import CountedRouter, behind, healthy
from andon.routing.load import Group, LoadStore, Marks, Option, Plan
from andon.routing.options import LoadConfig, check_number, check_whole


@dataclass(frozen=True, slots=True, kw_only=True)
class LeastBusyConfig(LoadConfig):
    """How the least busy backend is found.

    :param choices: how many backends, drawn at random, are compared; 0 for all. Two are enough to
        be nearly as good, and better where many processes count each for itself: they would all
        find the same backend idle.
    """

    choices: int = 0

    def __post_init__(self) -> None:
        LoadConfig.__post_init__(self)
        check_whole("choices", self.choices, least=0)


class LeastBusy(CountedRouter):
    """Takes the backend with the least to do, by its slots and service time.

    :param config: how it is found.
    :param store: keeps the counts; in this process where None.
    :param random: draws the backends that are compared.
    """

    def __init__(
        self,
        config: LeastBusyConfig | None = None,
        store: LoadStore | None = None,
        random: Random | None = None,
    ) -> None:
        self._choices = (config or LeastBusyConfig()).choices
        self._random = random or Random()  # noqa: S311  not for secrets
        super().__init__(config or LeastBusyConfig(), store)

    def plan(
        self, candidates: Sequence[Candidate], ask: Ask, now: float
    ) -> tuple[Plan, Sequence[Candidate]]:
        """Return what to take; see :meth:`CountedRouter.plan`."""
        options = [self.option(one, ask, now) for one in healthy(candidates)]
        return draw(options, self._choices, self._random), behind((), candidates)


class Cheapest(CountedRouter):
    """Takes the backend where the request costs least; among equals the least busy."""

    def plan(
        self, candidates: Sequence[Candidate], ask: Ask, now: float
    ) -> tuple[Plan, Sequence[Candidate]]:
        """Return what to take; see :meth:`CountedRouter.plan`."""
        ranked = sorted(healthy(candidates), key=_cost)
        groups = [
            Group([self.option(one, ask, now) for one in equals])
            for _, equals in groupby(ranked, key=_cost)
        ]
        return groups, behind(ranked, candidates)


class Fastest(CountedRouter):
    """Takes the backend that is predicted to be done first: its wait and its service time."""

    def plan(
        self, candidates: Sequence[Candidate], ask: Ask, now: float
    ) -> tuple[Plan, Sequence[Candidate]]:
        """Return what to take; see :meth:`CountedRouter.plan`."""
        options = [self.option(one, ask, now) for one in healthy(candidates)]
        for option in options:
            slots = option.slots
            option.base = option.pace * option.weight * (slots or self._config.default_slots or 1)
            # Without slots nobody waits.
            option.free = (option.most or 0) if slots is None else slots - 1
        ranked = sorted(options, key=lambda option: option.base)
        return [Group(options)], behind([option.candidate for option in ranked], candidates)


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightedConfig(LoadConfig):
    """Who gets how much.

    :param weights: each backend's share, by its name; 1 for those that are not named.
    """

    weights: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        LoadConfig.__post_init__(self)
        if not isinstance(self.weights, Mapping):
            raise SettingsError(
                f"routing.weights: names of backends, each with a number, not {self.weights!r}"
            )
        for name, weight in self.weights.items():
            check_number(f"weights.{name}", weight)


class Weighted(CountedRouter):
    """Gives each backend its share of the requests, evenly spread (smooth weighted round robin).

    :param config: the shares.
    :param store: keeps the counts; in this process where None.
    """

    def __init__(
        self, config: WeightedConfig | None = None, store: LoadStore | None = None
    ) -> None:
        self._weights = dict((config or WeightedConfig()).weights)
        self._credit: dict[str, float] = {}
        super().__init__(config or WeightedConfig(), store)

    def plan(
        self, candidates: Sequence[Candidate], ask: Ask, now: float
    ) -> tuple[Plan, Sequence[Candidate]]:
        """Return what to take; see :meth:`CountedRouter.plan`."""
        present = healthy(candidates)
        credit = self._credit
        total = 0.0
        for one in present:
            weight = self._weights.get(one.spec.name, 1.0)
            credit[one.spec.name] = credit.get(one.spec.name, 0.0) + weight
            total += weight
        ranked = sorted(present, key=lambda one: -credit[one.spec.name])
        credit[ranked[0].spec.name] -= total
        groups = [Group([self.option(one, ask, now)]) for one in ranked]
        return groups, behind(ranked, candidates)


def draw(
    options: Sequence[Option], choices: int, random: Random, marks: Marks | None = None
) -> list[Group]:
    """Return a plan that takes the least busy of some options drawn at random, else of the rest.

    :param options: all of them.
    :param choices: how many to draw; 0 for all.
    :param random: draws them.
    :param marks: leaves out who is overloaded.
    """
    if not 0 < choices < len(options):
        return [Group(options, marks)]
    drawn = random.sample(range(len(options)), choices)
    rest = [option for number, option in enumerate(options) if number not in drawn]
    return [Group([options[number] for number in drawn], marks), Group(rest, marks)]


def _cost(candidate: Candidate) -> int:
    return candidate.cost
