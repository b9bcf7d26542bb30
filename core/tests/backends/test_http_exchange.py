"""Answers that take several calls: jobs that are created, asked for, streamed and given up."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from andon.backends.http_backend import HTTPBackend
from andon.backends.http_options import HTTPOptions
from andon.backends.http_work import Facts, Work
from andon.chat import ChatDelta, ChatRequest, FinishReason, Usage
from andon.errors import (
    BackendError,
    RequestTimeout,
    ServerError,
    StreamInterrupted,
    TransportError,
)
from andon.specs import BackendContext, Locality, ModelProfile
from andon.testing.server import (
    LAST_CHUNK,
    ScriptedServer,
    chunk,
    cut,
    hold,
    reset,
    respond,
    stream_head,
)
from andon.wire.dialect import Dialect, HTTPCall, HTTPReply, StreamDecoder
from andon.wire.endpoint import EndpointSpec
from andon.wire.retry import RetryPolicy
from andon.wire.sse import SSEDecoder

CANCEL = HTTPCall(path="/cancel")
PAUSE = 0.25


class JobDialect(Dialect):
    """A job is created, then asked for until it is done, or read from where the reply says."""

    def encode(self, request: ChatRequest, profile: ModelProfile) -> HTTPCall:
        return HTTPCall(path="/create", repeatable=False)

    def follow_up(self, request: ChatRequest, reply: HTTPReply) -> HTTPCall | None:
        body = json.loads(reply.body)
        if "text" in body or "error" in body:
            return None
        if "stream" in body:
            made = JobDecoder(body["job"])
            return HTTPCall(
                path=body["stream"], method="GET", undo=CANCEL, decoder=lambda headers: made
            )
        return HTTPCall(path="/job", method="GET", delay=PAUSE, undo=CANCEL)

    def decode(self, reply: HTTPReply) -> Sequence[ChatDelta]:
        body = json.loads(reply.body)
        if "error" in body:
            raise ServerError(body["error"])
        return [ChatDelta(body["text"], finish_reason=FinishReason.STOP)]

    def decoder(self, headers: Mapping[str, str]) -> StreamDecoder:
        raise AssertionError("each stream has a decoder of its own")

    def explain(self, reply: HTTPReply) -> BackendError:
        return ServerError(reply.body.decode(), status=reply.status)


class JobDecoder(StreamDecoder):
    def __init__(self, job: str) -> None:
        self._events = SSEDecoder()
        self._job = job
        self._told = False
        self.done = False

    def feed(self, data: bytes) -> Sequence[ChatDelta]:
        texts = [event.data for event in self._events.feed(data)]
        self.done = "END" in texts
        return [ChatDelta(text) for text in texts if text != "END"]

    def finish(self) -> Sequence[ChatDelta]:
        if not self.done:
            raise StreamInterrupted("no END")
        return ()

    def follow_up(self) -> HTTPCall | None:
        return None if self._told else HTTPCall(path=f"/usage/{self._job}", method="GET")

    def conclude(self, reply: HTTPReply | None) -> Sequence[ChatDelta]:
        self._told = True
        usage = None if reply is None else Usage(1, json.loads(reply.body)["tokens"])
        return [ChatDelta(finish_reason=FinishReason.STOP, usage=usage)]


def says(**body: object) -> list[Any]:
    return [respond(201, json.dumps(body).encode())]


def event(text: str) -> bytes:
    return chunk(f"data: {text}\n\n".encode())


STREAM = stream_head({"content-type": "text/event-stream"})
WORKING = says(state="working")
DONE = says(text="hi")
STREAMING = says(job="7", stream="/stream")
HAPPY = [STREAM, event("a"), event("b"), event("END"), LAST_CHUNK]


# -- Both colours behind one face -----------------------------------------------------------------

ENDPOINT = EndpointSpec(base_url="https://jobs.example", locality=Locality.PUBLIC)
WHOLE = ChatRequest(model="m", prompt="p")
STREAMED = replace(WHOLE, stream=True)

Ask = Callable[..., list[ChatDelta]]


def make(server: ScriptedServer) -> HTTPBackend:
    context = BackendContext(options={"base_url": server.url})
    retry = RetryPolicy(max_retries=2, base=0)
    return HTTPBackend("jobs", ENDPOINT, JobDialect(), context, retry=retry)


def make_work(call: HTTPCall) -> Work:
    endpoint = replace(ENDPOINT, trusted_hosts=("stream.example",))
    options = HTTPOptions.read("jobs", endpoint, BackendContext())
    return Work(Facts("jobs", options, JobDialect(), RetryPolicy()), "m", call, None, WHOLE)


def ask_sync(
    server: ScriptedServer, request: ChatRequest, timeout: float | None = None, most: int = 99
) -> list[ChatDelta]:
    backend, deltas = make(server), []
    try:
        stream = backend.stream(request, timeout)
        for delta in stream:
            deltas.append(delta)
            if len(deltas) == most:
                stream.close()
    finally:
        backend.close()
    return deltas


def ask_async(
    server: ScriptedServer, request: ChatRequest, timeout: float | None = None, most: int = 99
) -> list[ChatDelta]:
    async def run() -> list[ChatDelta]:
        backend, deltas = make(server), []
        try:
            stream = backend.astream(request, timeout)
            async for delta in stream:
                deltas.append(delta)
                if len(deltas) == most:
                    await stream.aclose()
                    break
        finally:
            await backend.aclose()
        return deltas

    return asyncio.run(run())


@pytest.fixture(params=[ask_sync, ask_async], ids=["sync", "async"])
def ask(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer(lambda request: [respond(200, b"{}")]) as server:
        yield server


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the times that were waited for, which take no time here."""
    found: list[float] = []

    async def asleep(seconds: float) -> None:
        found.append(seconds)

    monkeypatch.setattr(time, "sleep", found.append)
    monkeypatch.setattr("andon.backends.http_backend._asleep", asleep)
    return found


def sent(server: ScriptedServer) -> list[str]:
    return [f"{request.method} {request.target}" for request in server.requests]


# -- Asking again ---------------------------------------------------------------------------------


def test_a_job_is_asked_for_until_it_is_done(
    server: ScriptedServer, ask: Ask, pauses: list[float]
) -> None:
    server.says(WORKING, WORKING, WORKING, DONE)
    assert ask(server, WHOLE) == [ChatDelta("hi", finish_reason=FinishReason.STOP)]
    assert sent(server) == ["POST /create", "GET /job", "GET /job", "GET /job"]
    # And not once more after the last: nobody waits for what is there.
    assert pauses == [PAUSE] * 3


def test_the_wait_for_a_retry_is_waited_for_once(
    server: ScriptedServer, ask: Ask, pauses: list[float]
) -> None:
    server.says([respond(503, b"busy", retry_after="7")], DONE)
    assert ask(server, WHOLE)[0].text == "hi"
    assert pauses == [7.0]


def test_a_question_is_repeated(server: ScriptedServer, ask: Ask, pauses: list[float]) -> None:
    server.says(WORKING, [reset], [respond(502, b"")], DONE)
    assert ask(server, WHOLE)[0].text == "hi"
    assert sent(server) == ["POST /create", "GET /job", "GET /job", "GET /job"]


# -- Never twice ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        ([reset], TransportError),
        ([cut], TransportError),
        ([respond(502, b"bad gateway")], ServerError),
        ([respond(504, b"gateway timeout")], ServerError),
    ],
)
def test_what_may_have_been_done_is_not_done_again(
    server: ScriptedServer, ask: Ask, script: list[Any], kind: type[BackendError]
) -> None:
    server.says(script)
    with pytest.raises(kind):
        ask(server, WHOLE)
    assert sent(server) == ["POST /create"]


@pytest.mark.parametrize("status", [409, 429, 500, 503])
def test_what_was_refused_is_tried_again(server: ScriptedServer, ask: Ask, status: int) -> None:
    server.says([respond(status, b"no")], DONE)
    assert ask(server, WHOLE)[0].text == "hi"
    assert sent(server) == ["POST /create"] * 2


# -- Giving up ------------------------------------------------------------------------------------


def test_a_timeout_while_asking_cancels(
    server: ScriptedServer, ask: Ask, pauses: list[float]
) -> None:
    server.says(WORKING, [hold])
    with pytest.raises(RequestTimeout):
        ask(server, WHOLE, timeout=0.5)
    assert sent(server)[-1] == "POST /cancel"


def test_errors_while_asking_cancel(server: ScriptedServer, ask: Ask, pauses: list[float]) -> None:
    server.says(WORKING, *[[respond(503, b"busy")]] * 3)
    with pytest.raises(ServerError):
        ask(server, WHOLE)
    assert sent(server) == ["POST /create", *["GET /job"] * 3, "POST /cancel"]


def test_a_stream_that_is_closed_cancels(server: ScriptedServer, ask: Ask) -> None:
    server.says(STREAMING, [STREAM, event("a"), hold])
    assert ask(server, STREAMED, most=1) == [ChatDelta("a")]
    assert sent(server) == ["POST /create", "GET /stream", "POST /cancel"]


def test_a_stream_that_breaks_off_cancels(server: ScriptedServer, ask: Ask) -> None:
    server.says(STREAMING, [STREAM, event("a"), cut])
    with pytest.raises(StreamInterrupted) as caught:
        ask(server, STREAMED)
    assert caught.value.partial == "a"
    assert sent(server)[-1] == "POST /cancel"


@pytest.mark.parametrize("place", ["create", "job", "pause"])
def test_a_task_that_is_cancelled(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    scripts = {"create": [[hold]], "job": [WORKING, [hold]], "pause": [WORKING]}
    server.says(*scripts[place])

    async def asleep(seconds: float) -> None:
        if place == "pause":
            server.holding.set()
            await asyncio.Event().wait()

    async def run() -> None:
        backend = make(server)
        monkeypatch.setattr("andon.backends.http_backend._asleep", asleep)
        task = asyncio.ensure_future(anext(backend.astream(WHOLE, None)))
        assert await asyncio.to_thread(server.holding.wait, 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await backend.aclose()

    asyncio.run(run())
    # While it is created nobody knows yet how to call it off.
    assert sent(server).count("POST /cancel") == (place != "create")


def test_a_job_can_be_called_off_as_soon_as_it_is_known() -> None:
    work = make_work(HTTPCall(path="/create"))
    assert work.undo is None
    # A task may be cancelled here, before the next call is made.
    assert work.whole(201, {}, b'{"state": "working"}') == ()
    assert work.undo == CANCEL


def test_a_cancellation_that_fails_does_not_matter(server: ScriptedServer, ask: Ask) -> None:
    server.says(STREAMING, [STREAM, event("a"), hold], [reset])
    assert ask(server, STREAMED, most=1) == [ChatDelta("a")]
    assert sent(server)[-1] == "POST /cancel"


@pytest.mark.parametrize("last", [DONE, says(error="out of memory")], ids=["done", "failed"])
def test_what_has_ended_is_not_cancelled(
    server: ScriptedServer, ask: Ask, pauses: list[float], last: list[Any]
) -> None:
    server.says(WORKING, last)
    try:
        ask(server, WHOLE, most=1)
    except BackendError:
        assert last is not DONE
    assert sent(server) == ["POST /create", "GET /job"]


# -- What only the finished job tells -------------------------------------------------------------


def test_usage_is_asked_for_after_the_stream(server: ScriptedServer, ask: Ask) -> None:
    server.says(STREAMING, HAPPY, says(tokens=2))
    assert ask(server, STREAMED) == [
        ChatDelta("a"),
        ChatDelta("b"),
        ChatDelta(finish_reason=FinishReason.STOP, usage=Usage(1, 2)),
    ]
    assert sent(server) == ["POST /create", "GET /stream", "GET /usage/7"]


def test_usage_is_asked_for_again(server: ScriptedServer, ask: Ask) -> None:
    server.says(STREAMING, HAPPY, [reset], [respond(500, b"")], says(tokens=2))
    assert ask(server, STREAMED)[-1].usage == Usage(1, 2)


def test_an_answer_without_usage_is_an_answer(server: ScriptedServer, ask: Ask) -> None:
    server.says(STREAMING, HAPPY, *[[respond(500, b"")]] * 3)
    assert ask(server, STREAMED)[-1] == ChatDelta(finish_reason=FinishReason.STOP)
    assert sent(server)[2:] == ["GET /usage/7"] * 3


# -- Where one is sent on to ----------------------------------------------------------------------


def test_foreign_hosts_get_nothing(server: ScriptedServer, ask: Ask) -> None:
    server.says(says(job="7", stream="https://elsewhere.example/stream"))
    with pytest.raises(BackendError, match=r"elsewhere\.example"):
        ask(server, STREAMED)
    assert sent(server) == ["POST /create", "POST /cancel"]


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("https://jobs.example/job", True),
        ("https://stream.example/job", True),
        ("/job", True),
        ("http://jobs.example/job", False),
        ("http://stream.example/job", False),
        ("https://jobs.example:8443/job", False),
        ("https://jobs.example@elsewhere.example/job", False),
        ("https://notjobs.example/job", False),
        ("job", False),
    ],
)
def test_trusted_addresses(address: str, allowed: bool) -> None:
    work = make_work(HTTPCall(path=address))
    if allowed:
        assert work.outgoing()[1].startswith("https://")
        return
    with pytest.raises(BackendError, match="nothing was sent there"):
        work.outgoing()


def test_a_provider_that_advises_against_it_is_not_asked_again(
    server: ScriptedServer, ask: Ask
) -> None:
    server.says([respond(503, b"down for good", x_should_retry="false")], DONE)
    with pytest.raises(BackendError, match="down for good"):
        ask(server, WHOLE)
    assert len(sent(server)) == 1
