"""What observers are told: one record for each thing that happens to a request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, TypedDict

from andon.chat import ChatRequest, ChatResponse, Failover, FinishReason, Usage
from andon.errors import AndonError

if TYPE_CHECKING:
    from andon.budget import BudgetWarning


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened to a request.

    :param request_id: the client's own number of the request; events with one number belong
        together.
    :param at: when, in seconds of a clock that never goes back; only differences mean something.
    :param labels: who asks, as the caller said.
    """

    request_id: int
    at: float = 0.0
    labels: Mapping[str, str] = field(default_factory=dict)


class EventHead(TypedDict):
    """What every event has; see :class:`Event`."""

    request_id: int
    at: float
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestReceived(Event):
    """A caller asks: a request's first event.

    After it, exactly one of :class:`AnswerFinished`, :class:`AnswerAbandoned` and
    :class:`RequestFailed` is the last one.

    :param models: who may answer, as ``backend:model``, in order of preference.
    :param request: what is asked, with all of its content.
    """

    models: tuple[str, ...]
    request: ChatRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestAdmitted(Event):
    """A request's turn has come.

    :param candidates: who is asked, as ``backend:model``, in turn.
    :param waited: seconds that it stood in a queue.
    """

    candidates: tuple[str, ...]
    waited: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HedgeStarted(Event):
    """Another backend is asked beside one that is slow.

    :param backend: who is asked besides.
    :param model: the model's name there.
    """

    backend: str
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptStarted(Event):
    """A backend is asked. Its end is told by :class:`AttemptEnded`.

    :param attempt: the attempt's number within the request, from 1.
    :param backend: the backend's name.
    :param model: the model's name there.
    :param input_tokens: size of the prompt in tokens, or None where unknown.
    :param reserved_usd: what is held for it, in US dollars.
    """

    attempt: int
    backend: str
    model: str
    input_tokens: int | None
    reserved_usd: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerStarted(Event):
    """The first piece of an answer is there; without a stream, all of it.

    :param attempt: the attempt's number.
    :param backend: who answers.
    :param model: the model's name there.
    :param seconds: how long it took since the backend was asked.
    """

    attempt: int
    backend: str
    model: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamReconnected(Event):
    """A connection broke, and the same answer of the same backend goes on over another one.

    The attempt is the same: its server had kept the stream, and nothing was asked again.

    :param attempt: the attempt's number.
    :param backend: who answers.
    :param model: the model's name there.
    :param reason: why the connection broke.
    :param seconds: how long nothing came.
    :param tries: how many connections were tried.
    """

    attempt: int
    backend: str
    model: str
    reason: str
    seconds: float
    tries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptEnded(Event):
    """A backend's answer is over, complete or not, and what was held for it is settled.

    :param attempt: the attempt's number.
    :param backend: its name.
    :param model: the model's name there.
    :param usage: tokens that the attempt used, as far as is known.
    :param cost_usd: what it cost, in US dollars.
    :param error: why it is not complete, or None where it is. An exception that is no error of
        andon's is the caller's, who would not wait.
    """

    attempt: int
    backend: str
    model: str
    usage: Usage
    cost_usd: Decimal
    error: BaseException | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptFailed(Event):
    """A backend failed or was passed over, with or without having been sent anything.

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
    :param cost_usd: what all attempts cost, in US dollars.
    :param response: the answer, with all of its content.
    """

    backend: str
    model: str
    finish_reason: FinishReason
    usage: Usage
    cost_usd: Decimal
    response: ChatResponse | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerAbandoned(Event):
    """The caller went away before the answer was complete: closed the stream, or was cancelled.

    :param backend: who was being asked, or None before anybody was.
    :param model: the model's name there.
    :param cost_usd: what all attempts cost, in US dollars.
    """

    backend: str | None = None
    model: str | None = None
    cost_usd: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestFailed(Event):
    """A request was refused, or nobody gave it a complete answer.

    :param error: what the caller gets.
    :param backend: who was asked last, or None before anybody was.
    :param model: the model's name there.
    :param cost_usd: what all attempts cost, in US dollars.
    """

    error: Exception
    backend: str | None = None
    model: str | None = None
    cost_usd: Decimal = Decimal(0)
