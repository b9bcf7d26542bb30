"""A local model server for benchmarks: the program of ``upstream_http.c``, compiled when needed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: Chunks of a streamed answer.
CHUNKS = 5_000

_HI = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
_ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1_700_000_000,
    "model": "m",
    "choices": [_HI],
    "usage": {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6},
}


def _event(delta: object, finish_reason: str | None = None) -> bytes:
    chunk = {
        "id": "chatcmpl-0123456789abcdefghijklmnopq",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": "some-model-2026-01-01",
        "system_fingerprint": "fp_0123456789",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}],
    }
    return b"data: " + json.dumps(chunk, separators=(",", ":")).encode() + b"\n\n"


def _chunked(data: bytes) -> bytes:
    return b"%x\r\n" % len(data) + data + b"\r\n"


def _replies() -> tuple[bytes, bytes]:
    """Return the bytes of a whole answer and of a streamed one."""
    body = json.dumps(_ANSWER).encode()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    # Numbered: litellm gives up on a model that repeats itself.
    events = [_event({"content": f" n{number:04}"}) for number in range(CHUNKS)]
    stop = _event({}, "stop") + b"data: [DONE]\n\n"
    stream = b"".join(map(_chunked, [*events, stop]))
    stream_head = (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    return head % len(body) + body, stream_head + stream + b"0\r\n\r\n"


@contextmanager
def upstream(core: int) -> Iterator[str]:
    """Serve on one core; give the base URL, which ends in ``/v1``."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or not sys.platform.startswith("linux"):
        sys.exit("this benchmark needs Linux and a C compiler (cc): its server must be fast")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        program, source = folder / "upstream", Path(__file__).with_name("upstream_http.c")
        subprocess.run([compiler, "-O2", "-o", program, source], check=True)
        files = [folder / "whole", folder / "streamed"]
        for file, reply in zip(files, _replies(), strict=True):
            file.write_bytes(reply)
        # It ends when its standard input does.
        with subprocess.Popen(
            [program, *files], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as server:
            os.sched_setaffinity(server.pid, {core})
            assert server.stdin is not None
            assert server.stdout is not None
            try:
                yield f"http://127.0.0.1:{int(server.stdout.readline())}/v1"
            finally:
                server.stdin.close()
