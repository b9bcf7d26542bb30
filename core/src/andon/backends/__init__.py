"""What serves a model: the contract that every backend keeps."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from andon.chat import ChatDelta, ChatRequest
from andon.specs import ModelCard
from andon.tokens import TokenCount


@dataclass(frozen=True, slots=True)
class PromptMeasure:
    """How large a prompt is, and how large it may be.

    :param count: tokens of the rendered prompt, control tokens included.
    :param card: the model as the backend knows it, its context window first of all.
    """

    count: TokenCount
    card: ModelCard


class Backend(Protocol):
    """A server, or an engine in this process, that answers requests.

    Every method may be called from many threads and tasks at once. A method with a leading
    ``a`` is the same for asyncio, and never blocks the event loop.
    """

    def models(self) -> Sequence[ModelCard]:
        """Return the models that can be asked for by name, without loading any."""
        ...

    def measure(self, request: ChatRequest) -> PromptMeasure | None:
        """Return the size of the request's prompt, or None where it cannot be known.

        A backend that never knows may have an attribute ``measures = False``, and is not asked.

        :raises ConfigurationError: the model cannot be loaded.
        :raises TemplateError: the model's chat template cannot express the messages.
        """
        ...

    async def ameasure(self, request: ChatRequest) -> PromptMeasure | None:
        """Return the size of the request's prompt; see :meth:`measure`."""
        ...

    def stream(self, request: ChatRequest, timeout: float | None) -> Iterator[ChatDelta]:
        """Give the answer piece by piece; the last piece has a finish reason and usage.

        Closing the iterator stops the work at once. A backend that made a broken connection anew
        tells so with a :class:`~andon.chat.Reconnected` between two pieces.

        :param request: what to answer.
        :param timeout: seconds until the whole answer must be there, or None for ever.
        :raises BackendError: the backend failed.
        :raises RequestTimeout: the time is over.
        """
        ...

    def astream(self, request: ChatRequest, timeout: float | None) -> AsyncIterator[ChatDelta]:
        """Give the answer piece by piece; see :meth:`stream`."""
        ...

    def close(self) -> None:
        """Free everything. A closed backend is not used again."""
        ...

    async def aclose(self) -> None:
        """Free everything; see :meth:`close`."""
        ...


@runtime_checkable
class AnswersQuestions(Protocol):
    """A backend that can be asked for more than answers, as most servers can.

    Each raises :class:`andon.ConfigurationError` where this one cannot be asked, and
    :class:`andon.BackendError` where it fails.
    """

    def list_models(self) -> Sequence[ModelCard]:
        """Return the models that the server has at this moment."""
        ...

    async def alist_models(self) -> Sequence[ModelCard]:
        """Return the models that the server has; see :meth:`list_models`."""
        ...

    def check_health(self) -> None:
        """Return if the server can serve."""
        ...

    async def acheck_health(self) -> None:
        """Return if the server can serve; see :meth:`check_health`."""
        ...

    def count_tokens(self, request: ChatRequest) -> int:
        """Return the tokens of a request's prompt, as the server counts them."""
        ...

    async def acount_tokens(self, request: ChatRequest) -> int:
        """Return the tokens of a request's prompt; see :meth:`count_tokens`."""
        ...


@runtime_checkable
class ContinuesForms(Protocol):
    """A backend that may go on with an answer that must keep to a JSON schema."""

    @property
    def continues_forms(self) -> bool:
        """Whether it holds such an answer to its schema as a whole, what was begun included."""
        ...


@runtime_checkable
class TellsSlots(Protocol):
    """A backend that may know how many requests it serves at a time.

    Each raises :class:`andon.BackendError` where it fails.
    """

    def learn_slots(self) -> int | None:
        """Return how many requests it serves at a time, or None where it does not tell."""
        ...

    async def alearn_slots(self) -> int | None:
        """Return how many requests it serves at a time; see :meth:`learn_slots`."""
        ...
