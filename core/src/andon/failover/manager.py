"""Failover as a class that stands alone, for programs that drive their streams themselves."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Self

from andon.answer import Answer
from andon.chat import ChatDelta, ChatRequest
from andon.errors import AndonError, InvalidRequestError
from andon.failover.policy import FailoverMode, FailoverPolicy
from andon.failover.reactions import Reaction, react
from andon.failover.resumption import Resumption, resumptions
from andon.messages import Messages, as_messages

#: Most streams that are followed at once: whoever never calls ``complete`` is told.
_MOST_TRACKED = 100_000


@dataclass(slots=True)
class _Stream:
    request: ChatRequest
    answer: Answer = field(default_factory=Answer)
    failovers: int = 0
    ways: Iterator[Resumption] | None = None


class FailoverManager:
    """Keeps what streams have delivered, and tells how a broken one goes on.

    :class:`andon.Client` does all of this itself. A program that sends its own requests calls
    :meth:`append_tokens` for what it hands over, and, when the stream breaks, sends what
    :meth:`prepare_failover` returns to another backend and hands over what that one's
    :meth:`~andon.failover.resumption.Resumption.seam` lets through.

    Every method may be called from many threads.

    :param policy: how hard to try.
    """

    def __init__(self, policy: FailoverPolicy) -> None:
        self._policy = policy
        self._streams: dict[str, _Stream] = {}
        self._lock = threading.Lock()

    @classmethod
    def with_defaults(cls) -> Self:
        """Return a manager with the default policy."""
        return cls(FailoverPolicy())

    def start_tracking(self, id: str, prompt: ChatRequest | Messages) -> None:  # noqa: A002
        """Follow a stream.

        :param id: a name of the caller's for it.
        :param prompt: what was asked: a request, or the messages of a chat.
        :raises InvalidRequestError: the name is in use, or too many streams are followed.
        """
        if not isinstance(prompt, ChatRequest):
            prompt = ChatRequest(model="", messages=as_messages(prompt), stream=True)
        with self._lock:
            if id in self._streams:
                raise InvalidRequestError(f"a stream {id!r} is followed already; complete() it")
            if len(self._streams) >= _MOST_TRACKED:
                raise InvalidRequestError(
                    f"{_MOST_TRACKED:,} streams are followed; complete() those that have ended"
                )
            self._streams[id] = _Stream(prompt)

    def append_tokens(self, id: str, text: str) -> None:  # noqa: A002
        """Note a piece of text that was handed over.

        :param id: the stream's name.
        :param text: the piece; best a token, since they are counted.
        :raises InvalidRequestError: no such stream is followed.
        """
        self.append(id, ChatDelta(text=text))

    def append(self, id: str, delta: ChatDelta) -> None:  # noqa: A002
        """Note a piece that was handed over, thoughts and tool calls as well.

        :param id: the stream's name.
        :param delta: the piece.
        :raises InvalidRequestError: no such stream is followed.
        """
        stream = self._stream(id)
        stream.answer.append(delta)
        stream.ways = None

    def delivered(self, id: str) -> str:  # noqa: A002
        """Return the text that was handed over.

        :param id: the stream's name.
        :raises InvalidRequestError: no such stream is followed.
        """
        return self._stream(id).answer.text

    def should_failover(self, id: str, error: AndonError | None = None) -> bool:  # noqa: A002
        """Return whether another backend should go on with a stream.

        :param id: the stream's name.
        :param error: why it broke, where known.
        :raises InvalidRequestError: no such stream is followed.
        """
        stream = self._stream(id)
        if stream.answer.finish_reason is not None:
            return False
        if stream.failovers + 1 >= self._policy.max_attempts:
            return False
        if stream.answer.has_content and self._policy.mode is FailoverMode.STOP:
            return False
        return error is None or react(error) is not Reaction.STOP

    def prepare_failover(self, id: str) -> Resumption:  # noqa: A002
        """Return how the stream goes on; each call without progress in between, another way.

        :param id: the stream's name.
        :raises InvalidRequestError: no such stream is followed, or there is no other way.
        """
        stream = self._stream(id)
        if stream.ways is None:
            stream.ways = resumptions(stream.request, stream.answer)
        way = next(stream.ways, None)
        if way is None:
            raise InvalidRequestError(f"the stream {id!r} cannot go on in any other way")
        stream.failovers += 1
        return way

    def complete(self, id: str) -> None:  # noqa: A002
        """Forget a stream.

        :param id: its name.
        """
        with self._lock:
            self._streams.pop(id, None)

    def _stream(self, name: str) -> _Stream:
        try:
            return self._streams[name]
        except KeyError:
            raise InvalidRequestError(
                f"no stream {name!r} is followed; start_tracking() it first"
            ) from None
