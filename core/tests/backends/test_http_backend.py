"""HTTPBackend against a real server on the loopback that says what each test tells it to."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import shutil
import socket
import socketserver
import ssl
import struct
import subprocess
import threading
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
    MissingKeyError,
    RateLimitError,
    RequestTimeout,
    ServerError,
    SettingsError,
    StreamInterrupted,
    TransportError,
)
from andon.specs import BackendContext, Locality, ModelCard, ModelProfile
from andon.wire import http
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


# -- A server that says what it is told -----------------------------------------------------------

Step = bytes | Callable[["Peer"], None]


class Peer:
    """The server's end of one connection."""

    def __init__(self, server: ScriptedServer, sock: socket.socket) -> None:
        self.server = server
        self.sock = sock
        self.file = sock.makefile("rb")
        self.open = True

    def request(self) -> dict[str, str] | None:
        line = self.file.readline()
        if not line:
            return None
        headers = {":line": line.decode().strip()}
        while line := self.file.readline().strip():
            name, _, value = line.decode().partition(": ")
            headers[name.lower()] = value
        headers[":body"] = self.file.read(int(headers.get("content-length", 0))).decode()
        return headers

    def serve(self) -> None:
        while self.open and (request := self.request()) is not None:
            with self.server.lock:
                self.server.requests.append(request)
                script = self.server.scripts.pop(0) if self.server.scripts else [whole("hi")]
            for step in script:
                if callable(step):
                    step(self)
                else:
                    self.sock.sendall(step)


class ScriptedServer(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), None)  # type: ignore[arg-type]
        self.lock = threading.Lock()
        self.scripts: list[list[Step]] = []
        self.requests: list[dict[str, str]] = []
        self.connections = 0
        self.tls: ssl.SSLContext | None = None
        self.client_left = threading.Event()
        self.waiting = threading.Event()

    def finish_request(self, request: Any, client_address: Any) -> None:
        with self.lock:
            self.connections += 1
        try:
            if self.tls is not None:
                request = self.tls.wrap_socket(request, server_side=True)
        except OSError:
            return
        peer = Peer(self, request)
        try:
            peer.serve()
        except OSError:
            self.client_left.set()
        finally:
            peer.file.close()
            peer.sock.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def says(self, *scripts: list[Step]) -> None:
        self.scripts[:] = scripts


def wait(peer: Peer) -> None:
    """Say nothing until the client leaves."""
    peer.server.waiting.set()
    if not peer.sock.recv(1):
        peer.server.client_left.set()
    peer.open = False


def cut(peer: Peer) -> None:
    peer.open = False
    peer.sock.shutdown(socket.SHUT_RDWR)


def reset(peer: Peer) -> None:
    peer.open = False
    peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.file.close()
    peer.sock.close()


def for_ever(peer: Peer) -> None:
    while True:
        peer.sock.sendall(chunk(b"x" * 65536))


def head(status: int, kind: str = "application/json", *more: str) -> bytes:
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Type: {kind}", *more]
    return "\r\n".join([*lines, "", ""]).encode()


def reply(status: int, body: bytes, *more: str, kind: str = "application/json") -> bytes:
    return head(status, kind, f"Content-Length: {len(body)}", *more) + body


def whole(text: str) -> bytes:
    return reply(200, json.dumps({"text": text}).encode())


def chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


STREAM = head(200, "text/event-stream", "Transfer-Encoding: chunked")
LAST = chunk(b"")


def event(text: str) -> bytes:
    return chunk(f"data: {text}\n\n".encode())


HAPPY: list[Step] = [STREAM, event("a"), event("b\u2028"), event("END"), LAST]
ANSWER = [ChatDelta("a"), ChatDelta("b\u2028"), ChatDelta(finish_reason=FinishReason.STOP)]


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


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
    assert request[":line"] == "POST /v1/say HTTP/1.1"
    assert request["authorization"] == f"Bearer {KEY}"
    assert (request["x-tiny"], request["content-type"]) == ("1", "application/json")
    assert json.loads(request[":body"]) == {"prompt": "p", "stream": True}
    assert "cookie" not in request


def test_a_whole_answer(server: ScriptedServer, ask: Ask) -> None:
    assert ask(make(server.url), AT_ONCE)[0].text == "hi"


def test_a_whole_answer_to_a_stream(server: ScriptedServer, ask: Ask) -> None:
    assert ask(make(server.url), STREAMED)[0].text == "hi"


@pytest.mark.parametrize("request_", [STREAMED, AT_ONCE])
def test_gzip(server: ScriptedServer, ask: Ask, request_: ChatRequest) -> None:
    zipped = "Content-Encoding: gzip"
    if request_.stream:
        body = gzip.compress(b"data: hi\n\ndata: END\n\n")
        server.says([reply(200, body, zipped, kind="text/event-stream")])
    else:
        server.says([reply(200, gzip.compress(b'{"text": "hi"}'), zipped)])
    assert ask(make(server.url), request_)[0].text == "hi"


def test_connections_are_used_again(server: ScriptedServer, ask: Ask) -> None:
    server.says(HAPPY, [whole("hi")], [reply(400, b"no")])
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
    server.says([STREAM, chunk(b"data: \xff\n\n"), event("END"), LAST])
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
    server.says([reply(status, f"wrong key {KEY}".encode())])
    error = fail(ask, make(server.url))
    assert type(error) is kind and error.status == status
    assert str(error) == "it said wrong key ***"
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [408, 409, 429, 500, 503, 529])
def test_errors_that_pass(server: ScriptedServer, ask: Ask, status: int) -> None:
    server.says([reply(status, b"later", "Retry-After: 0")], HAPPY)
    assert ask(make(server.url), STREAMED) == ANSWER
    assert (len(server.requests), server.connections) == (2, 1)


def test_retries_end(server: ScriptedServer, ask: Ask) -> None:
    server.says(*[[reply(503, b"busy")]] * 5)
    assert fail(ask, make(server.url)).status == 503
    assert len(server.requests) == 3


def test_nobody_waits_beyond_the_deadline(server: ScriptedServer, ask: Ask) -> None:
    server.says([reply(429, b"later", "Retry-After: 30")])
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


@pytest.mark.parametrize("end", [cut, b"zz\r\nnonsense", LAST])
def test_a_stream_that_breaks_off(server: ScriptedServer, ask: Ask, end: Step) -> None:
    server.says([STREAM, event("a"), event("b"), end])
    error = fail(ask, make(server.url))
    assert type(error) is StreamInterrupted
    assert error.partial == "ab"
    assert len(server.requests) == 1


def test_a_giant_line(server: ScriptedServer, ask: Ask) -> None:
    server.says([STREAM, for_ever])
    assert "1000000 bytes" in str(fail(ask, make(server.url)))
    assert server.client_left.wait(10)


@pytest.mark.parametrize("request_", [STREAMED, AT_ONCE])
@pytest.mark.parametrize(
    "said",
    [
        reply(200, f"<html>sign in {KEY}".encode(), kind="text/html"),
        reply(200, b"not json"),
        reply(200, b""),
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
    server.says([reply(307, b"", "Location: https://elsewhere.example/x")])
    error = fail(ask, make(server.url))
    assert "https://elsewhere.example/x" in str(error) and error.status == 307
    assert len(server.requests) == 1


def test_an_endless_body(server: ScriptedServer, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = 300_000
    for kind, name in ((http.HTTPResponse, "read"), (http.AsyncHTTPResponse, "aread")):
        monkeypatch.setitem(getattr(kind, name).__kwdefaults__, "cut", False)
        monkeypatch.setattr(getattr(kind, name), "__defaults__", (limit,))
    server.says([head(200, "application/json", "Transfer-Encoding: chunked"), for_ever])
    assert f"{limit} bytes" in str(fail(ask, make(server.url), AT_ONCE))
    assert server.client_left.wait(10)


def test_damaged_compression(server: ScriptedServer, ask: Ask) -> None:
    server.says(*[[reply(200, b"no gzip", "Content-Encoding: gzip")]] * 3)
    assert "compression" in str(fail(ask, make(server.url)))


def test_an_endless_error(server: ScriptedServer, ask: Ask) -> None:
    server.says([head(400, "text/plain", "Transfer-Encoding: chunked"), for_ever])
    assert len(str(fail(ask, make(server.url)))) < 70_000
    assert server.client_left.wait(10)


# -- Time -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "options"),
    [
        ([wait], {"first_token_timeout": 0.05}),
        ([STREAM, wait], {"first_token_timeout": 0.05}),
        ([STREAM, event("a"), wait], {"stall_timeout": 0.05}),
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


@pytest.mark.parametrize("end", [wait, cut, reset])
def test_what_comes_after_the_end_is_not_waited_for(
    server: ScriptedServer, ask: Ask, end: Step
) -> None:
    server.says([STREAM, event("a"), event("END"), end])
    answer = ask(make(server.url), STREAMED)
    assert answer == [ChatDelta("a"), ChatDelta(finish_reason=FinishReason.STOP)]


@pytest.mark.parametrize("script", [[wait], [STREAM, wait], [STREAM, event("a"), wait]])
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
            peer.sock.sendall(event("x"))
            peer.server.client_left.wait(0.01)

    server.says([STREAM, trickle])
    assert type(fail(ask, make(server.url), timeout=0.2)) is RequestTimeout


# -- Leaving --------------------------------------------------------------------------------------


def test_closing_a_stream_closes_its_connection(server: ScriptedServer) -> None:
    server.says([STREAM, event("a"), wait], HAPPY)
    backend = make(server.url)
    stream = backend.stream(STREAMED, None)
    assert next(stream) == ChatDelta("a")
    stream.close()
    assert server.client_left.wait(10)
    assert ask_sync(backend, STREAMED) == ANSWER


def test_closing_an_async_stream_closes_its_connection(server: ScriptedServer) -> None:
    server.says([STREAM, event("a"), wait], HAPPY)
    backend = make(server.url)

    async def run() -> list[ChatDelta]:
        async with aclosing(backend.astream(STREAMED, None)) as stream:
            assert await anext(stream) == ChatDelta("a")
        assert await asyncio.to_thread(server.client_left.wait, 10)
        result = [delta async for delta in backend.astream(STREAMED, None)]
        await backend.aclose()
        return result

    assert asyncio.run(run()) == ANSWER


@pytest.mark.parametrize("script", [[wait], [STREAM, event("a"), wait]])
def test_cancelling_closes_the_connection(server: ScriptedServer, script: list[Step]) -> None:
    server.says(script, HAPPY)
    backend = make(server.url)

    async def consume(stream: AsyncIterator[ChatDelta]) -> None:
        async for _ in stream:
            pass

    async def run() -> list[ChatDelta]:
        task = asyncio.create_task(consume(backend.astream(STREAMED, None)))
        assert await asyncio.to_thread(server.waiting.wait, 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(server.client_left.wait, 10)
        result = [delta async for delta in backend.astream(STREAMED, None)]
        await backend.aclose()
        return result

    assert asyncio.run(run()) == ANSWER


@pytest.mark.parametrize(
    "broken", [[reset], [STREAM, cut], [reply(500, b"")], [b"nonsense\r\n\r\n", cut]]
)
def test_a_backend_is_usable_after_an_error(server: ScriptedServer, ask: Ask, broken: Any) -> None:
    backend = make(server.url, retries=0)
    server.says(broken)
    fail(ask, backend)
    server.says(HAPPY)
    assert ask(backend, STREAMED) == ANSWER


# -- Settings -------------------------------------------------------------------------------------


def create(environment: dict[str, str] | None = None, **options: Any) -> HTTPBackend:
    context = BackendContext(options=options, environment=environment or {})
    return HTTPBackend("tiny", ENDPOINT, TinyDialect(), context)


def test_a_missing_key_names_every_way_on() -> None:
    with pytest.raises(MissingKeyError) as caught:
        create({"TINY_KEY": ""})
    for part in (
        "TINY_KEY or TINY_TOKEN",
        'endpoints={"tiny": {"api_key": "…"}}',
        "llama-cpp:demo",
    ):
        assert part in str(caught.value)


def test_where_keys_come_from(server: ScriptedServer) -> None:
    def sent(backend: HTTPBackend) -> str | None:
        ask_sync(backend, AT_ONCE)
        return server.requests[-1].get("authorization")

    environment = {"TINY_TOKEN": "two", "TINY_URL": server.url}
    assert sent(create(environment)) == "Bearer two"
    assert sent(create({"TINY_KEY": "one\n"} | environment)) == "Bearer one"
    assert sent(create(environment, api_key="three")) == "Bearer three"
    context = BackendContext(environment={"TINY_URL": server.url})
    open_endpoint = replace(ENDPOINT, key_optional=True)
    assert sent(HTTPBackend("tiny", open_endpoint, TinyDialect(), context)) is None


def test_a_proxy_only_by_setting(
    server: ScriptedServer, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(make("http://far.invalid/v1", proxy=server.url), AT_ONCE)
    assert server.requests[0][":line"] == "POST http://far.invalid/v1/say HTTP/1.1"
    for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    ask(make(server.url), AT_ONCE)
    assert server.requests[1][":line"] == "POST /say HTTP/1.1"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("makes its certificate with openssl")
    folder = tmp_path_factory.mktemp("ca")
    made, key = str(folder / "ca.pem"), str(folder / "key.pem")
    what = "-subj /CN=localhost -addext subjectAltName=DNS:localhost -days 2"
    command = f"{openssl} req -x509 -newkey rsa:2048 -nodes -keyout {key} -out {made} {what}"
    subprocess.run(command.split(), check=True, capture_output=True)
    return made, key


def test_certificates(server: ScriptedServer, ask: Ask, certificate: tuple[str, str]) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    server.tls = context
    url = server.url.replace("http://127.0.0.1", "https://localhost")
    server.says(HAPPY)
    assert ask(make(url, ca_file=certificate[0]), STREAMED) == ANSWER
    error = fail(ask, make(url, retries=0))
    assert type(error) is TransportError and "certificate" in str(error).lower()


def test_headers_of_the_user(server: ScriptedServer, ask: Ask) -> None:
    server.says([reply(400, b"you sent SECRET-HEADER")])
    error = fail(ask, make(server.url, headers={"X-Team": "SECRET-HEADER"}))
    assert server.requests[0]["x-team"] == "SECRET-HEADER"
    assert "SECRET-HEADER" not in str(error)


@pytest.mark.parametrize(
    "url",
    ["localhost:80", "ftp://h", "https://", "http://h:99999", "http://h/?a=1", "http://u:p@h"],
)
def test_a_wrong_base_url(url: str) -> None:
    with pytest.raises(SettingsError, match="base_url of 'tiny'") as caught:
        create(api_key=KEY, base_url=url)
    assert "u:p" not in str(caught.value)
    with pytest.raises(SettingsError, match="TINY_URL"):
        create({"TINY_URL": url}, api_key=KEY)


@pytest.mark.parametrize(
    "options",
    [
        {"nonsense": 1}, {"api_key": 5}, {"headers": "a"}, {"headers": {"a": "b\r\nc: d"}},
        {"stall_timeout": 0}, {"stall_timeout": "1"}, {"max_retries": -1}, {"max_retries": True},
        {"api_key": "schlüssel-geheim"}, {"api_key": "a\nb"},
    ],
)  # fmt: skip
def test_wrong_settings(options: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match="tiny") as caught:
        create(**{"api_key": KEY} | options)
    assert "geheim" not in str(caught.value)


def test_the_key_is_nowhere_to_be_read(
    server: ScriptedServer, caplog: pytest.LogCaptureFixture, ask: Ask
) -> None:
    caplog.set_level(logging.DEBUG)
    backend = make(server.url)
    ask(backend, AT_ONCE)
    assert KEY not in repr(backend) + repr(backend._facts) + caplog.text


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
