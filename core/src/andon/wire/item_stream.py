"""What the streams of all protocols have in common: items in, deltas out, errors in their place."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Generic, Protocol, TypeVar

from andon.chat import ChatDelta
from andon.errors import BackendError
from andon.wire.dialect import StreamDecoder

I_co = TypeVar("I_co", covariant=True)
Item = TypeVar("Item")


class Splitter(Protocol[I_co]):
    """Cuts bytes into the items of a protocol: events, lines, frames."""

    def feed(self, data: bytes) -> Iterable[I_co]:
        """Return the items that the next bytes complete."""
        ...

    def finish(self) -> Sequence[I_co]:
        """Return what is left when the connection has ended in order."""
        ...


class ItemStreamDecoder(StreamDecoder, Generic[Item]):
    """Reads one stream of items; what an item means is for its subclasses to say.

    An error that follows deltas in the same bytes is raised by the next call, so that the deltas
    are not lost; as nothing more is waited for, that call comes at once.

    :param splitter: cuts the bytes into items.
    """

    def __init__(self, splitter: Splitter[Item]) -> None:
        self._splitter = splitter
        self._error: BackendError | None = None
        #: Whether the answer is complete, or has failed: nothing that may follow belongs to it.
        self.done = False

    def feed(self, data: bytes) -> Sequence[ChatDelta]:
        """Return the deltas that the next bytes complete.

        :raises BackendError: the stream carries an error, or what no such stream carries.
        """
        if self._error is not None:
            raise self._error
        deltas: list[ChatDelta] = []
        try:
            for item in self._splitter.feed(data):
                if self.done:
                    break
                self._item(item, deltas)
        except BackendError as error:
            self._error, self.done = self._identified(error), True
            if not deltas:
                raise
        return deltas

    def finish(self) -> Sequence[ChatDelta]:
        """Return what is left when the connection has ended in order.

        :raises StreamInterrupted: the stream's own end is missing.
        """
        if self._error is not None:
            raise self._error
        deltas: list[ChatDelta] = []
        try:
            if not self.done:
                self._last_items(deltas)
            if not self.done:
                self._broken_off(deltas)
        except BackendError as error:
            self._error = self._identified(error)
            raise
        return deltas

    def _last_items(self, deltas: list[ChatDelta]) -> None:
        for item in self._splitter.finish():
            if not self.done:
                self._item(item, deltas)

    def _item(self, item: Item, deltas: list[ChatDelta]) -> None:
        """Read an item, and add what it gives."""
        raise NotImplementedError

    def _broken_off(self, deltas: list[ChatDelta]) -> None:
        """Give the end of an answer whose own end is missing, or raise StreamInterrupted."""
        raise NotImplementedError

    def _identified(self, error: BackendError) -> BackendError:
        """Return the error with the request's id in it."""
        return error
