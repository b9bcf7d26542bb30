"""Server-sent events, read byte by byte as the WHATWG's HTML standard says.

A line ends with CR, LF or CRLF and with nothing else: ``str.splitlines`` would also split at
U+2028 and its kind, which stand raw in the JSON of many servers.
"""

from __future__ import annotations

from typing import NamedTuple

from andon.errors import BackendError

#: Most bytes of one line, and of the data of one event.
LIMIT = 16 * 1024 * 1024

_BOM = b"\xef\xbb\xbf"


class Event(NamedTuple):
    """One event.

    :param name: the event's type; empty where the server names none.
    :param data: its data lines, joined by line feeds.
    :param id: the last event id that the stream has given.
    :param retry: milliseconds after which to reconnect, if the stream has said so.
    """

    name: str
    data: str
    id: str = ""
    retry: int | None = None


class SSEDecoder:
    """Reads one stream of events; however its bytes are cut, it gives the same events.

    :param limit: most bytes of one line, and of the data of one event.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._parts: list[bytes] = []  # of the line that has not ended yet
        self._waiting = 0
        self._first: bytes | None = b""  # what may become a byte order mark
        self._skip = False  # whether a line feed would belong to the CR before it
        self._fresh = False  # whether nothing of an earlier event or line is left
        self._data: list[bytes] = []
        self._size = 0
        self._name = ""
        self._id = ""
        self._retry: int | None = None

    def feed(self, data: bytes) -> list[Event]:
        """Return the events that the next bytes complete.

        :raises BackendError: a line or an event is larger than the limit.
        """
        if self._fresh and data.count(b"\n") == 2 and self._is_simple(data):
            text = data[6:-2].decode("utf-8", "replace")
            return [Event("", text, self._id, self._retry)]
        if self._first is not None:
            data = self._without_bom(data)
        if self._skip and data:
            self._skip = False
            data = data.removeprefix(b"\n")
        if b"\r" in data:
            self._skip = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        lines = data.split(b"\n")
        rest = lines.pop()
        if lines and self._parts:
            lines[0] = self._take_parts(lines[0])
        events = self._read(lines) if lines else []
        if rest:
            # Joined only once it is whole, or a giant line would cost the square of its size.
            self._parts.append(rest)
            self._waiting += len(rest)
            self._check(self._waiting)
        self._fresh = (
            not (self._parts or self._data or self._name or self._skip) and self._first is None
        )
        return events

    def finish(self) -> list[Event]:
        """Return an event that lacks nothing but the empty line behind it.

        The standard would drop it, yet some servers end so after their last event. A line that
        has not ended is dropped: nobody knows how it goes on.
        """
        self._parts.clear()
        return self._read([b""])

    def _is_simple(self, data: bytes) -> bool:
        """Return whether two line feeds are the end of one event of one line.

        Most servers send so, an event at a time, and this way it costs half as much.
        """
        fits = data.startswith(b"data: ") and data.endswith(b"\n\n") and len(data) <= self._limit
        return fits and b"\r" not in data

    def _without_bom(self, data: bytes) -> bytes:
        data = (self._first or b"") + data
        if len(data) < len(_BOM) and _BOM.startswith(data):
            self._first = data
            return b""
        self._first = None
        return data.removeprefix(_BOM)

    def _take_parts(self, last: bytes) -> bytes:
        line = b"".join((*self._parts, last))
        self._parts.clear()
        self._waiting = 0
        return line

    def _read(self, lines: list[bytes]) -> list[Event]:
        events: list[Event] = []
        pending = self._data
        limit = self._limit
        for line in lines:
            if not line:
                if pending:
                    data = pending[0] if len(pending) == 1 else b"\n".join(pending)
                    text = data.decode("utf-8", "replace")
                    events.append(Event(self._name, text, self._id, self._retry))
                    pending.clear()
                    self._size = 0
                self._name = ""
            elif line.startswith(b"data: "):
                pending.append(line[6:])
                self._size += len(line)
                if self._size > limit:
                    self._check(self._size)
            else:
                self._field(line)
        return events

    def _field(self, line: bytes) -> None:
        self._check(len(line))
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._data.append(value)
            self._size += len(line)
            self._check(self._size)
        elif field == b"event":
            self._name = value.decode("utf-8", "replace")
        elif field == b"id" and b"\0" not in value:
            self._id = value.decode("utf-8", "replace")
        elif field == b"retry" and value.isdigit() and len(value) < 16:
            self._retry = int(value)

    def _check(self, size: int) -> None:
        if size > self._limit:
            raise BackendError(
                f"the stream has an event or a line of more than {self._limit} bytes; "
                "it was cut off to protect this process"
            )
