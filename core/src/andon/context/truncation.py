"""Leaving out what does not fit, in whole turns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from andon.context.turns import Turns
from andon.errors import ContextOverflowError
from andon.messages import ChatMessage


class TruncationStrategy(StrEnum):
    """What is left out of a chat that is too long."""

    #: The oldest turns.
    SLIDING_WINDOW = "sliding_window"
    #: The turns in the middle; the first and the last ones are kept.
    MIDDLE_OUT = "middle_out"
    #: Nothing: a chat that does not fit is an error.
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Truncation:
    """What became of a chat.

    :param messages: what is kept, in order; the same message objects.
    :param tokens: size of what is kept.
    :param dropped: places in the original chat of what was left out.
    :param dropped_tokens: size of that.
    """

    messages: tuple[ChatMessage, ...]
    tokens: int
    dropped: tuple[int, ...] = ()
    dropped_tokens: int = 0


def drop_order(turns: Turns, strategy: TruncationStrategy) -> tuple[tuple[int, ...], ...]:
    """Return the turns that may be left out, the first to go first.

    What is kept is therefore always the end of one fixed order, so that a larger window never
    keeps less.
    """
    if strategy is TruncationStrategy.ERROR:
        return ()
    if strategy is TruncationStrategy.SLIDING_WINDOW:
        return turns.older
    kept_first: list[tuple[int, ...]] = []
    rest = list(turns.older)
    while rest:
        kept_first.append(rest.pop(0))
        if rest:
            kept_first.append(rest.pop())
    return tuple(reversed(kept_first))


def truncate(
    messages: Sequence[ChatMessage],
    costs: Sequence[int],
    limit: int,
    strategy: TruncationStrategy,
    *,
    overhead: int = 0,
    window: int = 0,
    block: int = 1,
) -> Truncation:
    """Leave out as many turns as it takes, and no instruction and no last question.

    :param messages: the chat.
    :param costs: tokens of each message, its share of the framing included.
    :param limit: most tokens that may be kept.
    :param strategy: which turns go first.
    :param overhead: tokens that the chat has besides its messages: tools, the opening of the
        answer.
    :param window: size of the context window in tokens, for the error.
    :param block: leave out this many turns at a time. More than needed go at first, and then the
        beginning of the chat, which providers cache, stays the same for some turns.
    :raises ContextOverflowError: what must be kept does not fit.
    """
    total = overhead + sum(costs)
    if total <= limit:
        return Truncation(messages=tuple(messages), tokens=total)
    order = drop_order(Turns.of(messages), strategy)
    dropped: list[int] = []
    for number, turn in enumerate(order, start=1):
        dropped += turn
        total -= sum(costs[place] for place in turn)
        if total <= limit and (number % block == 0 or number == len(order)):
            break
    if total > limit:
        raise _too_long(total, limit, window, strategy)
    gone = set(dropped)
    return Truncation(
        messages=tuple(message for place, message in enumerate(messages) if place not in gone),
        tokens=total,
        dropped=tuple(sorted(dropped)),
        dropped_tokens=sum(costs[place] for place in dropped),
    )


def truncate_prompt(
    messages: Sequence[ChatMessage],
    count: Callable[[Sequence[ChatMessage]], int],
    limit: int,
    strategy: TruncationStrategy,
    *,
    window: int = 0,
    block: int = 1,
) -> Truncation:
    """Leave out as few turns as it takes, the prompt itself being counted each time.

    The size of a prompt is not the sum of its messages' sizes, so what is kept has been counted as
    it stands. It is found by halving: the prompt is counted about log2(turns) times.

    :param messages: the chat.
    :param count: counts the prompt of what is kept.
    :param limit: most tokens that may be kept.
    :param strategy: which turns go first.
    :param window: size of the context window in tokens, for the error.
    :param block: leave out this many turns at a time; see :func:`truncate`.
    :raises ContextOverflowError: what must be kept does not fit.
    """
    whole = tuple(messages)
    total = count(whole)
    if total <= limit:
        return Truncation(messages=whole, tokens=total)
    order = drop_order(Turns.of(messages), strategy)
    steps = [*range(block, len(order), block), len(order)] if order else []
    best = _without(whole, order, steps[-1], total, count) if steps else None
    if best is None or best.tokens > limit:
        raise _too_long(best.tokens if best else total, limit, window, strategy)
    fewest, most = 0, len(steps) - 1
    while fewest < most:
        middle = (fewest + most) // 2
        kept = _without(whole, order, steps[middle], total, count)
        if kept.tokens <= limit:
            best, most = kept, middle
        else:
            fewest = middle + 1
    return best


def _without(
    messages: tuple[ChatMessage, ...],
    order: Sequence[tuple[int, ...]],
    number: int,
    total: int,
    count: Callable[[Sequence[ChatMessage]], int],
) -> Truncation:
    """Leave out the first turns of an order, and count what is left."""
    gone = {place for turn in order[:number] for place in turn}
    kept = tuple(message for place, message in enumerate(messages) if place not in gone)
    tokens = count(kept)
    return Truncation(
        messages=kept,
        tokens=tokens,
        dropped=tuple(sorted(gone)),
        dropped_tokens=max(total - tokens, 0),
    )


def _too_long(
    tokens: int, limit: int, window: int, strategy: TruncationStrategy
) -> ContextOverflowError:
    if strategy is TruncationStrategy.ERROR:
        what = f"the chat has {tokens} tokens"
        advice = "allow it to be truncated"
    else:
        what = f"the instructions and the last question alone have {tokens} tokens"
        advice = "shorten them"
    return ContextOverflowError(
        f"{what}, and {limit} of the context window of {window or limit} tokens are free for them; "
        f"{advice}, lower max_tokens, or take a model with a larger window",
        input_tokens=tokens,
        window=window or limit,
        reserve=max((window or limit) - limit, 0),
    )
