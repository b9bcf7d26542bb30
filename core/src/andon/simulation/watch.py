"""What must hold in every simulated world, at every step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from andon.budget import Ledger, Reservation
from andon.chat import ChatDelta, ChatResponse, FinishReason, Usage
from andon.effects import Reserve, Settle
from andon.errors import AndonError, StreamInterrupted
from andon.health import ANYBODY, HealthBoard, HealthConfig, HealthState
from andon.pricing import TokenPricing
from andon.privacy import PrivacyTier

if TYPE_CHECKING:
    from andon.simulation.driver import Walk
    from andon.simulation.model import Question
    from andon.simulation.stream import SimulatedStream
    from andon.simulation.visit import Visit
    from andon.simulation.world import World

#: Seconds by which a moment may be late that sums of floats make.
_ROUNDING = 1e-6


class InvariantBroken(AssertionError):
    """Something happened in a simulated world that never may."""


class Watch:
    """Is told of everything that happens. This one looks away; see :class:`Invariants`."""

    def sends(self, walk: Walk, backend: str) -> None:
        """Take note that a request is sent."""

    def emits(self, walk: Walk, delta: ChatDelta) -> None:
        """Take note that the caller gets a piece."""

    def books(self, walk: Walk, effect: Reserve | Settle, reply: Reservation | None) -> None:
        """Take note of what the ledger did."""

    def cancels(self, walk: Walk, reservation: Reservation) -> None:
        """Take note that a reservation was cancelled, since nobody waits for it any more."""

    def ended(self, walk: Walk) -> None:
        """Take note that a request is over."""

    def world_over(self, world: World) -> None:
        """Take note that nothing more will happen."""


class Invariants(Watch):
    """Checks that nothing happens that never may.

    :param tier: where data may go.
    :param ledger: where spending is kept.
    :param wall_clock: gives seconds since 1970.
    :param limits: nano-dollars that budgets have, by name.
    :param lease: seconds after which holds of the dead expire.
    :param exact: whether every piece of every stream is one token, and usage is reported.
    """

    def __init__(
        self,
        tier: PrivacyTier,
        ledger: Ledger,
        wall_clock: Callable[[], float],
        limits: Mapping[str, int],
        *,
        lease: float = 3600.0,
        exact: bool = False,
    ) -> None:
        self._tier = tier
        self._ledger = ledger
        self._wall_clock = wall_clock
        self._limits = limits
        self._lease = lease
        self._exact = exact
        self._open: dict[str, tuple[int, Walk]] = {}
        self._settled = 0

    # -- Privacy and delivery -----------------------------------------------------------------

    def sends(self, walk: Walk, backend: str) -> None:
        """Check that nothing leaves the tier, and that no more is sent than allowed."""
        spec = walk.process.house.find_backend(backend)
        _check(self._tier.allows(spec.locality), f"{backend} is outside the tier {self._tier}")
        most = walk.visit.order.failover.max_attempts
        sent = len(walk.visit.streams) + 1
        _check(sent <= most, f"{sent} requests were sent where {most} are allowed")

    def emits(self, walk: Walk, delta: ChatDelta) -> None:
        """Check that the text goes on as a model would have gone on with it."""
        visit = walk.visit
        _check(visit.outcome is None, "a piece was handed over after the end")
        if delta.text:
            before, visit.text = visit.text, visit.text + delta.text
            said = visit.question.sayings
            fits = any(saying.text.startswith(visit.text) for saying in said)
            _check(fits, f"{before!r} went on with {delta.text!r}; models say {_texts(visit)}")

    def ended(self, walk: Walk) -> None:
        """Check what the caller got, what it cost, and that everything was tidied up."""
        visit, outcome = walk.visit, walk.visit.outcome
        if isinstance(outcome, ChatResponse):
            self._check_answer(visit, outcome)
        elif isinstance(outcome, AndonError):
            self._check_failure(visit, outcome)
        self._check_punctual(visit, walk)
        left = [hold for hold, (_, owner) in self._open.items() if owner is walk]
        _check(not left, f"{len(left)} reservations were never settled")
        _check(visit.entered == visit.left, f"{visit.entered} × in, {visit.left} × out")
        unclosed = [stream for stream in visit.streams if not stream.is_closed]
        _check(not unclosed, f"{len(unclosed)} streams were not closed")
        health = walk.process.house.health
        if isinstance(health, WatchedHealth):
            health.check_over(walk)

    def _check_answer(self, visit: Visit, response: ChatResponse) -> None:
        request, question = visit.order.request, visit.question
        if request.stream:
            _check(visit.text == response.text, f"got {visit.text!r}, and told {response.text!r}")
        if response.finish_reason is FinishReason.LENGTH:
            self._check_length(visit, response)
        else:
            wanted = [_whole(question, visit, model) for model in range(len(question.sayings))]
            found = _spoken(response)
            _check(found in wanted, f"the answer is {found}; models say {wanted}")
        nano = response.cost_usd * 10**9
        _check(nano == visit.settled, f"told of {nano} nano-dollars; {visit.settled} were paid")
        if self._exact and not response.usage.estimated and not request.sampling.stop:
            self._check_usage(visit, response)

    def _check_length(self, visit: Visit, response: ChatResponse) -> None:
        request, said = visit.order.request, visit.question.sayings
        most = request.sampling.max_tokens
        _check(most is not None, "it ended for its length, which nobody had limited")
        fits = any(saying.text.startswith(response.text) for saying in said)
        _check(fits, f"{response.text!r} is no beginning of {_texts(visit)}")
        if self._exact and not request.sampling.stop:
            models = range(len(said))
            cut = [visit.question.answer(request, model)[0].text for model in models]
            _check(response.text in cut, f"{response.text!r} are not {most} tokens of {cut}")

    def _check_usage(self, visit: Visit, response: ChatResponse) -> None:
        text, reasoning, call = _spoken(response)
        for saying in visit.question.sayings:
            if call or reasoning != "".join(saying.reasoning) or not saying.text.startswith(text):
                continue
            wanted = saying.ends.index(len(text)) + len(saying.reasoning)
            told = response.usage.output_tokens
            _check(told == wanted, f"{told} tokens were reported of {wanted}")
            return

    def _check_failure(self, visit: Visit, error: AndonError) -> None:
        if not any(_has_content(delta) for delta in visit.received):
            return
        told = f"{type(error).__name__} after {visit.text!r}"
        _check(isinstance(error, StreamInterrupted), told)
        assert isinstance(error, StreamInterrupted)
        _check(error.partial == visit.text, f"{told} holds {error.partial!r}")

    def _check_punctual(self, visit: Visit, walk: Walk) -> None:
        timeout = visit.order.timeout
        if timeout is not None:
            late = walk.process.world.timeline.now - visit.at - timeout - visit.paused
            _check(late <= _ROUNDING, f"it ended {late:.6f} s after its deadline")

    # -- Money --------------------------------------------------------------------------------

    def books(self, walk: Walk, effect: Reserve | Settle, reply: Reservation | None) -> None:
        """Check that no budget is passed, and that what was served is paid."""
        visit = walk.visit
        if isinstance(effect, Reserve):
            assert reply is not None
            self._open[reply.hold] = effect.amount, walk
            visit.holds[reply.hold] = None
            visit.unsent[effect.labels["backend"]] = reply.hold
        else:
            hold = effect.reservation.hold
            self._check_paid(walk, visit.holds.get(hold), effect.amount)
            self._settle(visit, hold, effect.amount)
        self._check_limits()

    def cancels(self, walk: Walk, reservation: Reservation) -> None:
        """Take note that a reservation was given back."""
        self._settle(walk.visit, reservation.hold, 0)

    def _settle(self, visit: Visit, hold: str, amount: int) -> None:
        _check(hold in self._open, "a reservation was settled twice, or never made")
        del self._open[hold]
        visit.settled += amount
        self._settled += amount

    def _check_paid(self, walk: Walk, stream: SimulatedStream | None, amount: int) -> None:
        """Check that what a server delivered is paid, even where it broke off."""
        if stream is None or not stream.delivered:
            return
        server, request = stream.server, stream.request
        house = walk.process.house
        spec = house.find_backend(server.name)
        price = house.prices.price(spec.family, request.model, spec.locality)
        # Neither parts of tokens nor echoes are tokens of the answer.
        countable = server.manners.piece and not server.manners.echoes
        pieces = sum(map(_has_content, stream.delivered)) if countable else 0
        if (
            walk.visit.order.failover.hedge_after is not None
            and walk.visit.cancelled_at is not None
        ):
            # The first piece of a race may have come just as the caller gave up.
            pieces = max(0, pieces - 1)
        # A server that looks for stop texts may give one token in two pieces.
        pieces = min(pieces, request.sampling.max_tokens or pieces)
        due = TokenPricing.from_price(price).cost_nano(Usage(server.prompt_tokens(request), pieces))
        _check(amount >= due, f"{amount} nano-dollars were paid to {server.name} of {due}")

    def _check_limits(self) -> None:
        now = self._wall_clock()
        for period in self._periods():
            for account, balance in self._ledger.balances(period, now).items():
                limit = self._limits.get(account.partition("/")[0])
                over = limit is not None and balance.used > limit
                _check(not over, f"{account} has used {balance.used} of {limit} nano-dollars")

    def _periods(self) -> set[str]:
        rows = self._ledger.spending("all", "", self._wall_clock())
        return {row.period for row in rows}

    # -- The end ------------------------------------------------------------------------------

    def world_over(self, world: World) -> None:
        """Check that nothing hangs, and that all counts are back at nothing."""
        hanging = sum(process.under_way for process in world.processes)
        _check(not hanging, f"{hanging} requests hang")
        for _, walk in self._open.values():
            _check(not walk.process.is_alive, "a living process has left a reservation behind")
        later = self._wall_clock() + self._lease
        rows = self._ledger.spending("all", "", later)
        held = sum(row.held for row in rows)
        _check(not held, f"{held} nano-dollars are held for ever")
        settled, due = sum(row.settled for row in rows), self._settled
        due += sum(amount for amount, _ in self._open.values())
        _check(settled == due, f"{settled} nano-dollars are in the books, and {due} were spent")
        self._check_counts(world)

    def _check_counts(self, world: World) -> None:
        for name, server in world.servers.items():
            _check(not server.in_flight, f"{name} still works at {server.in_flight} requests")
            for process in world.processes:
                load = getattr(process.house.router, "load", None)
                if load is not None and process.counts_itself:
                    count = load(name).in_flight
                    _check(not count, f"{count} requests are counted at {name} for ever")


class WatchedHealth(HealthBoard):
    """Breakers that see to it that each is probed by one request at a time.

    :param world: where they are.
    :param config: when an endpoint rests.
    """

    __slots__ = ("_probes", "_world")

    def __init__(self, world: World, config: HealthConfig = HealthConfig()) -> None:  # noqa: B008
        super().__init__(config)
        self._world = world
        self._probes: dict[str, Walk | None] = {}

    def admit(self, endpoint: str, now: float, asker: object = ANYBODY) -> bool:
        """Return whether an endpoint may be asked; see :meth:`HealthBoard.admit`."""
        tried_again = self.state(endpoint, now) is HealthState.HALF_OPEN
        admitted = super().admit(endpoint, now, asker)
        if admitted and tried_again:
            probed = self._probes.get(endpoint)
            _check(probed is None, f"{endpoint} is probed twice at the same time")
            self._probes[endpoint] = self._world.current
        return admitted

    def succeeded(
        self,
        endpoint: str,
        now: float,
        first_token: float | None = None,
        asker: object = ANYBODY,
    ) -> None:
        """Note an answer; see :meth:`HealthBoard.succeeded`."""
        self._reported(endpoint)
        super().succeeded(endpoint, now, first_token, asker)
        if self.state(endpoint, now) is HealthState.CLOSED:
            self._probes.pop(endpoint, None)

    def failed(self, endpoint: str, now: float, error: AndonError, asker: object = ANYBODY) -> None:
        """Note a failure; see :meth:`HealthBoard.failed`."""
        self._reported(endpoint)
        super().failed(endpoint, now, error, asker)

    def released(self, endpoint: str, asker: object = ANYBODY) -> None:
        """Note a request that told nothing; see :meth:`HealthBoard.released`."""
        self._reported(endpoint)
        super().released(endpoint, asker)

    def check_over(self, walk: Walk) -> None:
        """Check that a request that is over probes nothing any more."""
        left = [endpoint for endpoint, probe in self._probes.items() if probe is walk]
        _check(not left, f"nobody told how the probe of {left} ended")

    def _reported(self, endpoint: str) -> None:
        if self._probes.get(endpoint) is self._world.current:
            self._probes.pop(endpoint, None)


def _check(holds: bool, otherwise: str) -> None:
    if not holds:
        raise InvariantBroken(otherwise)


def _has_content(delta: ChatDelta) -> bool:
    return bool(delta.text or delta.reasoning or delta.tool_calls)


def _spoken(response: ChatResponse) -> tuple[str, str, tuple[str, str] | None]:
    call = next(((call.name, call.arguments) for call in response.tool_calls), None)
    return response.text, response.message.reasoning or "", call


def _whole(question: Question, visit: Visit, model: int) -> tuple[str, str, tuple[str, str] | None]:
    """Return what a model says to its end, however long that is."""
    request = visit.order.request
    unlimited = replace(request, sampling=replace(request.sampling, max_tokens=None))
    saying, _, _ = question.answer(unlimited, model)
    call = None if saying.call is None else (saying.call[0], "".join(saying.call[1]))
    return saying.text, "".join(saying.reasoning), call


def _texts(visit: Visit) -> list[str]:
    return [saying.text for saying in visit.question.sayings]
