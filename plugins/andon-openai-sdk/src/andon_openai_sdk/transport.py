"""A transport for httpx2 that answers OpenAI's requests with andon."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from itertools import count
from typing import Any

import httpx2

from andon import AndonError, AsyncClient, AsyncResponseStream, Client, ResponseStream
from andon.wire.openai_server import (
    ChatCall,
    ChunkWriter,
    completion,
    error_reply,
    event,
    read_call,
)

_JSON = {"content-type": "application/json"}
_EVENTS = {"content-type": "text/event-stream"}

_numbers = count(1)


class Transport(httpx2.BaseTransport):
    """Answers requests in this thread.

    :param client: what answers.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Return the answer to a request."""
        if (refusal := _wrong_address(request)) is not None:
            return refusal
        try:
            call = read_call(request.read())
            if call.stream:
                return self._stream(call)
            response = self._client.chat(call.model, call.messages, **call.options)
        except AndonError as error:
            return _failed(error)
        return _json(200, completion(response, created=int(time.time())))

    def _stream(self, call: ChatCall) -> httpx2.Response:
        stream = self._client.stream(call.model, call.messages, **call.options)
        # The first piece is fetched at once, so that an error still has a status.
        first = next(stream, None)
        pieces = _Events(stream, call, first)
        return httpx2.Response(200, headers=_EVENTS, stream=pieces)


class AsyncTransport(httpx2.AsyncBaseTransport):
    """Answers requests in this task; see :class:`Transport`.

    :param client: what answers.
    """

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Return the answer to a request."""
        if (refusal := _wrong_address(request)) is not None:
            return refusal
        try:
            call = read_call(await request.aread())
            if call.stream:
                return await self._stream(call)
            response = await self._client.chat(call.model, call.messages, **call.options)
        except AndonError as error:
            return _failed(error)
        return _json(200, completion(response, created=int(time.time())))

    async def _stream(self, call: ChatCall) -> httpx2.Response:
        stream = self._client.stream(call.model, call.messages, **call.options)
        first = await anext(stream, None)
        pieces = _AsyncEvents(stream, call, first)
        return httpx2.Response(200, headers=_EVENTS, stream=pieces)


class _Events(httpx2.SyncByteStream):
    """The events of a stream; closing it closes the answer."""

    def __init__(self, stream: ResponseStream, call: ChatCall, first: Any) -> None:
        self._stream, self._call, self._first = stream, call, first

    def __iter__(self) -> Iterator[bytes]:
        writer, delta = _writer(self._call), self._first
        try:
            while delta is not None:
                if (chunk := writer.write(delta)) is not None:
                    yield event(chunk)
                delta = next(self._stream, None)
        except AndonError as error:
            yield event(error_reply(error)[2])
            return
        if self._call.include_usage:
            yield event(writer.usage(self._stream.response.usage))
        yield event(None)

    def close(self) -> None:
        self._stream.close()


class _AsyncEvents(httpx2.AsyncByteStream):
    """The events of a stream; see :class:`_Events`."""

    def __init__(self, stream: AsyncResponseStream, call: ChatCall, first: Any) -> None:
        self._stream, self._call, self._first = stream, call, first

    async def __aiter__(self) -> AsyncIterator[bytes]:
        writer, delta = _writer(self._call), self._first
        try:
            while delta is not None:
                if (chunk := writer.write(delta)) is not None:
                    yield event(chunk)
                delta = await anext(self._stream, None)
        except AndonError as error:
            yield event(error_reply(error)[2])
            return
        if self._call.include_usage:
            yield event(writer.usage(self._stream.response.usage))
        yield event(None)

    async def aclose(self) -> None:
        await self._stream.aclose()


def _writer(call: ChatCall) -> ChunkWriter:
    name = f"chatcmpl-andon-{next(_numbers)}"
    return ChunkWriter(call.model, created=int(time.time()), id=name)


def _wrong_address(request: httpx2.Request) -> httpx2.Response | None:
    if request.method == "POST" and request.url.path.endswith("/chat/completions"):
        return None
    message = f"andon answers chat.completions, not {request.method} {request.url.path}"
    return _json(404, {"error": {"message": message, "type": "invalid_request_error"}})


def _failed(error: AndonError) -> httpx2.Response:
    status, headers, body = error_reply(error)
    return _json(status, body, headers)


def _json(
    status: int, value: Mapping[str, Any], headers: Mapping[str, str] | None = None
) -> httpx2.Response:
    return httpx2.Response(
        status,
        headers={**_JSON, **(headers or {})},
        content=json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"),
    )
