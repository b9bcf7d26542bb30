"""Making a request fit its model's context window, if the caller allows it to be truncated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeAlias

from andon.backends import Backend, PromptMeasure
from andon.chat import ChatRequest
from andon.context import (
    Calibration,
    ContextManager,
    ContextWindow,
    TruncationStrategy,
    drop_order,
)
from andon.context.manager import reserve_for
from andon.context.turns import Turns
from andon.effects import Steps, count_there, learn_card, measure
from andon.errors import ContextOverflowError
from andon.specs import ModelCard
from andon.tokens import Exactness, TokenCount

#: Tells how large a request's prompt is, and how large it may be.
Size: TypeAlias = Callable[[ChatRequest], Steps[PromptMeasure | None]]


@dataclass(slots=True)
class Fitted:
    """A request that fits, as far as can be known.

    :param request: what to send.
    :param measured: its size, where the backend can measure.
    :param dropped: places of the messages that were left out.
    """

    request: ChatRequest
    measured: PromptMeasure | None
    dropped: tuple[int, ...] = ()


def fit(
    backend: Backend,
    request: ChatRequest,
    strategy: TruncationStrategy,
    find_manager: Callable[[], ContextManager | None],
    *,
    tight: bool = False,
    block: int = 1,
    calibration: Calibration | None = None,
    near: bool = False,
) -> Steps[Fitted]:
    """Fit a request into its model's window.

    A backend that can measure prompts is asked, and its word is exact; so is that of a server on
    this machine that counts tokens. Otherwise a tokenizer counts; where there is none, what earlier
    answers told about their prompts. Where nothing is known, the request is sent as it is, and if
    the provider then says that it is too long, it is fitted by an upper bound.

    :param backend: who is to answer.
    :param request: what to send.
    :param strategy: what may be left out.
    :param find_manager: gives the model's context manager, where its window is known.
    :param tight: whether the provider has said that the request is too long.
    :param block: how many turns are left out at a time.
    :param calibration: what is known of the size of the model's prompts.
    :param near: whether the backend is on this machine, and asking it costs nothing.
    :raises ContextOverflowError: it does not fit.
    """
    # A backend that never can says so, and need not be asked.
    able = getattr(backend, "measures", True)
    measured = (yield from measure(backend, request)) if able else None
    may_truncate = strategy is not TruncationStrategy.ERROR and bool(request.messages)
    if measured is not None and measured.card.context_window is not None:
        # max_tokens is a ceiling: an answer that meets the window's end first stops there with
        # the finish reason "length". Only a prompt that leaves no room at all does not fit.
        window = ContextWindow(measured.card.context_window)
        if measured.count.tokens <= window.available:
            return Fitted(request, measured)
        if not may_truncate:
            window.check(measured.count.tokens)
        size = partial(measure, backend)
        return (yield from _fit_measured(size, request, window, strategy, block))
    if near and may_truncate and not tight:
        fitted = yield from _fit_there(backend, request, strategy, block, calibration)
        if fitted is not None:
            return fitted
    manager = find_manager() if may_truncate else None
    if manager is None:
        return Fitted(request, measured)
    counter = manager.counter
    window = _window(manager, request, tight=tight)
    if counter.exactness is Exactness.UPPER_BOUND and not tight:
        # The bound is several times too high: it would leave out what fits.
        about = None if calibration is None else calibration.estimate(request)
        learnt = about is not None and about.exactness is Exactness.ESTIMATE
        if about is None or not learnt or about.tokens <= window.available:
            return Fitted(request, measured)
        assert calibration is not None
        counter = calibration.counter()
    return _fit_counted(request, ContextManager(window, counter, strategy=strategy, block=block))


def _window(manager: ContextManager, request: ChatRequest, *, tight: bool) -> ContextWindow:
    tokens = manager.window.tokens
    reserve = reserve_for(tokens, request.sampling.max_tokens)
    # Where the count was too low, a tenth more is kept free.
    return ContextWindow(tokens, reserve + (tokens // 10 if tight else 0))


def _fit_counted(request: ChatRequest, manager: ContextManager) -> Fitted:
    try:
        kept = manager.truncate(request.messages, request.tools)
    except ContextOverflowError:
        pinned = _pinned(request, manager)
        if manager.counter.exactness is Exactness.EXACT_TEXT or pinned is None:
            raise
        # Too long only by a count that is too high: the provider knows.
        return pinned
    return Fitted(replace(request, messages=kept.messages), None, kept.dropped)


def _pinned(request: ChatRequest, manager: ContextManager) -> Fitted | None:
    """Leave out all that may be left out; None where there is nothing."""
    order = drop_order(Turns.of(request.messages), manager.strategy)
    if not order:
        return None
    kept, dropped = _shortened(request, order, len(order))
    return Fitted(kept, None, dropped)


def _fit_there(
    backend: Backend,
    request: ChatRequest,
    strategy: TruncationStrategy,
    block: int,
    calibration: Calibration | None,
) -> Steps[Fitted | None]:
    """Have the server itself count, where it says how much it takes; None where it does not."""
    card = yield from learn_card(backend, request.model)
    if card is None or card.context_window is None:
        return None
    # Servers refuse a prompt that leaves less room than max_tokens.
    window = ContextWindow(card.context_window, request.sampling.max_tokens or 1)
    bound = (calibration or Calibration()).bound(request)
    if bound.tokens <= window.available:
        return Fitted(request, None)
    size = partial(_size_there, backend, card)
    measured = yield from size(request)
    if measured is None:
        return None
    if measured.count.tokens <= window.available:
        return Fitted(request, measured)
    return (yield from _fit_measured(size, request, window, strategy, block))


def _size_there(
    backend: Backend, card: ModelCard, request: ChatRequest
) -> Steps[PromptMeasure | None]:
    tokens = yield from count_there(backend, request)
    if tokens is None:
        return None
    return PromptMeasure(TokenCount(tokens, Exactness.EXACT, "counted by the server"), card)


def _fit_measured(
    size: Size,
    request: ChatRequest,
    window: ContextWindow,
    strategy: TruncationStrategy,
    block: int,
) -> Steps[Fitted]:
    """Find by halving how few turns must go; the rendered prompt itself is measured each time."""
    order = drop_order(Turns.of(request.messages), strategy)
    reserve = reserve_for(window.tokens, request.sampling.max_tokens)
    limit = window.tokens - reserve
    best = yield from _without(size, request, order, len(order))
    if best.measured is not None and best.measured.count.tokens > limit:
        raise ContextOverflowError(
            f"the instructions and the last question alone have {best.measured.count.tokens} "
            f"tokens, and {limit} of the context window of {window.tokens} tokens are free for "
            "them; shorten them, lower max_tokens, or take a model with a larger window",
            input_tokens=best.measured.count.tokens,
            window=window.tokens,
            reserve=reserve,
        )
    steps = range(block, len(order), block)
    fewest, most = 0, len(steps)
    while fewest < most:
        middle = (fewest + most) // 2
        fitted = yield from _without(size, request, order, steps[middle])
        if fitted.measured is not None and fitted.measured.count.tokens <= limit:
            best, most = fitted, middle
        else:
            fewest = middle + 1
    return best


def _without(
    size: Size, request: ChatRequest, order: tuple[tuple[int, ...], ...], count: int
) -> Steps[Fitted]:
    """Leave out the first turns of an order, and measure the rest."""
    shorter, dropped = _shortened(request, order, count)
    return Fitted(shorter, (yield from size(shorter)), dropped)


def _shortened(
    request: ChatRequest, order: tuple[tuple[int, ...], ...], count: int
) -> tuple[ChatRequest, tuple[int, ...]]:
    """Return a request without the first turns of an order, and the places that are missing."""
    gone = {place for turn in order[:count] for place in turn}
    kept = tuple(message for place, message in enumerate(request.messages) if place not in gone)
    return replace(request, messages=kept), tuple(sorted(gone))
