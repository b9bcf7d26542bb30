"""Servers that keep a stream when its connection breaks, as :class:`ScriptedServer` plays them.

Each breaks the connections that it is told to break, at any byte, and goes on over the next one as
the real server does::

    keeper = KeptEvents(events, breaks=[100, 7])    # after 100 bytes, and 7 bytes later again
    with ScriptedServer(keeper) as server:
        ask(base_url=server.url)
    assert keeper.asked == 1
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from urllib.parse import parse_qs, unquote, urlsplit

from andon.testing.server import (
    LAST_CHUNK,
    Peer,
    ReceivedRequest,
    Script,
    cut,
    respond,
    stream_head,
)

_HEADERS = {"content-type": "text/event-stream"}


class KeptStream:
    """What servers that keep a stream have in common: one answer, and connections that break.

    :param size: bytes of the stream.
    :param breaks: after how many bytes of its body each connection breaks; those after the last
        number do not.
    :param how: breaks a connection: :func:`~andon.testing.server.cut`, ``reset`` or ``hold``.
    """

    def __init__(
        self, size: int, breaks: Iterable[int] = (), how: Callable[[Peer], None] = cut
    ) -> None:
        self.size = size
        self.breaks = list(breaks)
        self.how = how
        #: How often the answer was asked for.
        self.asked = 0
        #: How often it was asked to go on.
        self.rejoined = 0
        #: How often it was told to stop.
        self.stopped = 0

    def __call__(self, request: ReceivedRequest) -> Script:
        """Return what to do with a request."""
        raise NotImplementedError

    def play(self, data: bytes) -> Script:
        """Return the reply whose body is a part of the stream, unless its connection breaks."""
        head = stream_head(_HEADERS)
        # The length first: a connection breaks amid a chunk.
        body = b"%x\r\n%b\r\n" % (len(data), data) if data else b""
        if not self.breaks:
            return [head, body, LAST_CHUNK]
        announced = body[: len(body) - len(data) - 2]
        return [head, announced + data[: self.breaks.pop(0)], self.how]


class KeptBytes(KeptStream):
    """A llama-server, which keeps the bytes of a stream by the id that its request brought.

    :param body: the bytes of the stream.
    :param breaks: see :class:`KeptStream`.
    :param how: see :class:`KeptStream`.
    :param oldest: the first byte that is still kept.
    """

    def __init__(
        self,
        body: bytes,
        breaks: Iterable[int] = (),
        how: Callable[[Peer], None] = cut,
        oldest: int = 0,
    ) -> None:
        super().__init__(len(body), breaks, how)
        self.body = body
        self.oldest = oldest
        #: The id of the stream that is kept.
        self.kept: str | None = None

    def __call__(self, request: ReceivedRequest) -> Script:
        """Return what to do with a request."""
        url = urlsplit(request.target)
        if not url.path.endswith("/v1/stream"):
            self.asked += 1
            self.kept = request.headers.get("x-conversation-id")
            return self.play(self.body)
        query = parse_qs(url.query)
        if request.method == "DELETE":
            self.stopped += 1
            self.kept = None
            return [b"HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n"]
        self.rejoined += 1
        if query["conv_id"] != [self.kept]:
            return [respond(404, b'{"error":{"message":"File Not Found","code":404}}')]
        start = int(query["from"][0])
        if start < self.oldest:
            error = b'{"error":{"message":"Stream offset lost, please restart","code":400}}'
            return [respond(400, error)]
        return self.play(self.body[start:])


class KeptEvents(KeptStream):
    """OpenAI's Responses in the background, which keep the numbered events of a stream.

    :param events: the bytes of each event.
    :param breaks: see :class:`KeptStream`.
    :param how: see :class:`KeptStream`.
    :param response: the response's id.
    """

    def __init__(
        self,
        events: Sequence[bytes],
        breaks: Iterable[int] = (),
        how: Callable[[Peer], None] = cut,
        response: str = "resp_sample",
    ) -> None:
        super().__init__(sum(map(len, events)), breaks, how)
        self.events = list(events)
        self.response = response

    def __call__(self, request: ReceivedRequest) -> Script:
        """Return what to do with a request."""
        url = urlsplit(request.target)
        if request.method == "POST" and url.path.endswith("/cancel"):
            self.stopped += 1
            return [respond(200, b'{"id":"%b","status":"cancelled"}' % self.response.encode())]
        if request.method == "POST":
            self.asked += 1
            return self.play(b"".join(self.events))
        self.rejoined += 1
        query = parse_qs(url.query)
        if not unquote(url.path).endswith(f"/{self.response}") or query["stream"] != ["true"]:
            return [respond(404, b'{"error":{"message":"Response not found"}}')]
        after = int(query["starting_after"][0])
        rest = [event for event in self.events if _number(event) > after]
        return self.play(b"".join(rest))


def _number(event: bytes) -> int:
    """Return an event's number."""
    data = event.partition(b"data: ")[2]
    return int(json.loads(data)["sequence_number"])
