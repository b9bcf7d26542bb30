"""The two drivers of the corridor: they perform its effects, one in threads, one in asyncio.

Each has two forms: one that hands pieces to the caller, and one for answers that come as a whole.
"""

from __future__ import annotations

import sys
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Generator,
    Mapping,
)
from dataclasses import dataclass, field
from typing import Any, Self, TypeAlias

from andon.ahead import Ahead, AsyncAhead, aany_ready, any_ready
from andon.backends import Backend
from andon.backends.questions import Cards, acount_there, alearn_card, count_there, learn_card
from andon.budget import CostCircuitBreaker, Reservation
from andon.chat import ChatDelta, ChatResponse
from andon.effects import (
    Abandoned,
    Admit,
    AnyReady,
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
    WaitTurn,
)
from andon.specs import BackendSpec


@dataclass(slots=True)
class World:
    """What a client's drivers perform effects on.

    :param create: gives the client's one backend of a record, made at its first use.
    :param breaker: grants spending.
    :param router_waits: whether the router asks a server, which an event loop must not wait for.
    :param health_waits: whether the same holds for the health of endpoints.
    :param cards: what servers said of their models.
    """

    create: Callable[[BackendSpec], Backend]
    breaker: CostCircuitBreaker
    router_waits: bool = False
    health_waits: bool = False
    cards: Cards = field(default_factory=dict)
    #: What an event loop need not wait for, by the kind of effect.
    at_once: Mapping[type, Perform] = field(init=False)

    def __post_init__(self) -> None:
        waits = {
            Reserve: self.breaker.ledger.waits,
            Settle: self.breaker.ledger.waits,
            Admit: self.router_waits,
            Leave: self.router_waits,
            Probe: self.health_waits,
        }
        shared = {kind: perform for kind, perform in _SHARED.items() if not waits[kind]}
        self.at_once = {**shared, Send: _asend}

    def perform(self, effect: Effect) -> Any:
        """Perform an effect on what requests share: budgets, the router, health."""
        return _SHARED[type(effect)](self, effect)


Perform: TypeAlias = Callable[[World, Any], Any]

_SHARED: Mapping[type, Perform] = {
    Reserve: lambda world, it: world.breaker.reserve_nano(it.amount, labels=it.labels),
    Settle: lambda world, it: it.reservation.settle_nano(it.amount),
    Admit: lambda world, it: it.router.admit(it.candidates, it.ask, it.now),
    Leave: lambda world, it: it.admission.leave(it.now, tokens=it.tokens, answered=it.answered),
    Probe: lambda world, it: it.health.admit(it.endpoint, it.now, it.asker),
}


# -- In this thread -------------------------------------------------------------------------------


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
    try:
        effect: Any = steps.send(None)
        while True:
            try:
                if type(effect) is Next:
                    reply = next(effect.stream, None)
                elif type(effect) is Emit:
                    reply = yield effect.delta
                else:
                    reply = _PERFORM[type(effect)](world, effect)
            except GeneratorExit:
                effect = steps.throw(Abandoned())
            except BaseException as error:  # noqa: BLE001  an interrupt settles its bill as well
                effect = steps.throw(error)
            else:
                effect = steps.send(reply)
    except StopIteration as end:
        finish(end.value)
    except Abandoned:
        return


def complete(steps: Steps[ChatResponse], world: World) -> ChatResponse:
    """Walk a corridor that hands over no pieces to its end in this thread.

    :param steps: the corridor.
    :param world: what to perform its effects on.
    """
    reply: Any = None
    try:
        effect: Any = steps.send(None)
        while True:
            try:
                reply = _PERFORM[type(effect)](world, effect)
            except BaseException as error:  # noqa: BLE001  an interrupt settles its bill as well
                effect = steps.throw(error)
            else:
                effect = steps.send(reply)
    except StopIteration as end:
        whole: ChatResponse = end.value
        return whole


def _send(world: World, effect: Send) -> Any:
    stream = iter(effect.backend.stream(effect.request, effect.timeout))
    return Ahead(stream) if effect.ahead else stream


def _close(world: World, effect: Close) -> None:
    close = getattr(effect.stream, "close", None)
    if close is not None:
        close()


_PERFORM: Mapping[type, Perform] = {
    **_SHARED,
    Create: lambda world, it: world.create(it.spec),
    Measure: lambda world, it: it.backend.measure(it.request),
    LearnCard: lambda world, it: learn_card(it.backend, it.model, world.cards),
    CountThere: lambda world, it: count_there(it.backend, it.request),
    Send: _send,
    Next: lambda world, it: next(it.stream, None),
    AnyReady: lambda world, it: any_ready(it.streams, it.within),
    Close: _close,
    WaitTurn: lambda world, it: it.turn.wait(it.timeout),
}


# -- In a task of asyncio -------------------------------------------------------------------------


async def adrive(
    steps: Steps[ChatResponse], world: World, finish: Callable[[ChatResponse], None]
) -> AsyncGenerator[ChatDelta, None]:
    """Walk a corridor to its end in this task; see :func:`drive`."""
    at_once = world.at_once
    reply: Any = None
    try:
        effect: Any = steps.send(None)
        while True:
            try:
                kind = type(effect)
                if kind is Next:
                    reply = await anext(effect.stream, None)
                elif kind is Emit:
                    reply = yield effect.delta
                elif kind in at_once:
                    reply = at_once[kind](world, effect)
                else:
                    reply = await _aperform(world, effect)
            except GeneratorExit:
                effect = steps.throw(Abandoned())
            except BaseException as error:  # noqa: BLE001  so does a cancelled task
                effect = steps.throw(error)
            else:
                effect = steps.send(reply)
    except StopIteration as end:
        finish(end.value)
    except Abandoned:
        return


async def acomplete(steps: Steps[ChatResponse], world: World) -> ChatResponse:
    """Walk a corridor that hands over no pieces to its end in this task."""
    at_once = world.at_once
    reply: Any = None
    try:
        effect: Any = steps.send(None)
        while True:
            try:
                kind = type(effect)
                if kind in at_once:
                    reply = at_once[kind](world, effect)
                elif kind is Next:
                    reply = await anext(effect.stream, None)
                else:
                    reply = await _aperform(world, effect)
            except BaseException as error:  # noqa: BLE001  so does a cancelled task
                effect = steps.throw(error)
            else:
                effect = steps.send(reply)
    except StopIteration as end:
        whole: ChatResponse = end.value
        return whole


async def _aperform(world: World, effect: Effect) -> Any:
    kind = type(effect)
    if kind in _SHARED:
        return await _perform_in_thread(world, effect)
    return await _APERFORM[kind](world, effect)


async def _acreate(world: World, effect: Create) -> Backend:
    # Imported here, since programs without asyncio would wait for it at their start; in a
    # thread, since the first use of a backend may import an engine.
    import asyncio

    return await asyncio.to_thread(world.create, effect.spec)


def _asend(world: World, effect: Send) -> Any:
    stream = _Unlisted(aiter(effect.backend.astream(effect.request, effect.timeout)))
    return AsyncAhead(stream) if effect.ahead else stream


_APERFORM: Mapping[type, Callable[[World, Any], Awaitable[Any]]] = {
    Create: _acreate,
    Measure: lambda world, it: it.backend.ameasure(it.request),
    LearnCard: lambda world, it: alearn_card(it.backend, it.model, world.cards),
    CountThere: lambda world, it: acount_there(it.backend, it.request),
    AnyReady: lambda world, it: aany_ready(it.streams, it.within),
    Close: lambda world, it: it.stream.aclose(),
    WaitTurn: lambda world, it: it.turn.await_(it.timeout),
}


async def _perform_in_thread(world: World, effect: Effect) -> Any:
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
