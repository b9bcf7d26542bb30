"""The AWS event stream: frames with lengths and checksums, read byte by byte.

A frame is its whole length, the length of its headers and the CRC-32 of both; then the headers;
the payload; and the CRC-32 of all before it. Numbers are unsigned, of 32 bits, big-endian. The
limits are those of AWS's own SDK (botocore 1.44, ``eventstream.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from struct import Struct
from typing import NamedTuple, TypeAlias
from zlib import crc32

from andon.errors import BackendError, StreamInterrupted
from andon.wire.problems import malformed

#: Most bytes of the headers of one frame.
MAX_HEADERS = 128 * 1024

#: Most bytes of the payload of one frame.
LIMIT = 24 * 1024 * 1024

_PRELUDE = Struct(">III")
_CHECKSUM = Struct(">I")
_SHORT = Struct(">H")
#: What a frame has besides headers and payload.
_FRAMING = _PRELUDE.size + _CHECKSUM.size

#: A header's value; times are milliseconds since 1970, and a UUID is its 16 bytes.
HeaderValue: TypeAlias = bool | int | bytes | str


class Frame(NamedTuple):
    """One frame.

    :param headers: its headers; those of the protocol itself begin with a colon.
    :param payload: the bytes that it carries.
    """

    headers: Mapping[str, HeaderValue]
    payload: bytes


class EventStreamDecoder:
    """Reads one stream of frames; however its bytes are cut, it gives the same frames.

    :param limit: most bytes of the payload of one frame.
    """

    __slots__ = ("_buffer", "_headers", "_limit", "_needed")

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._needed = _PRELUDE.size
        # Those of the last frame: most frames of a stream have the same.
        self._headers: tuple[bytes, Mapping[str, HeaderValue]] = (b"", {})

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Give the frames that the next bytes complete, each before the next one is looked at.

        :raises BackendError: a checksum is wrong, a frame is larger than the limit, or it is none.
        """
        self._buffer += data
        while len(self._buffer) >= self._needed:
            if self._needed == _PRELUDE.size:
                self._needed = self._read_prelude()
            else:
                frame = self._read_frame(bytes(self._buffer[: self._needed]))
                del self._buffer[: self._needed]
                self._needed = _PRELUDE.size
                yield frame

    def finish(self) -> Sequence[Frame]:
        """Return what is left, which is nothing: the stream ends between two frames.

        :raises StreamInterrupted: it ended amid one.
        """
        if self._buffer:
            raise StreamInterrupted("the event stream ended amid a frame")
        return ()

    def _read_prelude(self) -> int:
        """Return the length of the frame that begins."""
        prelude = bytes(self._buffer[: _PRELUDE.size])
        length, headers, checksum = _PRELUDE.unpack(prelude)
        if crc32(prelude[:8]) != checksum:
            raise malformed("AWS event stream (the checksum of a length is wrong)", prelude)
        payload = length - headers - _FRAMING
        if headers > MAX_HEADERS or payload > self._limit:
            raise BackendError(
                f"the event stream has a frame of {length} bytes, more than the {self._limit} that "
                "are allowed; it was cut off to protect this process"
            )
        if payload < 0:
            raise malformed("AWS event stream (its lengths contradict each other)", prelude)
        return int(length)

    def _read_frame(self, data: bytes) -> Frame:
        end = len(data) - _CHECKSUM.size
        if crc32(data[:end]) != _CHECKSUM.unpack_from(data, end)[0]:
            raise malformed("AWS event stream (the checksum of a frame is wrong)", data)
        start = _PRELUDE.size
        payload = start + int(_CHECKSUM.unpack_from(data, 4)[0])
        headers = data[start:payload]
        if headers != self._headers[0]:
            self._headers = headers, _read_headers(headers)
        return Frame(self._headers[1], data[payload:end])


def _read_headers(data: bytes) -> dict[str, HeaderValue]:
    headers: dict[str, HeaderValue] = {}
    place, end = 0, len(data)
    while place < end:
        start = place + 1
        kind = start + data[place]
        # A slice that ends too early would be taken for a shorter name or value.
        if kind >= end:
            raise malformed("header of an AWS event stream", data)
        name = _text(data[start:kind])
        value, place = _value(data, kind)
        if place > end or name in headers:
            raise malformed("header of an AWS event stream", data)
        headers[name] = value
    return headers


def _value(data: bytes, place: int) -> tuple[HeaderValue, int]:
    """Return the value whose type stands at a place, and where it ends."""
    kind, start = data[place], place + 1
    if kind in _SIZED:
        if start + _SHORT.size > len(data):
            raise malformed("header of an AWS event stream", data)
        length = _SHORT.unpack_from(data, start)[0]
        start += _SHORT.size
        return _SIZED[kind](data[start : start + length]), start + length
    if kind not in _FIXED:
        raise malformed("header of an AWS event stream", data)
    length, read = _FIXED[kind]
    return read(data[start : start + length]), start + length


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise malformed("header of an AWS event stream", data) from None


def _integer(data: bytes) -> int:
    return int.from_bytes(data, "big", signed=True)


#: The types of values that tell their length.
_SIZED: Mapping[int, Callable[[bytes], HeaderValue]] = {6: bytes, 7: _text}
#: The others, with their length in bytes: true, false, integers, a time, a UUID.
_FIXED: Mapping[int, tuple[int, Callable[[bytes], HeaderValue]]] = {
    0: (0, lambda data: True),
    1: (0, lambda data: False),
    2: (1, _integer),
    3: (2, _integer),
    4: (4, _integer),
    5: (8, _integer),
    8: (8, _integer),
    9: (16, bytes),
}
