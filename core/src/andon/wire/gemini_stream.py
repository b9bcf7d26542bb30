"""Streams in the form of Gemini's generateContent: from bytes to deltas.

The stream is one of server-sent events, but an error amid it is not: it is a JSON text that stands
there bare, pretty-printed over many lines.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from andon.chat import ChatDelta
from andon.errors import BackendError
from andon.wire.gemini_decode import UNREADABLE, AnswerReader
from andon.wire.item_stream import ItemStreamDecoder
from andon.wire.json_values import read_json
from andon.wire.problems import malformed
from andon.wire.sse import LIMIT

_BOM = b"\xef\xbb\xbf"
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?')


class JSONReader:
    """Cuts a stream into its JSON texts, those of events and bare ones.

    However its bytes are cut, it gives the same texts. A line ends with CR, LF or CRLF.

    :param limit: most bytes of one line, and of one text.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._parts: list[bytes] = []  # of the line that has not ended yet
        self._waiting = 0
        self._skip = False  # whether a line feed would belong to the CR before it
        self._first = True
        self._data: list[bytes] = []  # of the event that has not ended yet
        self._bare: list[bytes] = []
        self._depth = 0  # of brackets that are open in the bare text
        self._size = 0

    def feed(self, data: bytes) -> list[str]:
        """Return the texts that the next bytes complete.

        :raises BackendError: a line or a text is larger than the limit.
        """
        if self._skip and data:
            self._skip = False
            data = data.removeprefix(b"\n")
        if b"\r" in data:
            self._skip = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, rest = data.split(b"\n")
        if lines and self._parts:
            lines[0] = self._take_parts(lines[0])
        texts: list[str] = []
        for line in lines:
            self._line(line, texts)
        if rest:
            # Joined only once it is whole, or a giant line would cost the square of its size.
            self._parts.append(rest)
            self._waiting += len(rest)
            self._check(self._waiting)
        return texts

    def finish(self) -> list[str]:
        """Return the texts that lack nothing but the end of a line."""
        texts: list[str] = []
        rest = self._take_parts(b"")
        if self._depth or rest[:1] in {b"{", b"["}:
            self._line(rest, texts)
        self._line(b"", texts)
        return texts

    def _take_parts(self, last: bytes) -> bytes:
        line = b"".join((*self._parts, last))
        self._parts.clear()
        self._waiting = 0
        return line

    def _line(self, line: bytes, texts: list[str]) -> None:
        self._size += len(line)
        self._check(self._size)
        if self._first:
            self._first, line = False, line.removeprefix(_BOM)
        if self._depth or line[:1] in {b"{", b"["}:
            self._bare_line(line, texts)
        elif not line:
            self._give(self._data, texts)
        elif line.startswith(b"data:"):
            self._data.append(line[5:].removeprefix(b" "))

    def _bare_line(self, line: bytes, texts: list[str]) -> None:
        self._bare.append(line)
        outside = _STRING.sub(b"", line)
        self._depth += outside.count(b"{") + outside.count(b"[")
        self._depth -= outside.count(b"}") + outside.count(b"]")
        if self._depth <= 0:
            self._depth = 0
            self._give(self._bare, texts)

    def _give(self, lines: list[bytes], texts: list[str]) -> None:
        self._size = 0
        if lines:
            texts.append(b"\n".join(lines).decode("utf-8", "replace"))
            lines.clear()

    def _check(self, size: int) -> None:
        if size > self._limit:
            raise BackendError(
                f"the stream has an event or a line of more than {self._limit} bytes; "
                "it was cut off to protect this process"
            )


class GeminiStreamDecoder(ItemStreamDecoder[str]):
    """Reads one stream of chunks.

    Its end is the end of the connection, after a finish reason: earlier models sent that with
    every chunk, and signatures and counts may come after it.

    :param headers: the headers that the stream came with.
    """

    def __init__(self, headers: Mapping[str, str]) -> None:
        super().__init__(JSONReader())
        self._answer = AnswerReader(headers)

    def _broken_off(self, deltas: list[ChatDelta]) -> None:
        # Only the connection's end is the protocol's.
        deltas.append(self._answer.end())

    def _item(self, item: str, deltas: list[ChatDelta]) -> None:
        try:
            chunk = read_json(item)
        except ValueError:
            raise malformed("JSON", item) from None
        try:
            delta = self._answer.read(chunk)
        except UNREADABLE as error:
            raise malformed("chunk of an answer", item) from error
        if delta is not None:
            deltas.append(delta)

    def _identified(self, error: BackendError) -> BackendError:
        error.request_id = error.request_id or self._answer.request_id
        return error
