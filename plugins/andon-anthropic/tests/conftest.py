"""A server on this machine that answers as Anthropic does, and keeps what it is sent."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from andon.testing.provider import SampleAnswer
from andon.testing.providers.anthropic import AnthropicProvider
from andon.wire.dialect import HTTPReply

PROVIDER = AnthropicProvider()


@dataclass
class Server:
    """What the server says, and what it was sent.

    :param url: its address; with a status as its path, every answer is that error.
    :param answer: what it answers.
    :param seen: method, path, headers and body of each request.
    :param broken: whether streams end with an error.
    """

    url: str
    answer: SampleAnswer = field(default_factory=SampleAnswer)
    seen: list[tuple[str, str, Mapping[str, str], Any]] = field(default_factory=list)
    broken: bool = False

    def reply(self, path: str, body: Any) -> HTTPReply:
        """Return the reply to a request."""
        first = path.split("/")[1]
        if first.isdigit():
            return PROVIDER.error(int(first), "Because")
        if path.startswith("/v1/models"):
            return PROVIDER.models(["claude-a", "claude-b"])
        if path == "/v1/messages/count_tokens":
            return PROVIDER.tokens(12)
        if not body.get("stream"):
            return PROVIDER.whole(self.answer)
        stream = PROVIDER.stream(self.answer)
        data = (
            b"".join(stream.events) + PROVIDER.stream_error("Busy") if self.broken else stream.body
        )
        return HTTPReply(status=200, headers=stream.headers, body=data)


def handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer(None)

        def do_POST(self) -> None:
            self.answer(json.loads(self.rfile.read(int(self.headers["content-length"]))))

        def answer(self, body: Any) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            server.seen.append((self.command, self.path, headers, body))
            reply = server.reply(self.path, body)
            self.send_response(reply.status)
            for name, value in {**reply.headers, "content-length": str(len(reply.body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply.body)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


@pytest.fixture
def server() -> Iterator[Server]:
    played = Server("")
    listening = ThreadingHTTPServer(("127.0.0.1", 0), handler(played))
    played.url = f"http://127.0.0.1:{listening.server_port}"
    thread = threading.Thread(target=listening.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield played
    listening.shutdown()
    listening.server_close()
    thread.join()
