"""What observers are told: one record for each thing that happens to a request."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from andon.chat import Failover, FinishReason, Usage
from andon.errors import AndonError

if TYPE_CHECKING:
    from andon.budget import BudgetWarning


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened to a request.

    :param request_id: the client's own number of the request; events with one number belong
        together.
    """

    request_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptStarted(Event):
    """A backend is asked.

    :param backend: its name.
    :param model: the model's name there.
    :param input_tokens: size of the prompt in tokens, or None where unknown.
    """

    backend: str
    model: str
    input_tokens: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptFailed(Event):
    """A backend failed or was passed over.

    :param backend: its name.
    :param model: the model's name there.
    :param error: why.
    """

    backend: str
    model: str
    error: AndonError


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerContinued(Event):
    """Another backend goes on with an answer that had broken off.

    :param failover: who, with whose answer, and how.
    """

    failover: Failover


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetThresholdPassed(Event):
    """A budget is nearly used up; told once a period.

    :param warning: which budget, and how far.
    """

    warning: BudgetWarning


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatTruncated(Event):
    """Messages were left out, so that a chat fits its model's context window.

    :param backend: who is asked.
    :param model: the model's name there.
    :param dropped: places of the messages in the chat, from 0.
    """

    backend: str
    model: str
    dropped: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterDropped(Event):
    """An option that a model does not take was left out, since the caller prefers that.

    :param backend: who is asked.
    :param model: the model's name there.
    :param parameter: the option's name.
    :param reason: why it could not be sent.
    """

    backend: str
    model: str
    parameter: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerFinished(Event):
    """An answer is complete.

    :param backend: who answered.
    :param model: the model's name there.
    :param finish_reason: why the answer ended.
    :param usage: tokens used.
    :param cost_usd: what it cost, in US dollars.
    """

    backend: str
    model: str
    finish_reason: FinishReason
    usage: Usage
    cost_usd: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerAbandoned(Event):
    """The caller closed the stream before the answer was complete.

    :param backend: who was answering.
    :param model: the model's name there.
    """

    backend: str
    model: str
