"""Streams that a server keeps when their connection breaks: the setting, and llama-server's way.

A llama-server keeps the bytes of a stream whose request brought an id of its own, the last 4 MiB
of them, until five minutes after its end; and it generates on, whoever listens. The source is
``tools/server/README-dev.md`` of llama.cpp, and its server of October 2026, which does so at each
of its routes that stream.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from andon.chat import ChatDelta
from andon.errors import SettingsError, StreamInterrupted
from andon.specs import BackendContext
from andon.wire.dialect import HTTPCall, HTTPReply, StreamDecoder

#: The setting that has streams kept; among an endpoint's ``switches`` where it is taken.
RESUMABLE_OPTION = "resumable"

#: How much of what had come is asked for again, in bytes, and compared.
OVERLAP = 32


def is_resumable(context: BackendContext, *, able: bool = True) -> bool:
    """Return whether the settings want streams kept.

    :param able: whether the server can, in this protocol.
    :raises SettingsError: they say neither true nor false, or want what the server cannot do.
    """
    value = context.options.get(RESUMABLE_OPTION, False)
    if not isinstance(value, bool):
        raise SettingsError(f"{RESUMABLE_OPTION} must be true or false")
    if value and not able:
        raise SettingsError(
            f"{RESUMABLE_OPTION} = true takes a server that keeps a stream when its connection "
            "breaks, which is not so in this protocol; OpenAI's Responses can: set api to "
            f'"responses", or leave {RESUMABLE_OPTION} out'
        )
    return value


def kept(call: HTTPCall, inner: Callable[[Mapping[str, str]], StreamDecoder]) -> HTTPCall:
    """Return a call whose stream a llama-server keeps until it is told to stop.

    :param call: the call of a streamed answer.
    :param inner: makes what reads the stream.
    """
    # Whoever knows the id can read the answer, so nobody must guess it.
    stream = os.urandom(16).hex()
    return replace(
        call,
        headers={**call.headers, "x-conversation-id": stream},
        undo=_stop(stream, call.headers),
        decoder=lambda headers: KeptStreamDecoder(inner(headers), stream),
    )


def rejoin(decoder: StreamDecoder, headers: Mapping[str, str]) -> HTTPCall | None:
    """Return the call that goes on with a stream that a llama-server keeps, or None.

    :param decoder: what has read it so far.
    :param headers: the headers of the call.
    """
    if not isinstance(decoder, KeptStreamDecoder):
        return None
    return HTTPCall(
        path=f"/v1/stream?conv_id={decoder.stream}&from={decoder.place}",
        method="GET",
        headers=headers,
        at_root=True,
        undo=_stop(decoder.stream, headers),
        decoder=lambda headers: decoder.rejoined(),
    )


def _stop(stream: str, headers: Mapping[str, str]) -> HTTPCall:
    path = f"/v1/stream?conv_id={stream}"
    return HTTPCall(path=path, method="DELETE", headers=headers, at_root=True)


class KeptStreamDecoder(StreamDecoder):
    """Reads one stream through another decoder, over as many connections as it takes.

    The end of what had come is asked for again, and must be the same: were a byte added or taken
    away on the way, its place would be another one, and a token be lost or come twice.

    :param inner: reads the stream.
    :param stream: the stream's id at the server.
    """

    def __init__(self, inner: StreamDecoder, stream: str) -> None:
        self.stream = stream
        self._inner = inner
        self._size = 0  # bytes that have come
        self._end = b""  # the last of them
        self._again = b""  # what of these must come again first

    # Read only, where the contract has a variable: it is the inner one's to set.
    @property
    def done(self) -> bool:  # type: ignore[override]
        """Whether the protocol's own end has come."""
        return self._inner.done

    @property
    def place(self) -> int:
        """The place in the stream from which it is to come again, in bytes."""
        return self._size - len(self._end)

    def rejoined(self) -> KeptStreamDecoder:
        """Return the decoder, prepared to read on from its place over another connection."""
        self._again = self._end
        return self

    def feed(self, data: bytes) -> Sequence[ChatDelta]:
        """Return the deltas that the next bytes complete.

        :raises BackendError: the stream carries an error, or what no such stream carries.
        :raises StreamInterrupted: what comes again is not what had come.
        """
        if self._again:
            data = self._beyond(data)
        self._size += len(data)
        self._end = (self._end + data)[-OVERLAP:] if len(data) < OVERLAP else data[-OVERLAP:]
        return self._inner.feed(data)

    def _beyond(self, data: bytes) -> bytes:
        """Return what is new of the bytes."""
        size = min(len(data), len(self._again))
        if data[:size] != self._again[:size]:
            raise StreamInterrupted("the server goes on with another stream than had come")
        self._again = self._again[size:]
        return data[size:]

    def finish(self) -> Sequence[ChatDelta]:
        """Return what is left when the connection has ended in order.

        :raises StreamInterrupted: the protocol's own end is missing.
        """
        return self._inner.finish()

    def follow_up(self) -> HTTPCall | None:
        """Return a call for what the finished stream left open, or None."""
        return self._inner.follow_up()

    def conclude(self, reply: HTTPReply | None) -> Sequence[ChatDelta]:
        """Return what the reply to :meth:`follow_up` adds."""
        return self._inner.conclude(reply)
