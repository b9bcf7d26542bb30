"""A server on this machine that stands for all of Google's: models, tokens, metadata."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

import pytest

from andon.testing.provider import SampleStream
from andon.wire.dialect import HTTPReply


@dataclass(frozen=True, slots=True)
class Seen:
    """A request that arrived; names of headers in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode(), strict_parsing=True))


class Google:
    """The server. ``answer`` says what a request is answered with; all are kept in ``seen``."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.answer: Callable[[Seen], HTTPReply | SampleStream] = lambda seen: reply(404, {})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.host = f"127.0.0.1:{self._server.server_port}"
        self.url = f"http://{self.host}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.01,), daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def reply(status: int, body: Any) -> HTTPReply:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HTTPReply(status=status, headers={"content-type": "application/json"}, body=data)


def _handler(google: Google) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"] or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            seen = Seen(self.command, self.path, headers, body)
            google.seen.append(seen)
            answer = google.answer(seen)
            self.send_response(answer.status if isinstance(answer, HTTPReply) else 200)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        do_GET = do_POST  # noqa: N815  # the library's name

        def log_message(self, *_: object) -> None:
            pass

    return Handler


@pytest.fixture
def google() -> Iterator[Google]:
    server = Google()
    yield server
    server.close()


@pytest.fixture
def answer_with() -> Callable[[int, Any], HTTPReply]:
    """Return what makes a reply of a status and a JSON value or bytes."""
    return reply
