"""Hedging: a second candidate is asked beside a slow first one, and the faster is taken.

Two walks of the corridor are interleaved here, up to the first piece of either.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from andon.chat import ChatDelta
from andon.effects import AnyReady, Effect, Next, Send, Steps
from andon.errors import AndonError, AnsweredElsewhere

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _First:
    """The first piece of a stream, or its end."""

    delta: ChatDelta | None


@dataclass(slots=True)
class _Walk(Generic[T]):
    """One of the two, as far as the first piece of its stream.

    :param steps: the walk.
    :param wait: what it waits for, once it waits for that.
    :param piece: the first piece, once it is there.
    """

    steps: Steps[T]
    wait: Next | None = None
    piece: _First | None = None

    def begin(self) -> Steps[None]:
        """Go on until the request is sent."""
        effect: Effect = next(self.steps)
        while not isinstance(effect, Next):
            if isinstance(effect, Send):
                effect = replace(effect, ahead=True)
            try:
                reply = yield effect
            except BaseException as error:  # noqa: BLE001  the walk itself tidies up
                effect = self.steps.throw(error)
            else:
                effect = self.steps.send(reply)
        self.wait = effect

    def go_on(self) -> Steps[T]:
        """Go on to the end, with the first piece where it is there."""
        assert self.wait is not None
        if self.piece is None:
            return (yield from _forward(self.steps, self.wait))
        try:
            effect = self.steps.send(self.piece.delta)
        except StopIteration as end:
            value: T = end.value
            return value
        return (yield from _forward(self.steps, effect))

    def stop(self, error: BaseException) -> Steps[None]:
        """Stop it; it settles what it costs.

        :param error: why.
        """
        self.wait = None
        try:
            yield from _forward(self.steps, self.steps.throw(error))
        except (AndonError, StopIteration):
            pass
        except BaseException as raised:
            if raised is not error:
                raise


@dataclass(frozen=True, slots=True)
class Notes:
    """What is told of a walk that did not come to its end: 0 is the first, 1 the second.

    :param failed: it failed.
    :param lost: it was stopped, since the other one was faster.
    """

    failed: Callable[[int, AndonError], None]
    lost: Callable[[int], None]


def race(first: Steps[T], second: Callable[[], Steps[T]], delay: float, notes: Notes) -> Steps[T]:
    """Return what the faster of two walks returns; the second begins only after a delay.

    A walk that fails before its first piece leaves the other one alone; an error of the last one
    left is raised.

    :param first: the first walk.
    :param second: begins the other.
    :param delay: seconds without a first piece after which it does.
    :param notes: is told of the one that did not come to its end.
    """
    walks = [_Walk(first)]
    try:
        yield from walks[0].begin()
        if (yield _ready(walks, delay)) is None:
            walks.append(_Walk(second()))
            try:
                yield from walks[1].begin()
            except AndonError as error:
                del walks[1]
                notes.failed(1, error)
        winner = walks[0] if len(walks) == 1 else (yield from _decide(walks, notes))
    except BaseException as error:
        # The caller gave up, perhaps while the loser was paid: whoever is left is told.
        yield from _stop([walk for walk in walks if walk.wait is not None], error)
        raise
    return (yield from winner.go_on())


def _stop(walks: list[_Walk[T]], error: BaseException) -> Steps[None]:
    if not walks:
        return
    try:
        yield from walks[0].stop(error)
    finally:
        yield from _stop(walks[1:], error)


def _decide(walks: list[_Walk[T]], notes: Notes) -> Steps[_Walk[T]]:
    """Return which of two walks goes on; the other one is stopped."""
    place: int = yield _ready(walks, None)
    other = 1 - place
    piece = yield from _piece(walks[place])
    if isinstance(piece, AndonError):
        yield from walks[place].stop(piece)
        notes.failed(place, piece)
        return walks[other]
    walks[place].piece = _First(piece)
    yield from walks[other].stop(AnsweredElsewhere("another backend answered first"))
    notes.lost(other)
    return walks[place]


def _piece(walk: _Walk[T]) -> Steps[ChatDelta | AndonError | None]:
    assert walk.wait is not None
    try:
        piece: ChatDelta | None = yield walk.wait
    except AndonError as error:
        return error
    return piece


def _ready(walks: list[_Walk[T]], within: float | None) -> AnyReady:
    return AnyReady(tuple(walk.wait.stream for walk in walks if walk.wait is not None), within)


def _forward(steps: Steps[T], effect: Effect) -> Steps[T]:
    """Go on with a walk that has begun: "yield from" would begin it with an answer to nothing."""
    while True:
        try:
            try:
                reply = yield effect
            except BaseException as error:  # noqa: BLE001  the walk itself tidies up
                effect = steps.throw(error)
            else:
                effect = steps.send(reply)
        except StopIteration as end:
            value: T = end.value
            return value
