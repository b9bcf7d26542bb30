"""HTTPBackend against a real server on the loopback that says what each test tells it to."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest

from andon.backends.http_backend import HTTPBackend, http_backend_spec
from andon.chat import ChatDelta, ChatRequest, FinishReason
from andon.errors import (
    AuthenticationError,
    BackendError,
    BadRequestError,
    RateLimitError,
    RequestTimeout,
    ServerError,
    StreamInterrupted,
    TransportError,
)
from andon.specs import BackendContext, Locality, ModelCard, ModelProfile
from andon.testing.server import (
    LAST_CHUNK,
    Peer,
    ScriptedServer,
    Step,
    chunk,
    cut,
    endless,
    head,
    hold,
    reset,
    respond,
    stream_head,
)
from andon.wire import http, http_async
from andon.wire.dialect import Dialect, HTTPCall, HTTPReply, StreamDecoder
from andon.wire.endpoint import EndpointSpec
from andon.wire.retry import RetryPolicy
from andon.wire.sse import SSEDecoder

KEY = "sk-very-secret-key"

# -- A dialect of a few lines ---------------------------------------------------------------------


class TinyDialect(Dialect):
    def encode(self, request: ChatRequest, profile: ModelProfile) -> HTTPCall:
        body = json.dumps({"prompt": request.prompt, "stream": request.stream}).encode()
        return HTTPCall(path="/say", body=body, headers={"x-tiny": "1"})

    def decode(self, reply: HTTPReply) -> Sequence[ChatDelta]:
        return [
            ChatDelta(json.loads(reply.body)["text"]),
            ChatDelta(finish_reason=FinishReason.STOP),
        ]

    def decoder(self, headers: Mapping[str, str]) -> TinyDecoder:
        return TinyDecoder()

    def explain(self, reply: HTTPReply) -> BackendError:
        kinds = {400: BadRequestError, 401: AuthenticationError, 429: RateLimitError}
        kind = kinds.get(reply.status, ServerError if reply.status >= 500 else BackendError)
        return kind(f"it said {reply.body.decode()}", status=reply.status)


class TinyDecoder(StreamDecoder):
    def __init__(self) -> None:
        self.events = SSEDecoder(limit=1_000_000)
        self.done = False

    def feed(self, data: bytes) -> Sequence[ChatDelta]:
        return [self.delta(event.data) for event in self.events.feed(data)]

    def delta(self, text: str) -> ChatDelta:
        if text == "END":
            self.done = True
            return ChatDelta(finish_reason=FinishReason.STOP)
        return ChatDelta(text)

    def finish(self) -> Sequence[ChatDelta]:
        if not self.done:
            raise StreamInterrupted("no END")
        return []


# -- What it says ---------------------------------------------------------------------------------


def whole(text: str) -> bytes:
    return respond(200, json.dumps({"text": text}).encode())


STREAM = stream_head({"content-type": "text/event-stream"})


def event(text: str) -> bytes:
    return chunk(f"data: {text}\n\n".encode())


CHUNKED = {"content-type": "application/json", "transfer-encoding": "chunked"}
FOR_EVER = endless(b"x" * 65536)
HAPPY: list[Step] = [STREAM, event("a"), event("b\u2028"), event("END"), LAST_CHUNK]
ANSWER = [ChatDelta("a"), ChatDelta("b\u2028"), ChatDelta(finish_reason=FinishReason.STOP)]


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer(lambda request: [whole("hi")]) as server:
        yield server


# -- Both colours behind one face -----------------------------------------------------------------

ENDPOINT = EndpointSpec(
    base_url="https://tiny.example/v1",
    locality=Locality.PUBLIC,
    key_variables=("TINY_KEY", "TINY_TOKEN"),
    base_url_variables=("TINY_URL",),
)


def make(url: str, *, retries: int = 2, **options: Any) -> HTTPBackend:
    context = BackendContext(options={"base_url": url, **options}, environment={"TINY_KEY": KEY})
    retry = RetryPolicy(max_retries=retries, base=0)
    return HTTPBackend("tiny", ENDPOINT, TinyDialect(), context, retry=retry)


STREAMED = ChatRequest(model="m", prompt="p", stream=True)
AT_ONCE = replace(STREAMED, stream=False)

Ask = Callable[..., list[ChatDelta]]


def ask_sync(backend: HTTPBackend, *requests: ChatRequest, timeout: float | None = None) -> Any:
    try:
        for request in requests:
            result = list(backend.stream(request, timeout))
        return result
    finally:
        backend.close()


def ask_async(backend: HTTPBackend, *requests: ChatRequest, timeout: float | None = None) -> Any:
    async def run() -> list[ChatDelta]:
        try:
            for request in requests:
                result = [delta async for delta in backend.astream(request, timeout)]
            return result
        finally:
            await backend.aclose()

    return asyncio.run(run())


@pytest.fixture(params=[ask_sync, ask_async], ids=["sync", "async"])
def ask(request: pytest.FixtureRequest) -> Ask:
    return request.param


# -- What goes well -------------------------------------------------------------------------------


def test_a_stream(server: ScriptedServer, ask: Ask) -> None:
    server.says(HAPPY)
    assert ask(make(server.url + "/v1/"), STREAMED) == ANSWER
    [request] = server.requests
    assert (request.method, request.target) == ("POST", "/v1/say")
    headers = request.headers
    assert headers["authorization"] == f"Bearer {KEY}"
    assert (headers["x-tiny"], headers["content-type"]) == ("1", "application/json")
    assert request.json() == {"prompt": "p", "stream": True}
    assert "cookie" not in headers


def test_a_whole_answer(server: ScriptedServer, ask: Ask) -> None:
    assert ask(make(server.url), AT_ONCE)[0].text == "hi"


def test_a_whole_answer_to_a_stream(server: ScriptedServer, ask: Ask) -> None:
    assert ask(make(server.url), STREAMED)[0].text == "hi"


@pytest.mark.parametrize("request_", [STREAMED, AT_ONCE])
def test_gzip(server: ScriptedServer, ask: Ask, request_: ChatRequest) -> None:
    if request_.stream:
        kind, body = "text/event-stream", b"data: hi\n\ndata: END\n\n"
    else:
        kind, body = "application/json", b'{"text": "hi"}'
    server.says([respond(200, gzip.compress(body), kind, content_encoding="gzip")])
    assert ask(make(server.url), request_)[0].text == "hi"


def test_connections_are_used_again(server: ScriptedServer, ask: Ask) -> None:
    server.says(HAPPY, [whole("hi")], [respond(400, b"no")])
    backend = make(server.url)
    with pytest.raises(BadRequestError):
        ask(backend, STREAMED, AT_ONCE, STREAMED)
    assert len(server.requests) == 3
    assert server.connections == 1


def test_many_calls_at_once(server: ScriptedServer) -> None:
    server.says(*[HAPPY] * 50)
    backend = make(server.url)

    async def one() -> list[ChatDelta]:
        return [delta async for delta in backend.astream(STREAMED, 30)]

    async def run() -> list[list[ChatDelta]]:
        try:
            return await asyncio.gather(*(one() for _ in range(50)))
        finally:
            await backend.aclose()

    assert asyncio.run(run()) == [ANSWER] * 50


def test_one_backend_in_several_event_loops(server: ScriptedServer) -> None:
    backend = make(server.url)
    assert ask_async(backend, AT_ONCE) == ask_async(backend, AT_ONCE)


def test_invalid_utf8_is_replaced(server: ScriptedServer, ask: Ask) -> None:
    server.says([STREAM, chunk(b"data: \xff\n\n"), event("END"), LAST_CHUNK])
    assert ask(make(server.url), STREAMED)[0].text == "\ufffd"


# -- What goes wrong ------------------------------------------------------------------------------


def fail(ask: Ask, backend: HTTPBackend, request: ChatRequest = STREAMED, **more: Any) -> Any:
    with pytest.raises(BackendError) as caught:
        ask(backend, request, **more)
    error: BaseException | None = caught.value
    assert (caught.value.backend, caught.value.model) == ("tiny", "m")
    while error is not None:
        assert KEY not in str(error) + repr(error) + repr(vars(error))
        error = error.__cause__ or error.__context__
    return caught.value


@pytest.mark.parametrize(("status", "kind"), [(401, AuthenticationError), (404, BackendError)])
def test_errors_that_stay(
    server: ScriptedServer, ask: Ask, status: int, kind: type[BackendError]
) -> None:
    server.says([respond(status, f"wrong key {KEY}".encode())])
    error = fail(ask, make(server.url))
    assert type(error) is kind and error.status == status
    assert str(error) == "it said wrong key ***"
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [408, 409, 429, 500, 503, 529])
def test_errors_that_pass(server: ScriptedServer, ask: Ask, status: int) -> None:
    server.says([respond(status, b"later", retry_after="0")], HAPPY)
    assert ask(make(server.url), STREAMED) == ANSWER
    assert (len(server.requests), server.connections) == (2, 1)


def test_retries_end(server: ScriptedServer, ask: Ask) -> None:
    server.says(*[[respond(503, b"busy")]] * 5)
    assert fail(ask, make(server.url)).status == 503
    assert len(server.requests) == 3


def test_nobody_waits_beyond_the_deadline(server: ScriptedServer, ask: Ask) -> None:
    server.says([respond(429, b"later", retry_after="30")])
    error = fail(ask, make(server.url), timeout=5)
    assert (error.status, error.retry_after) == (429, 30)


def test_reset_before_the_head_is_tried_again(server: ScriptedServer, ask: Ask) -> None:
    server.says([reset], HAPPY)
    assert ask(make(server.url), STREAMED) == ANSWER
    server.says(*[[reset]] * 3)
    assert type(fail(ask, make(server.url))) is TransportError


def test_nobody_listens(ask: Ask) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    error = fail(ask, make(f"http://127.0.0.1:{port}"))
    assert type(error) is TransportError
    assert str(port) in str(error)


@pytest.mark.parametrize("end", [cut, reset])
def test_cut_before_the_first_piece_is_tried_again(
    server: ScriptedServer, ask: Ask, end: Step
) -> None:
    server.says([STREAM, end], HAPPY)
    assert ask(make(server.url), STREAMED) == ANSWER


@pytest.mark.parametrize("end", [cut, LAST_CHUNK])
def test_a_stream_that_breaks_off(server: ScriptedServer, ask: Ask, end: Step) -> None:
    server.says([STREAM, event("a"), event("b"), end])
    error = fail(ask, make(server.url))
    assert type(error) is StreamInterrupted
    assert error.partial == "ab"
    assert len(server.requests) == 1


def test_a_giant_line(server: ScriptedServer, ask: Ask) -> None:
    server.says([STREAM, FOR_EVER])
    assert "1000000 bytes" in str(fail(ask, make(server.url)))
    assert server.client_left.wait(10)


@pytest.mark.parametrize("request_", [STREAMED, AT_ONCE])
@pytest.mark.parametrize(
    "said",
    [
        respond(200, f"<html>sign in {KEY}".encode(), "text/html"),
        respond(200, b"not json"),
        respond(200, b""),
    ],
)
def test_no_answer_at_all(
    server: ScriptedServer, ask: Ask, said: bytes, request_: ChatRequest
) -> None:
    server.says([said])
    error = fail(ask, make(server.url), request_)
    assert "base_url" in str(error) and server.url in str(error)
    assert len(server.requests) == 1


def test_a_redirect(server: ScriptedServer, ask: Ask) -> None:
    server.says([respond(307, b"", location="https://elsewhere.example/x")])
    error = fail(ask, make(server.url))
    assert "https://elsewhere.example/x" in str(error) and error.status == 307
    assert len(server.requests) == 1


def test_an_endless_body(server: ScriptedServer, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = 300_000
    for kind, name in ((http.SocketResponse, "read"), (http_async.AioResponse, "aread")):
        monkeypatch.setitem(getattr(kind, name).__kwdefaults__, "cut", False)
        monkeypatch.setattr(getattr(kind, name), "__defaults__", (limit,))
    server.says([head(200, CHUNKED), FOR_EVER])
    assert f"{limit} bytes" in str(fail(ask, make(server.url), AT_ONCE))
    assert server.client_left.wait(10)


def test_damaged_compression(server: ScriptedServer, ask: Ask) -> None:
    server.says(*[[respond(200, b"no gzip", content_encoding="gzip")]] * 3)
    assert "compression" in str(fail(ask, make(server.url)))


def test_an_endless_error(server: ScriptedServer, ask: Ask) -> None:
    server.says([head(400, CHUNKED), FOR_EVER])
    assert len(str(fail(ask, make(server.url)))) < 70_000
    assert server.client_left.wait(10)


# -- Time -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "options"),
    [
        ([hold], {"first_token_timeout": 0.05}),
        ([STREAM, hold], {"first_token_timeout": 0.05}),
        ([STREAM, event("a"), hold], {"stall_timeout": 0.05}),
    ],
)
def test_a_stall(
    server: ScriptedServer, ask: Ask, script: list[Step], options: dict[str, float]
) -> None:
    server.says(script)
    error = fail(ask, make(server.url, **options))
    assert type(error) is RequestTimeout
    assert "0.05 s" in str(error)
    assert server.client_left.wait(10)


@pytest.mark.parametrize("end", [hold, cut, reset])
def test_what_comes_after_the_end_is_not_waited_for(
    server: ScriptedServer, ask: Ask, end: Step
) -> None:
    server.says([STREAM, event("a"), event("END"), end])
    answer = ask(make(server.url), STREAMED)
    assert answer == [ChatDelta("a"), ChatDelta(finish_reason=FinishReason.STOP)]


@pytest.mark.parametrize("script", [[hold], [STREAM, hold], [STREAM, event("a"), hold]])
def test_the_timeout_is_for_everything(
    server: ScriptedServer, ask: Ask, script: list[Step]
) -> None:
    server.says(script)
    started = time.monotonic()
    error = fail(ask, make(server.url), timeout=0.1)
    assert type(error) is RequestTimeout
    assert "timeout of 0.1 s" in str(error)
    assert time.monotonic() - started < 5


def test_a_trickle_does_not_outlive_the_timeout(server: ScriptedServer, ask: Ask) -> None:
    def trickle(peer: Peer) -> None:
        while True:
            peer.send(event("x"))
            peer.server.client_left.wait(0.01)

    server.says([STREAM, trickle])
    assert type(fail(ask, make(server.url), timeout=0.2)) is RequestTimeout


# -- Leaving --------------------------------------------------------------------------------------


def test_closing_a_stream_closes_its_connection(server: ScriptedServer) -> None:
    server.says([STREAM, event("a"), hold], HAPPY)
    backend = make(server.url)
    stream = backend.stream(STREAMED, None)
    assert next(stream) == ChatDelta("a")
    stream.close()
    assert server.client_left.wait(10)
    assert ask_sync(backend, STREAMED) == ANSWER


def test_closing_an_async_stream_closes_its_connection(server: ScriptedServer) -> None:
    server.says([STREAM, event("a"), hold], HAPPY)
    backend = make(server.url)

    async def run() -> list[ChatDelta]:
        async with aclosing(backend.astream(STREAMED, None)) as stream:
            assert await anext(stream) == ChatDelta("a")
        assert await asyncio.to_thread(server.client_left.wait, 10)
        result = [delta async for delta in backend.astream(STREAMED, None)]
        await backend.aclose()
        return result

    assert asyncio.run(run()) == ANSWER


@pytest.mark.parametrize("script", [[hold], [STREAM, event("a"), hold]])
def test_cancelling_closes_the_connection(server: ScriptedServer, script: list[Step]) -> None:
    server.says(script, HAPPY)
    backend = make(server.url)

    async def consume(stream: AsyncIterator[ChatDelta]) -> None:
        async for _ in stream:
            pass

    async def run() -> list[ChatDelta]:
        task = asyncio.create_task(consume(backend.astream(STREAMED, None)))
        assert await asyncio.to_thread(server.holding.wait, 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(server.client_left.wait, 10)
        result = [delta async for delta in backend.astream(STREAMED, None)]
        await backend.aclose()
        return result

    assert asyncio.run(run()) == ANSWER


@pytest.mark.parametrize(
    "broken", [[reset], [STREAM, cut], [respond(500, b"")], [b"nonsense\r\n\r\n", cut]]
)
def test_a_backend_is_usable_after_an_error(server: ScriptedServer, ask: Ask, broken: Any) -> None:
    backend = make(server.url, retries=0)
    server.says(broken)
    fail(ask, backend)
    server.says(HAPPY)
    assert ask(backend, STREAMED) == ANSWER


# -- The record -----------------------------------------------------------------------------------


def test_the_record_makes_nothing_before_it_is_asked(server: ScriptedServer) -> None:
    made: list[TinyDialect] = []

    def dialect(context: BackendContext) -> TinyDialect:
        made.append(TinyDialect())
        return made[-1]

    cards = (ModelCard(name="m"), ModelCard(name="n"))
    spec = http_backend_spec("tiny", ENDPOINT, dialect, summary="Tiny.", models=cards)
    assert (spec.name, spec.models, spec.locality, made) == ("tiny", ("m",), Locality.PUBLIC, [])
    backend = spec.create(BackendContext(options={"api_key": KEY, "base_url": server.url}))
    assert len(made) == 1
    assert backend.models() == cards
    assert backend.measure(STREAMED) is None
    assert asyncio.run(backend.ameasure(STREAMED)) is None
    assert next(iter(backend.stream(AT_ONCE, 5))).text == "hi"
    backend.close()
