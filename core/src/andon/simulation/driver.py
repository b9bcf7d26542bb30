"""The third driver of the corridor: it performs effects in a simulated world.

A walk runs until it has to wait; what it waits for is arranged on the world's timeline, and calls
it back. So any number of requests are under way in one thread.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from andon.budget import Reservation
from andon.chat import ChatResponse
from andon.effects import (
    Abandoned,
    Admit,
    AnyReady,
    Close,
    Create,
    Effect,
    Emit,
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
from andon.errors import AndonError
from andon.simulation.stream import SimulatedStream
from andon.simulation.timeline import Appointment, call_off

if TYPE_CHECKING:
    from andon.simulation.process import Process
    from andon.simulation.visit import Visit

E = TypeVar("E", bound=Effect)

#: What a performer returns where the walk has to wait.
_LATER: Any = object()


class Cancelled(BaseException):
    """The caller's task was cancelled while it waited."""


class Walk:
    """One request on its way through the corridor.

    :param steps: the corridor.
    :param process: where it runs.
    :param visit: what the caller does, and gets.
    """

    __slots__ = (
        "_call_back", "_cancelled", "_stop_waiting", "_timer", "is_over", "process", "steps",
        "visit",
    )  # fmt: skip

    def __init__(self, steps: Steps[ChatResponse], process: Process, visit: Visit) -> None:
        self.steps = steps
        self.process = process
        self.visit = visit
        self.is_over = False
        self._cancelled: BaseException | None = None
        # Ends the wait under way, so that the caller's cancellation can be thrown in.
        self._stop_waiting: Callable[[], None] | None = None
        self._timer: Appointment | None = None
        # Made once: it is needed for every token.
        self._call_back = self._piece_came

    def begin(self) -> None:
        """Begin."""
        self._go(None, None)

    def cancel(self) -> None:
        """Have the caller give up, wherever the request is."""
        if self.is_over or self._cancelled is not None:
            return
        self._cancelled = Cancelled()
        if self._stop_waiting is not None:
            stop, self._stop_waiting = self._stop_waiting, None
            stop()

    def vanish(self) -> None:
        """Stop where it is: its process has died. Nothing is tidied up."""
        self.is_over = True
        self._stop_waiting = None

    def discard(self) -> None:
        """Let the generator run out, so that nothing complains that it was thrown away."""
        error: BaseException | None = Abandoned()
        while True:
            try:
                self.steps.throw(error) if error is not None else self.steps.send(None)
                error = None
            except BaseException:  # noqa: BLE001  nobody is there any more
                return

    # -- Stepping -----------------------------------------------------------------------------

    def _go(self, reply: Any, error: BaseException | None) -> None:
        """Go on until there is something to wait for."""
        if self.is_over:
            return None
        self._stop_waiting = None
        steps, world = self.steps, self.process.world
        while True:
            world.current = self
            try:
                effect = steps.send(reply) if error is None else steps.throw(error)
            except StopIteration as end:
                return self._end(end.value)
            except (Abandoned, Cancelled) as ended:
                return self._end(ended)
            except AndonError as failure:
                return self._end(failure)
            reply = error = None
            try:
                reply = _PERFORM[type(effect)](self, effect)
            except AndonError as raised:
                error = raised
            if world.trace is not None:
                self._write_down(world.trace, effect, error or reply)
            if reply is _LATER:
                return None

    def _write_down(self, trace: list[str], effect: Effect, reply: Any) -> None:
        if isinstance(effect, Create | Measure):
            return
        told = "…" if reply is _LATER else repr(reply)
        moment = self.process.world.timeline.now
        trace.append(f"{moment:9.4f} #{self.visit.order.number} {effect!r:.300} -> {told:.200}")

    def _end(self, outcome: ChatResponse | BaseException) -> None:
        self.is_over = True
        self.process.ended(self, outcome)

    def _wait(self, stop: Callable[[], None]) -> Any:
        self._stop_waiting = stop
        return _LATER

    def _give_up(self, error: BaseException | None = None) -> None:
        self.visit.cancelled_at = self.process.world.timeline.now
        self._go(None, error or self._cancelled)

    # -- Performing: what takes no time -------------------------------------------------------

    def _create(self, effect: Create) -> Any:
        return self.process.rooms.create(effect.spec)

    def _measure(self, effect: Measure) -> Any:
        return effect.backend.measure(effect.request)

    def _at_once(self, effect: Effect) -> Any:
        return self.process.rooms.perform(effect)

    def _admit(self, effect: Admit) -> Any:
        admission = self.process.rooms.perform(effect)
        self.visit.entered += 1
        return admission

    def _leave(self, effect: Leave) -> None:
        self.visit.left += 1
        self.process.rooms.perform(effect)

    def _send(self, effect: Send) -> SimulatedStream:
        backend: Any = effect.backend
        self.process.world.watch.sends(self, backend.name)
        stream = SimulatedStream(backend, effect.request, effect.timeout, self.process.retries)
        self.visit.note_sent(stream)
        return stream

    def _close(self, effect: Close) -> None:
        effect.stream.close()

    # -- What may take a while ----------------------------------------------------------------

    def _next(self, effect: Next) -> Any:
        stream: SimulatedStream = effect.stream
        if stream.fetch(partial(self._call_back, stream)):
            return stream.take()
        return self._wait(partial(self._stop_streams, (stream,)))

    def _piece_came(self, stream: SimulatedStream) -> None:
        if self.is_over:
            return
        try:
            piece = stream.take()
        except AndonError as error:
            self._go(None, error)
        else:
            self._go(piece, None)

    def _stop_streams(self, streams: tuple[SimulatedStream, ...]) -> None:
        self._call_off_timer()
        for stream in streams:
            stream.forget()
        self._give_up()

    def _any_ready(self, effect: AnyReady) -> Any:
        streams = effect.streams

        def came() -> None:
            for stream in streams:
                stream.forget()
            self._call_off_timer()
            self._go(ready(), None)

        def ready() -> int | None:
            return next((at for at, one in enumerate(streams) if one.has_outcome), None)

        for stream in streams:
            stream.fetch(came)
        place = ready()
        if place is not None:
            for stream in streams:
                stream.forget()
            return place
        if effect.within is not None:
            self._timer = self.process.world.timeline.after(effect.within, came)
        return self._wait(partial(self._stop_streams, streams))

    def _wait_turn(self, effect: WaitTurn) -> Any:
        turn, timeline = effect.turn, self.process.world.timeline
        over = False

        def settle() -> None:
            nonlocal over
            if not over:
                over = True
                self._call_off_timer()
                self._go(turn.come, None)

        def stop() -> None:
            nonlocal over
            over = True
            self._call_off_timer()
            self._give_up()

        # Turns are given with locks held: whoever gets one goes on a moment later.
        if turn.notify(lambda: timeline.after(0.0, settle)):
            return True
        if effect.timeout is not None:
            self._timer = timeline.after(effect.timeout, settle)
        return self._wait(stop)

    def _emit(self, effect: Emit) -> Any:
        visit, world = self.visit, self.process.world
        visit.received.append(effect.delta)
        world.watch.emits(self, effect.delta)
        if visit.first_at is None and effect.delta.failover is None:
            visit.first_at = world.timeline.now
        if visit.caller.leaves_after == len(visit.received):
            # A caller that closes the stream between two pieces.
            visit.cancelled_at = world.timeline.now
            self._cancelled = Abandoned()
            world.timeline.after(0.0, partial(self._go, None, self._cancelled))
            return _LATER
        if not visit.caller.pause:
            return None
        visit.paused += visit.caller.pause
        timer = world.timeline.after(visit.caller.pause, partial(self._go, None, None))
        return self._wait(partial(self._abandon, timer))

    def _abandon(self, timer: Appointment) -> None:
        call_off(timer)
        self._give_up(Abandoned())

    def _ledger(self, effect: Reserve | Settle) -> Any:
        process = self.process
        if not process.ledger_seconds:
            return self._book(effect)
        # There, at the ledger, and back again: a process may die in between.
        seconds = process.ledger_seconds / 2
        self.visit.paused += 2 * seconds
        asked = partial(self._book_late, effect, seconds)
        process.world.timeline.after(seconds, asked)
        # What a ledger has begun is finished, whatever becomes of the caller.
        return _LATER

    def _book(self, effect: Reserve | Settle) -> Any:
        reply = self.process.rooms.perform(effect)
        self.process.world.watch.books(self, effect, reply)
        return reply

    def _book_late(self, effect: Reserve | Settle, seconds: float) -> None:
        error: AndonError | None = None
        reply: Any = None
        try:
            reply = self._book(effect)
        except AndonError as raised:
            error = raised
        self.process.world.timeline.after(seconds, partial(self._booked, reply, error))

    def _booked(self, reply: Any, error: AndonError | None) -> None:
        given_up = self._cancelled is not None and self.visit.cancelled_at is None
        if not given_up or self.is_over:
            self._go(reply, error)
            return
        if isinstance(reply, Reservation):
            reply.cancel()
            self.process.world.watch.cancels(self, reply)
        self._give_up()

    def _call_off_timer(self) -> None:
        if self._timer is not None:
            call_off(self._timer)
            self._timer = None


_PERFORM: dict[type, Callable[[Walk, Any], Any]] = {
    Admit: Walk._admit,  # noqa: SLF001  they are its own
    AnyReady: Walk._any_ready,  # noqa: SLF001
    Close: Walk._close,  # noqa: SLF001
    Create: Walk._create,  # noqa: SLF001
    Emit: Walk._emit,  # noqa: SLF001
    Leave: Walk._leave,  # noqa: SLF001
    Measure: Walk._measure,  # noqa: SLF001
    Next: Walk._next,  # noqa: SLF001
    Probe: Walk._at_once,  # noqa: SLF001
    Reserve: Walk._ledger,  # noqa: SLF001
    Send: Walk._send,  # noqa: SLF001
    Settle: Walk._ledger,  # noqa: SLF001
    WaitTurn: Walk._wait_turn,  # noqa: SLF001
}
