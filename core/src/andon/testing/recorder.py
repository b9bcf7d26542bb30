"""A server on this machine that keeps what it is sent, for tests of what really goes out.

It gives one made-up answer. To keep what a real server answers, see :mod:`andon.testing.replay`.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Self


class Recorded(NamedTuple):
    """A request that arrived.

    :param path: its path, with the query.
    :param authorization: its header of that name, or None.
    :param body: its body, read as JSON.
    """

    path: str
    authorization: str | None
    body: Any


class Recorder:
    """Gives every POST the same JSON answer, and keeps the request. Use it in a ``with`` statement.

    :param answer: the answer's body.
    :param status: its HTTP status.
    """

    def __init__(self, answer: Mapping[str, Any], status: int = 200) -> None:
        self.seen: list[Recorded] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self.seen, answer, status))
        # The default of half a second would be waited for at the end of every test.
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.01,), daemon=True
        )

    @property
    def url(self) -> str:
        """The server's address, without a path."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler(
    seen: list[Recorded], answer: Mapping[str, Any], status: int
) -> type[BaseHTTPRequestHandler]:
    data = json.dumps(answer).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            seen.append(Recorded(self.path, self.headers["authorization"], body))
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    return Handler
