"""A load, and what one's own settings make of it: to be tried before it is trusted."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from random import Random
from typing import Any

from andon.budget import CostCircuitBreaker, MemoryLedger
from andon.chat import ChatRequest, Sampling
from andon.drivers import World as Rooms
from andon.errors import ServerError, SettingsError
from andon.health import HealthBoard
from andon.messages import ChatMessage
from andon.options import Models, find_policy, read_models
from andon.pricing import Priced
from andon.routing import BUILTIN, InOrder, MemoryLoad, Router, create_router
from andon.routing.counted import NEAR
from andon.selection import ModelRef
from andon.settings import Settings
from andon.simulation.model import Question, Saying
from andon.simulation.process import Process, SharedLoad
from andon.simulation.report import LoadReport, report
from andon.simulation.server import Fault, FaultKind, Manners, Server, Service
from andon.simulation.visit import Visit
from andon.simulation.world import World
from andon.specs import BackendSpec, Locality
from andon.trip import House, Order
from andon.workplace import Workplace

#: When simulated loads begin: a whole day is before them.
_MIDNIGHT = datetime(2026, 1, 1, tzinfo=UTC)

#: What servers are taken for about which nobody says anything: one's own, with one graphics card,
#: and a provider's. Rough figures; a measurement of one's own is better.
OWN = Service(slots=4, prefill=1000.0, decode=40.0, latency=0.002)
PROVIDER = Service(slots=None, prefill=5000.0, decode=80.0, latency=0.3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Requests that come. Times are in seconds.

    :param rate: requests a second.
    :param count: how many.
    :param burst: how many come together on average; 1 for one by one.
    :param prompt_tokens: tokens of a prompt, on average.
    :param output_tokens: tokens of an answer, on average.
    :param spread: how much these differ: sigma of a lognormal distribution.
    :param max_tokens: what requests say; None says nothing.
    :param timeout: how long callers wait; None for ever.
    :param users: how many callers there are, who share queues fairly.
    :raises SettingsError: a value is wrong.
    """

    rate: float
    count: int = 2000
    burst: float = 1.0
    prompt_tokens: int = 500
    output_tokens: int = 200
    spread: float = 0.5
    max_tokens: int | None = None
    timeout: float | None = None
    users: int = 1

    def __post_init__(self) -> None:
        for name, least in (("rate", 0.0), ("burst", 0.999), ("prompt_tokens", 0),
                            ("output_tokens", 0), ("count", 0), ("users", 0)):  # fmt: skip
            value = getattr(self, name)
            if not least < value < math.inf:
                raise SettingsError(f"{name}: a number above {math.ceil(least)}, not {value}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """How the servers fare that a load comes to. Times are in seconds.

    :param services: how fast they are, by the backend's name; :data:`OWN` and :data:`PROVIDER`
        for those that are not named.
    :param failures: share of requests that fail, by the backend's name.
    :param outages: when a backend is down: its name, from when, until when.
    :param processes: how many processes the requests are spread over.
    :param seed: the same gives the same run.
    """

    services: Mapping[str, Service] = field(default_factory=dict)
    failures: Mapping[str, float] = field(default_factory=dict)
    outages: Sequence[tuple[str, float, float]] = ()
    processes: int = 1
    seed: int = 0


def simulate(
    settings: Settings,
    models: Models,
    load: Load,
    circumstances: Circumstances = Circumstances(),
    *,
    prices: Mapping[str, Priced] | None = None,
    discover: bool = False,
    plugins: Sequence[object] = (),
) -> LoadReport:
    """Return what becomes of a load under some settings. Nothing is sent, and nothing waits.

    Routes, strategy, queues, failover, hedging, prices and budgets are those of the settings, and
    the code that serves requests is the real one; only the servers and the time are simulated.

    :param settings: the settings to try.
    :param models: ``backend:model``, the name of a route, or several in order of preference.
    :param load: what comes.
    :param circumstances: how the servers fare.
    :param prices: prices by ``backend:model``, before those of the settings.
    :param discover: whether to look for installed plugins.
    :param plugins: modules or objects that are plugins.
    :raises AndonError: the settings, or the models, cannot be used.
    """
    refs = read_models(models, settings.routes)
    place = _open_place(settings, prices or {}, discover, plugins)
    try:
        town = _Town(settings, place, refs, circumstances)
        town.receive(load, find_policy(models, settings.routes, settings.failover))
        town.world.run()
        return report(load.rate, town.world.visits, refs, town.ledger, town.now, place.house)
    finally:
        place.end()


def usual_services(
    settings: Settings, models: Models, *, discover: bool = False, plugins: Sequence[object] = ()
) -> dict[str, Service]:
    """Return what backends are taken for where nobody says how fast they are, in their order.

    Those on one's own machines are like :data:`OWN`, with the slots that the settings say, and
    others like :data:`PROVIDER`.

    :param settings: the settings to try.
    :param models: see :func:`simulate`.
    :param discover: whether to look for installed plugins.
    :param plugins: modules or objects that are plugins.
    :raises AndonError: the settings, or the models, cannot be used.
    """
    place = _open_place(settings, {}, discover, plugins)
    try:
        specs = [place.find_backend(ref.backend) for ref in read_models(models, settings.routes)]
        return {spec.name: _service_of(spec, settings) for spec in specs}
    finally:
        place.end()


def _service_of(spec: BackendSpec, settings: Settings) -> Service:
    named = settings.routing.get("slots")
    slots = named.get(spec.name) if isinstance(named, Mapping) else None
    if spec.locality not in NEAR:
        return replace(PROVIDER, slots=slots)
    usual = 1 if spec.locality is Locality.IN_PROCESS else settings.routing.get("default_slots")
    return replace(OWN, slots=slots or usual or OWN.slots)


def _open_place(
    settings: Settings, prices: Mapping[str, Priced], discover: bool, plugins: Sequence[object]
) -> Workplace:
    # Nothing is sent, so there is nothing to guard, and nobody to tell.
    network = replace(settings.network, guard=False)
    quiet = replace(settings, routing={}, ledger=None, observers=(), network=network)
    return Workplace(quiet, prices=prices, ledger=None, discover=discover, plugins=plugins)


def capacity(service: Service, load: Load) -> float | None:
    """Return how many requests a second a server can serve; None where it has no limit.

    :param service: how fast it is.
    :param load: tells the size of requests.
    """
    if service.slots is None:
        return None
    seconds = load.prompt_tokens / service.prefill + load.output_tokens / service.decode
    return service.slots / (seconds * math.exp(service.spread**2 / 2))


class _Town:
    """The world that a load comes to."""

    def __init__(
        self,
        settings: Settings,
        place: Workplace,
        refs: Sequence[ModelRef],
        circumstances: Circumstances,
    ) -> None:
        self.world = World(Random(circumstances.seed))  # noqa: S311  not for secrets
        self.ledger = MemoryLedger()
        self._settings = settings
        self._place = place
        self._refs = tuple(refs)
        specs = {ref.backend: place.find_backend(ref.backend) for ref in refs}
        _check_names(circumstances, specs)
        for name, spec in specs.items():
            self._add_server(name, spec, circumstances)
        shared = MemoryLoad() if "by" in settings.routing else None
        for _ in range(circumstances.processes):
            self._add_process(shared, specs)

    def now(self) -> datetime:
        """Return the time of day."""
        return _MIDNIGHT + timedelta(seconds=self.world.timeline.now)

    def receive(self, load: Load, policy: Any) -> None:
        """Let a load come."""
        random, settings = self.world.random, self._settings
        for number, moment in enumerate(_moments(random, load), 1):
            question = Question(
                number, _draw(random, load.prompt_tokens, load.spread), (_saying(random, load),)
            )
            self.world.questions[number] = question
            order = Order(
                self._refs,
                _request(question, self._refs[0].model, load.max_tokens),
                load.timeout,
                number,
                settings.drop_unsupported,
                {"user": f"user-{random.randrange(load.users)}"},
                failover=policy,
            )
            process = random.choice(self.world.processes)
            process.receive(Visit(at=moment, order=order, question=question))

    def _add_server(self, name: str, spec: BackendSpec, circumstances: Circumstances) -> None:
        share = circumstances.failures.get(name, 0.0)

        def draw_fault(random: Random) -> Fault | None:
            if random.random() >= share:
                return None
            if random.random() < 0.5:
                return Fault(kind=FaultKind.ERROR, error=ServerError("simulated", status=500))
            return Fault(kind=FaultKind.CUT, after=random.randint(0, 4))

        world = self.world
        server = world.servers[name] = Server(
            name,
            world.timeline,
            world.random,
            world.questions,
            circumstances.services.get(name) or _service_of(spec, self._settings),
            Manners(piece=_PIECE),
            draw_fault,
        )
        for down, begin, end in circumstances.outages:
            if down == name:
                world.timeline.at(begin, server.fall)
                world.timeline.at(end, server.rise)

    def _add_process(self, shared: MemoryLoad | None, specs: Mapping[str, BackendSpec]) -> None:
        load = None if shared is None else SharedLoad(shared)
        router = _router(self._settings, load, self.world.random)
        for name, spec in specs.items():
            note = getattr(router, "note_slots", None)
            if note is not None and spec.locality is Locality.IN_PROCESS:
                note(name, self.world.servers[name].service.slots)
        house: House = replace(
            self._place.house,
            router=router,
            health=HealthBoard(),
            clock=self.world.now,
            backends={},  # none but the simulated ones is ever asked
        )
        config = self._place.world.breaker.config
        breaker = CostCircuitBreaker(config, ledger=self.ledger, now=self.now)
        servers: Any = self.world.servers
        rooms = Rooms(lambda spec: servers[spec.name], breaker)
        self.world.processes.append(Process(self.world, house, rooms, load=load))


#: Tokens in a piece: the text does not matter here, and fewer pieces are faster.
_PIECE = 50


def _router(settings: Settings, load: SharedLoad | None, random: Random) -> Router:
    """Make the settings' strategy; one over shared counts is simulated by what it goes by."""
    options = dict(settings.routing)
    if not options:
        return InOrder()
    name = options.pop("strategy", None)
    if name in BUILTIN:
        return create_router(name, options, load, random)
    name = options.pop("by", None)
    if name not in BUILTIN:
        raise SettingsError(
            "routing.strategy: only strategies of andon's own can be simulated: "
            + ", ".join(BUILTIN)
        )
    from andon.routing.spillover import RouterConfig
    from andon.routing.strategies import LeastBusyConfig, WeightedConfig

    kinds: tuple[Any, ...] = (RouterConfig, LeastBusyConfig, WeightedConfig)
    known = {option.name for kind in kinds for option in fields(kind)}
    kept = {option: value for option, value in options.items() if option in known}
    return create_router(name, kept, load, random)


def _check_names(circumstances: Circumstances, specs: Mapping[str, BackendSpec]) -> None:
    named = {*circumstances.services, *circumstances.failures}
    named |= {name for name, _, _ in circumstances.outages}
    for name in sorted(named - set(specs)):
        raise SettingsError(
            f"the models that are asked are at {', '.join(sorted(specs))}, and not at {name!r}"
        )


def _moments(random: Random, load: Load) -> Iterator[float]:
    """Give the times at which requests come."""
    moment, together = 0.0, 0
    for _ in range(load.count):
        if together:
            together -= 1
        else:
            moment += random.expovariate(load.rate / load.burst)
            # So many more come with this one that there are as many as wanted on average.
            together = 0 if load.burst <= 1 else int(random.expovariate(1 / (load.burst - 0.5)))
        yield moment


def _draw(random: Random, mean: int, spread: float) -> int:
    return max(1, round(mean * random.lognormvariate(-(spread**2) / 2, spread)))


def _saying(random: Random, load: Load) -> Saying:
    return _words(_draw(random, load.output_tokens, load.spread))


@lru_cache(maxsize=4096)
def _words(count: int) -> Saying:
    return Saying((" word",) * count)


def _request(question: Question, model: str, max_tokens: int | None) -> ChatRequest:
    return ChatRequest(
        model=model,
        # Four bytes to a token, as in English.
        messages=(ChatMessage.user("word" * question.prompt_tokens),),
        sampling=Sampling(max_tokens=max_tokens, seed=question.number),
        stream=True,
    )
