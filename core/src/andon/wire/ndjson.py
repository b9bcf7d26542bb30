"""Newline-delimited JSON: one JSON text a line. Only a line feed ends a line."""

from __future__ import annotations

from andon.errors import BackendError

#: Most bytes of one line.
LIMIT = 16 * 1024 * 1024


class NDJSONDecoder:
    """Cuts a stream into lines; however its bytes are cut, it gives the same lines.

    Lines are returned as text and not as values, since what to do with one that is no JSON is
    the dialect's decision. Empty lines are left out.

    :param limit: most bytes of one line.
    """

    __slots__ = ("_limit", "_parts", "_waiting")

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self._waiting = 0

    def feed(self, data: bytes) -> list[str]:
        """Return the lines that the next bytes complete.

        :raises BackendError: a line is larger than the limit.
        """
        lines = data.split(b"\n")
        rest = lines.pop()
        if lines and self._parts:
            lines[0] = b"".join((*self._parts, lines[0]))
            self._parts.clear()
            self._waiting = 0
        texts = [self._text(line) for line in lines if line and line != b"\r"]
        if rest:
            self._parts.append(rest)
            self._waiting += len(rest)
            self._check(self._waiting)
        return texts

    def finish(self) -> list[str]:
        """Return the last line, which need not end with a line feed."""
        line = b"".join(self._parts)
        self._parts.clear()
        return [self._text(line)] if line not in {b"", b"\r"} else []

    def _text(self, line: bytes) -> str:
        self._check(len(line))
        return line.removesuffix(b"\r").decode("utf-8", "replace")

    def _check(self, size: int) -> None:
        if size > self._limit:
            raise BackendError(
                f"the stream has a line of more than {self._limit} bytes; "
                "it was cut off to protect this process"
            )
