"""Leaving a stream that its server keeps: the server is told, in threads and in tasks."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from andon.backends.http_backend import HTTPBackend
from andon.chat import ChatRequest
from andon.messages import ChatMessage
from andon.testing.server import ReceivedRequest, Script, ScriptedServer, cut, hold, reset

HELLO = ChatRequest(model="m", messages=(ChatMessage.user("Hello"),), stream=True)

#: What the fixtures ``kept`` and ``asking`` give.
Kept = Any
Asking = Callable[..., Any]


def sent(server: ScriptedServer) -> list[str]:
    return [f"{one.method} {one.target.partition('?')[0]}" for one in server.requests]


def test_leaving_a_stream_stops_the_server(kept: Kept, asking: Asking) -> None:
    keeping = kept.keeper([kept.amid], hold)
    with ScriptedServer(keeping) as server:
        assert [delta.text for delta in asking(kept, server).ask(most=1)] == ["The"]
        assert sent(server)[1:] == [kept.stop]
    assert keeping.stopped == 1


def test_leaving_it_after_a_break_stops_the_server(kept: Kept, asking: Asking) -> None:
    keeping = kept.keeper([kept.amid])
    with ScriptedServer(keeping) as server:
        # "The", what is told of the break, " capital".
        assert asking(kept, server).ask(most=3)[-1].text == " capital"
        assert sent(server)[-1] == kept.stop
    assert keeping.stopped == 1


def test_a_complete_stream_is_not_stopped(kept: Kept, asking: Asking) -> None:
    keeping = kept.keeper([kept.amid])
    with ScriptedServer(keeping) as server:
        asking(kept, server).ask()
    assert keeping.stopped == 0


def test_a_stop_that_fails_does_not_matter(kept: Kept, asking: Asking) -> None:
    keeping = kept.keeper([kept.amid], hold)

    def answer(request: ReceivedRequest) -> Script:
        return [reset] if keeping.asked else keeping(request)

    with ScriptedServer(answer) as server:
        assert asking(kept, server).ask(most=1)
        assert sent(server)[-1] == kept.stop


@pytest.mark.parametrize("place", ["before the head", "amid the stream", "between connections"])
def test_a_task_that_is_cancelled(kept: Kept, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    keeping = kept.keeper([kept.amid], hold if place == "amid the stream" else cut)
    waiting = threading.Event()

    def answer(request: ReceivedRequest) -> Script:
        if place == "before the head" and request.method == "POST" and not keeping.asked:
            keeping.asked += 1
            return [hold]
        return [reset] if request.method == "GET" else keeping(request)

    async def asleep(seconds: float) -> None:
        waiting.set()
        await asyncio.Event().wait()

    async def read(backend: HTTPBackend) -> None:
        async for _ in backend.astream(HELLO, None):
            if place == "amid the stream":
                waiting.set()

    async def run(server: ScriptedServer) -> None:
        monkeypatch.setattr("andon.backends.http_backend._asleep", asleep)
        backend = kept.make(server, pause=60)
        task = asyncio.ensure_future(read(backend))
        moment = server.holding if place == "before the head" else waiting
        assert await asyncio.to_thread(moment.wait, 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await backend.aclose()

    with ScriptedServer(answer) as server:
        asyncio.run(run(server))
        last = sent(server)[-1]
    # Before its id has come, nobody can call a response off.
    unknown = not kept.counts_bytes and place == "before the head"
    assert (last == kept.stop) is not unknown


#: A program that reads a stream, as a user's does.
PROGRAM = """
import sys
from contextlib import closing
from andon.backends.http_backend import HTTPBackend
from andon.chat import ChatRequest
from andon.messages import ChatMessage
from andon.specs import BackendContext, Locality
from andon.wire.endpoint import EndpointSpec
from andon.wire.openai_chat import OpenAIChat
from andon.wire.openai_quirks import LLAMA_SERVER
from andon.wire.openai_responses import OpenAIResponses

kind, url = sys.argv[1:]
responses = kind == "responses"
dialect = OpenAIResponses(resumable=True) if responses else OpenAIChat(LLAMA_SERVER, resumable=True)
endpoint = EndpointSpec(base_url=url, locality=Locality.PUBLIC)
request = ChatRequest(model="m", messages=(ChatMessage.user("Hi"),), stream=True)
with closing(HTTPBackend("some", endpoint, dialect, BackendContext())) as backend:
    with closing(backend.stream(request, 30)) as stream:
        for delta in stream:
            print(delta.text, flush=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="no other process can press the keys there")
def test_an_interrupt_from_the_keyboard(kept: Kept) -> None:
    with ScriptedServer(kept.keeper([kept.amid], hold)) as server:
        program = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, kept.name, f"{server.url}/v1"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        with program:
            assert program.stdout is not None
            assert program.stdout.readline() == "The\n"
            program.send_signal(signal.SIGINT)
            assert program.wait(60) != 0
        assert sent(server)[-1] == kept.stop
