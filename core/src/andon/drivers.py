"""The two drivers of the corridor: they perform its effects, one in threads, one in asyncio."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Generator,
    Mapping,
    Sequence,
)
from dataclasses import dataclass, field
from typing import Any, Self

from andon.ahead import Ahead, AsyncAhead, aany_ready, any_ready
from andon.backends import Backend
from andon.backends.questions import Cards, acount_there, alearn_card, count_there, learn_card
from andon.budget import CostCircuitBreaker, Reservation
from andon.chat import ChatDelta, ChatResponse
from andon.effects import (
    Abandoned,
    Admit,
    AnyReady,
    Clock,
    Close,
    CountThere,
    Create,
    Effect,
    Emit,
    LearnCard,
    Leave,
    Measure,
    Next,
    Probe,
    Reserve,
    Send,
    Settle,
    Steps,
    Tell,
    WaitTurn,
)
from andon.errors import PluginWarning
from andon.events import Event
from andon.specs import BackendSpec, ObserverSpec


@dataclass(slots=True)
class World:
    """What a client's drivers perform effects on.

    :param create: gives the client's one backend of a record, made at its first use.
    :param backends: those that have been made, by name.
    :param breaker: grants spending.
    :param observers: who is told of events.
    :param router_waits: whether the router asks a server, which an event loop must not wait for.
    :param cards: what servers said of their models.
    """

    create: Callable[[BackendSpec], Backend]
    backends: Mapping[str, Backend]
    breaker: CostCircuitBreaker
    observers: Sequence[ObserverSpec] = ()
    router_waits: bool = False
    cards: Cards = field(default_factory=dict)
    _silenced: set[str] = field(default_factory=set)

    def perform(self, effect: Effect) -> Any:
        """Perform an effect that never waits for a backend."""
        match effect:
            case Reserve(amount, labels):
                return self.breaker.reserve_nano(amount, labels=labels)
            case Settle(reservation, amount):
                return reservation.settle_nano(amount)
            case Tell(event):
                return self._tell(event)
            case Admit(router, candidates, ask, now):
                return router.admit(candidates, ask, now)
            case Leave(admission, now, tokens, answered):
                return admission.leave(now, tokens=tokens, answered=answered)
            case Probe(health, endpoint, now, asker):
                return health.admit(endpoint, now, asker)
        raise AssertionError(f"no driver performs {effect!r}")

    def _tell(self, event: Event) -> None:
        for observer in self.observers:
            if observer.name in self._silenced:
                continue
            try:
                observer.observe(event)
            except Exception as error:  # noqa: BLE001  an observer may raise anything at all
                self._silenced.add(observer.name)
                warnings.warn(
                    f"the observer {observer.name!r} failed and is told no more: "
                    f"{type(error).__name__}: {error}",
                    PluginWarning,
                    stacklevel=2,
                )


def drive(
    steps: Steps[ChatResponse], world: World, finish: Callable[[ChatResponse], None]
) -> Generator[ChatDelta, None, None]:
    """Walk a corridor to its end in this thread.

    Closing the generator closes the backend's stream and settles what it cost.

    :param steps: the corridor.
    :param world: what to perform its effects on.
    :param finish: called with the whole answer.
    :return: the pieces that the corridor hands to the caller.
    """
    reply: Any = None
    error: BaseException | None = None
    while True:
        try:
            effect = steps.send(reply) if error is None else steps.throw(error)
        except StopIteration as end:
            return finish(end.value)
        except Abandoned:
            return None
        reply = error = None
        try:
            if type(effect) is Next:
                reply = next(effect.stream, None)
            elif type(effect) is Emit:
                yield effect.delta
            elif type(effect) is Clock:  # six times a call
                reply = time.monotonic()
            else:
                reply = _perform(effect, world)
        except GeneratorExit:
            error = Abandoned()
        except BaseException as raised:  # noqa: BLE001  an interrupt settles its bill as well
            error = raised


def _perform(effect: Effect, world: World) -> Any:
    match effect:
        case Create(spec):
            return world.create(spec)
        case Measure() | LearnCard() | CountThere():
            return _question(effect, world)
        case Send(backend, request, timeout, ahead):
            stream = iter(backend.stream(request, timeout))
            return Ahead(stream) if ahead else stream
        case AnyReady(streams, within):
            return any_ready(streams, within)
        case Close(stream):
            return _close(stream)
        case WaitTurn(turn, timeout):
            return turn.wait(timeout)
    return world.perform(effect)


def _question(effect: Measure | LearnCard | CountThere, world: World) -> Any:
    match effect:
        case Measure(backend, request):
            return backend.measure(request)
        case LearnCard(backend, model):
            return learn_card(backend, model, world.cards)
        case CountThere(backend, request):
            return count_there(backend, request)


def _close(stream: Any) -> None:
    close = getattr(stream, "close", None)
    if close is not None:
        close()


async def adrive(
    steps: Steps[ChatResponse], world: World, finish: Callable[[ChatResponse], None]
) -> AsyncGenerator[ChatDelta, None]:
    """Walk a corridor to its end in this task; see :func:`drive`."""
    reply: Any = None
    error: BaseException | None = None
    while True:
        try:
            effect = steps.send(reply) if error is None else steps.throw(error)
        except StopIteration as end:
            finish(end.value)
            return
        except Abandoned:
            return
        reply = error = None
        try:
            if type(effect) is Next:
                reply = await anext(effect.stream, None)
            elif type(effect) is Emit:
                yield effect.delta
            elif type(effect) is Clock:
                reply = time.monotonic()
            else:
                reply = await _aperform(effect, world)
        except GeneratorExit:
            error = Abandoned()
        except BaseException as raised:  # noqa: BLE001  so does a cancelled task
            error = raised


async def _aperform(effect: Effect, world: World) -> Any:
    match effect:
        case Send() | AnyReady() | Close():
            return await _astream(effect)
        case Create(spec):
            return world.backends.get(spec.name) or await _create_in_thread(spec, world)
        case Measure() | LearnCard() | CountThere():
            return await _aquestion(effect, world)
        case WaitTurn(turn, timeout):
            return await turn.await_(timeout)
    ledger = isinstance(effect, Reserve | Settle) and world.breaker.ledger.waits
    router = isinstance(effect, Admit | Leave) and world.router_waits
    health = isinstance(effect, Probe) and effect.health.waits
    waits = ledger or router or health
    return await _perform_in_thread(effect, world) if waits else world.perform(effect)


async def _aquestion(effect: Measure | LearnCard | CountThere, world: World) -> Any:
    match effect:
        case Measure(backend, request):
            return await backend.ameasure(request)
        case LearnCard(backend, model):
            return await alearn_card(backend, model, world.cards)
        case CountThere(backend, request):
            return await acount_there(backend, request)


async def _astream(effect: Send | AnyReady | Close) -> Any:
    match effect:
        case Send(backend, request, timeout, ahead):
            stream = _Unlisted(aiter(backend.astream(request, timeout)))
            return AsyncAhead(stream) if ahead else stream
        case AnyReady(streams, within):
            return await aany_ready(streams, within)
        case Close(stream):
            return await stream.aclose()


async def _perform_in_thread(effect: Effect, world: World) -> Any:
    """Ask what others share in a thread; what was begun is undone where the task is cancelled."""
    import asyncio

    asking = asyncio.ensure_future(asyncio.to_thread(world.perform, effect))
    try:
        return await asyncio.shield(asking)
    except asyncio.CancelledError:
        result = (await asyncio.gather(asking, return_exceptions=True))[0]
        if isinstance(result, Reservation):
            await asyncio.to_thread(result.cancel)
        elif isinstance(effect, Admit) and not isinstance(result, BaseException):
            await asyncio.to_thread(result.leave, effect.now, answered=False)
        elif isinstance(effect, Probe) and result is True:
            effect.health.released(effect.endpoint, effect.asker)
        raise


async def _create_in_thread(spec: BackendSpec, world: World) -> Backend:
    # Imported here, since programs without asyncio would wait for it at their start; in a thread,
    # since the first use of a backend may import an engine.
    import asyncio

    return await asyncio.to_thread(world.create, spec)


class _Unlisted:
    """A backend's stream that the event loop does not know of.

    A loop that ends closes all generators that it knows at the same time. The corridor's is one of
    them, and closes the backend's: closed from both sides at once, that would fail.
    """

    __slots__ = ("_stream", "_take")

    def __init__(self, stream: AsyncIterator[ChatDelta]) -> None:
        self._stream = stream
        self._take: Callable[[], Awaitable[ChatDelta]] = self._take_first

    def __aiter__(self) -> Self:
        return self

    def __anext__(self) -> Awaitable[ChatDelta]:
        return self._take()

    def _take_first(self) -> Awaitable[ChatDelta]:
        # A generator reports to the loop when its first piece is asked for.
        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(firstiter=None, finalizer=None)
        try:
            return self._stream.__anext__()
        finally:
            sys.set_asyncgen_hooks(*hooks)
            self._take = self._stream.__anext__

    async def aclose(self) -> None:
        aclose = getattr(self._stream, "aclose", None)
        if aclose is not None:
            await aclose()
