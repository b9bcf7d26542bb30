"""Small worlds drawn from a seed, in which everything can go wrong that does in large ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any, TypeVar

from andon.announcements import Announcer
from andon.backends import Backend
from andon.budget import Budget, CircuitBreakerConfig, CostCircuitBreaker, MemoryLedger
from andon.chat import ChatRequest, ResponseFormat, Sampling, Tool
from andon.drivers import World as Rooms
from andon.failover import FailoverMode, FailoverPolicy
from andon.health import HealthConfig
from andon.messages import ChatMessage
from andon.pricing import PriceTable, to_nano
from andon.privacy import PrivacyTier
from andon.profiles import ProfileTable
from andon.routing import MemoryLoad, Router, create_router
from andon.selection import BackendSelector, ModelRef
from andon.simulation.faults import draw_fault
from andon.simulation.model import Question, Saying
from andon.simulation.process import Process, SharedLoad
from andon.simulation.server import Continuing, Manners, Server, Service
from andon.simulation.visit import Caller, Visit
from andon.simulation.watch import InvariantBroken, Invariants, WatchedHealth
from andon.simulation.world import World
from andon.specs import BackendContext, BackendSpec, Locality, Price
from andon.trip import House, Order

T = TypeVar("T")

#: What texts are made of: words of one token and of several, signs of several characters, what
#: looks like a control tag, scripts without spaces, and words that come again and again.
_WORDS: tuple[tuple[str, ...], ...] = (
    (" the",), (" capital",), (" of",), (" Fr", "ance"), (" is",), (" Par", "is"), (".",), (",",),
    (" na", "i\u0308", "ve"), (" 🚀",), (" 👩", "\u200d🚀"), ("\n",), ("\n\n",), ("  ",),
    (" <|", "im"), (" [", "IN"), (" un", "believ", "ably"), (" 東", "京", "都"), (" ha",),
    (" ha", " ha"), (" END",),
)  # fmt: skip
_OPENINGS = (("The",), ("Yes", ","), ("Par", "is"), ("東", "京"), ("{", '"a"'), ("1",), ("ha",))

#: When worlds begin: shortly before midnight some of them, so that the day changes on the way.
_NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
_LATE = datetime(2026, 1, 1, 23, 59, 58, tzinfo=UTC)
_LEASE = 900.0


@dataclass(slots=True)
class _Draft:
    """A world in the making."""

    random: Random
    exact: bool
    specs: dict[str, BackendSpec] = field(default_factory=dict)
    prices: dict[str, Price] = field(default_factory=dict)
    many_models: bool = False

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def one_of(self, *options: T) -> T:
        return self.random.choice(options)


def draw_world(seed: int) -> World:
    """Return the small world of a seed, watched over.

    :param seed: any number.
    """
    random = Random(seed)  # noqa: S311  not for secrets
    draft = _Draft(random, random.random() < 0.5)
    draft.many_models = draft.chance(0.1)
    world = World(random, shuffled=draft.chance(0.5))
    _add_servers(draft, world)
    tier = draft.one_of(*PrivacyTier) if draft.chance(0.25) else PrivacyTier.STANDARD
    ledger, begins = MemoryLedger(), _LATE if draft.chance(0.1) else _NOON

    def wall_clock() -> datetime:
        return begins + timedelta(seconds=world.timeline.now)

    config = _draw_budgets(draft)
    limits = {name: to_nano(budget.limit_usd) for name, budget in config.budgets.items()}
    if config.daily_budget_usd is not None:
        limits["all"] = to_nano(config.daily_budget_usd)
    world.watch = Invariants(
        tier, ledger, lambda: wall_clock().timestamp(), limits, lease=_LEASE, exact=draft.exact
    )
    _add_processes(
        draft, world, tier, lambda: CostCircuitBreaker(config, ledger=ledger, now=wall_clock)
    )
    _add_visits(draft, world)
    return world


def run_seed(seed: int, trace: list[str] | None = None) -> World:
    """Let the small world of a seed happen, and return it.

    :param seed: any number.
    :param trace: takes a line for everything that happens; nothing is written down where None.
    :raises InvariantBroken: something happened that never may; the message begins with the seed.
    """
    try:
        world = draw_world(seed)
        world.trace = trace
        world.run()
    except Exception as error:
        raise InvariantBroken(f"seed {seed}: {type(error).__name__}: {error}") from error
    return world


# -- Servers --------------------------------------------------------------------------------------


def _add_servers(draft: _Draft, world: World) -> None:
    for number in range(draft.one_of(1, 2, 3, 3, 4)):
        name = f"s{number}"
        locality = draft.one_of(*Locality)
        server = Server(
            name,
            world.timeline,
            world.random,
            world.questions,
            _draw_service(draft),
            _draw_manners(draft),
            draw_fault(draft.one_of(0.0, 0.05, 0.3, 0.5, 0.7, 0.9)),
        )
        world.servers[name] = server
        draft.specs[name] = BackendSpec(name=name, create=_giver(server), locality=locality)
        if locality in {Locality.PRIVATE, Locality.PUBLIC} or draft.chance(0.2):
            draft.prices[f"{name}:m"] = Price(
                input=Decimal(draft.random.randint(0, 5)),
                output=Decimal(draft.random.randint(1, 20)),
            )
        if draft.chance(0.15):
            begin = draft.random.uniform(0, 3)
            world.timeline.at(begin, server.fall)
            world.timeline.at(begin + draft.random.uniform(0.1, 5), server.rise)


def _giver(server: Server) -> Callable[[BackendContext], Backend]:
    backend: Any = server
    return lambda context: backend


def _draw_service(draft: _Draft) -> Service:
    return Service(
        slots=draft.one_of(None, 1, 2),
        prefill=draft.one_of(100.0, 5000.0, 5000.0),
        decode=draft.one_of(5.0, 50.0, 200.0),
        latency=draft.one_of(0.0, 0.01, 0.3),
        spread=draft.one_of(0.0, 0.5),
    )


def _draw_manners(draft: _Draft) -> Manners:
    model = draft.random.randint(0, 1) if draft.many_models else 0
    continuing = draft.one_of(Continuing.GOES_ON, Continuing.GOES_ON, *Continuing)
    measures = draft.chance(0.3)
    if draft.exact:
        return Manners(model=model, continuing=continuing, measures=measures)
    # Another model may well have another last word; without it, text must not be cut inside tokens.
    piece = draft.one_of(1 if draft.many_models else 0, 1, 1, 2, 5)
    return Manners(
        model=model,
        continuing=continuing,
        # Where a token of white space alone may be cut, nobody can tell what was taken away.
        strips=piece > 0 and draft.chance(0.15),
        echoes=draft.chance(0.1),
        piece=piece,
        opening=draft.chance(0.3),
        reports=draft.chance(0.8),
        measures=measures,
    )


# -- Processes ------------------------------------------------------------------------------------


def _draw_budgets(draft: _Draft) -> CircuitBreakerConfig:
    # A request costs a few ten thousandths of a dollar here.
    tight = Decimal(draft.random.randint(1, 30)) / 10000
    budgets = {}
    if draft.chance(0.2):
        budgets["each"] = Budget(limit_usd=tight / 2, per="user", period="ever")
    return CircuitBreakerConfig(
        daily_budget_usd=tight if draft.chance(0.3) else None,
        max_request_cost_usd=tight if draft.chance(0.1) else None,
        budgets=budgets,
        time_zone="UTC",
        lease_seconds=_LEASE,
    )


def _add_processes(
    draft: _Draft,
    world: World,
    tier: PrivacyTier,
    make_breaker: Callable[[], CostCircuitBreaker],
) -> None:
    strategy, options = _draw_routing(draft)
    shared = MemoryLoad() if draft.chance(0.4) else None
    ledger_seconds = draft.one_of(0.0, 0.0, 0.02, 0.3)
    rest = HealthConfig(
        failures=draft.one_of(0.5, 2.5),
        rest=draft.one_of(0.1, 1.0),
        slow_first_token=draft.one_of(None, 1.0),
    )
    for _ in range(draft.one_of(1, 1, 2, 3)):
        load = None if shared is None else SharedLoad(shared)
        router: Router = create_router(strategy, options, load, random=world.random)
        house = House(
            find_backend=draft.specs.__getitem__,
            selector=BackendSelector(tier),
            prices=PriceTable(draft.prices, built_in={}),
            router=router,
            profiles=_PROFILES,
            health=WatchedHealth(world, rest),
            clock=world.now,
            announcer=Announcer(world.note, world.now),
        )
        rooms = Rooms(_maker(), make_breaker())
        process = Process(
            world,
            house,
            rooms,
            load=load,
            ledger_seconds=ledger_seconds,
            retries=draft.one_of(0, 2),
        )
        world.processes.append(process)
    if draft.chance(0.25):
        victim = draft.random.choice(world.processes)
        world.timeline.at(draft.random.uniform(0, 4), lambda: victim.die(15.0))


#: Nothing is known of simulated models; that is looked up once for all worlds.
_PROFILES = ProfileTable()


def _maker() -> Callable[[BackendSpec], Backend]:
    return lambda spec: spec.create(BackendContext())


def _draw_routing(draft: _Draft) -> tuple[str, dict[str, Any]]:
    strategy = draft.one_of(
        "in_order", "in_order", "spillover", "spillover", "least_busy", "cheapest", "fastest",
        "weighted",
    )  # fmt: skip
    if strategy == "in_order":
        return strategy, {}
    options: dict[str, Any] = {
        "default_slots": draft.one_of(0, 1, 2),
        "max_queue_depth": draft.one_of(1, 2, 4, 50),
        "slots": {name: 1 for name in draft.specs if draft.chance(0.5)},
    }
    if strategy == "spillover":
        options["spillover_threshold"] = draft.one_of(1, 2, 10)
    return strategy, options


# -- Requests -------------------------------------------------------------------------------------


def _add_visits(draft: _Draft, world: World) -> None:
    moment = 0.0
    for number in range(1, draft.random.randint(1, 7) + 1):
        moment += draft.one_of(0.0, 0.0, 0.05, 1.0) * draft.random.random()
        question = _draw_question(draft, number)
        world.questions[number] = question
        order = _draw_order(draft, question)
        visit = Visit(at=moment, order=order, question=question, caller=_draw_caller(draft))
        draft.random.choice(world.processes).receive(visit)


def _draw_caller(draft: _Draft) -> Caller:
    return Caller(
        pause=draft.one_of(0.0, 0.0, 0.0, 0.2),
        leaves_after=draft.random.randint(1, 8) if draft.chance(0.1) else None,
        cancels_after=draft.random.uniform(0, 3) if draft.chance(0.15) else None,
    )


def _draw_question(draft: _Draft, number: int) -> Question:
    sayings = tuple(_draw_saying(draft) for _ in range(2 if draft.many_models else 1))
    prompt = "Once upon" if draft.chance(0.1) else None
    return Question(number, draft.random.randint(1, 40), sayings, prompt)


def _draw_saying(draft: _Draft) -> Saying:
    count = draft.one_of(0, 1, 3, 8, 14, 20, 20)
    tokens: list[str] = []
    if count:
        tokens += draft.random.choice(_OPENINGS)
    for _ in range(count - 1):
        tokens += draft.random.choice(_WORDS)
    kind = draft.random.random()
    if kind < 0.1:
        return Saying(tuple(tokens), reasoning=("hm", ", ", "well"))
    if kind < 0.2:
        return Saying(tuple(tokens), call=("add", ('{"x"', ": 1", "}")))
    return Saying(tuple(tokens))


def _draw_order(draft: _Draft, question: Question) -> Order:
    least = min(2, len(draft.specs))
    count = draft.random.randint(least if draft.chance(0.7) else 1, len(draft.specs))
    names = draft.random.sample(sorted(draft.specs), count)
    user = draft.one_of("ada", "bob")
    return Order(
        tuple(ModelRef(name, "m") for name in names),
        _draw_request(draft, question),
        draft.one_of(None, None, 0.05, 0.7, 3.0, 20.0, 20.0),
        question.number,
        labels={"user": user},
        failover=_draw_policy(draft),
        priority=draft.one_of(0, 0, 1, 5),
    )


def _draw_request(draft: _Draft, question: Question) -> ChatRequest:
    sampling = Sampling(
        max_tokens=_draw_max_tokens(draft, question),
        # Text that may be cut anywhere can be gone on with only word by word.
        temperature=draft.one_of(None, 0.0, 1.0) if draft.exact else 0.0,
        stop=draft.one_of((), (), (" END",), ("ha ha", ".\n")),
        seed=question.number,
    )
    called = any(saying.call for saying in question.sayings)
    form = ResponseFormat("json_object") if draft.chance(0.1) else ResponseFormat()
    common: dict[str, Any] = {
        "model": "m",
        "sampling": sampling,
        "tools": (Tool("add"),) if called else (),
        "response_format": form,
        "stream": draft.chance(0.8),
    }
    if question.prompt is not None:
        return ChatRequest(prompt=question.prompt, **common)
    # Bytes bound tokens, so a prompt has as many of them at least.
    asked = "q" * question.prompt_tokens
    return ChatRequest(messages=(ChatMessage.user(asked),), **common)


def _draw_max_tokens(draft: _Draft, question: Question) -> int | None:
    size = question.sayings[0].size
    if size > 1 and draft.chance(0.3):
        # Where answers end for their length, far behind a seam perhaps.
        return draft.random.randint(size // 2, size)
    return draft.one_of(None, None, None, 1, 4, 100)


def _draw_policy(draft: _Draft) -> FailoverPolicy:
    modes: Sequence[FailoverMode] = (*[FailoverMode.CONTINUE] * 4, *FailoverMode)
    return FailoverPolicy(
        mode=draft.random.choice(modes),
        announce=draft.chance(0.8),
        max_attempts=draft.one_of(1, 2, 6, 6, 6, 6),
        first_token_timeout=draft.one_of(None, None, None, 0.3, 2.0),
        stall_timeout=draft.one_of(None, None, 0.2, 2.0),
        hedge_after=draft.one_of(None, None, 0.01, 0.5),
    )
