"""What the real servers send, byte by byte; the conformance kit plays it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from andon import FinishReason
from andon.testing.provider import Provider, SampleAnswer, SampleStream
from andon.wire.dialect import HTTPReply

_ENDS = {FinishReason.STOP: "done", FinishReason.LENGTH: "limit"}


class LinesProvider(Provider):
    """Writes what a server of {{ cookiecutter.name }} sends."""

    abilities = frozenset({"stream_error"})
    finish_reasons = frozenset(_ENDS)

    def whole(self, answer: SampleAnswer) -> HTTPReply:
        return _reply(200, {"text": "".join(answer.text), **_end(answer)})

    def stream(self, answer: SampleAnswer) -> SampleStream:
        headers = {"content-type": "application/x-ndjson", "x-request-id": "req_1"}
        lines = [_line({"text": text}) for text in answer.text]
        return SampleStream(headers=headers, events=lines, end=_line(_end(answer)))

    def error(self, status: int, message: str) -> HTTPReply:
        return _reply(status, {"error": {"message": message, "code": f"e{status}"}})

    def error_code(self, status: int) -> str | None:
        return f"e{status}"

    def stream_error(self, message: str) -> bytes:
        return _line({"error": {"message": message, "code": "overloaded"}})

    def models(self, names: Sequence[str]) -> HTTPReply:
        return _reply(200, {"models": list(names)})

    def tokens(self, count: int) -> None:
        return None


def _end(answer: SampleAnswer) -> dict[str, object]:
    usage = answer.usage
    tokens = [usage.input_tokens, usage.output_tokens]
    return {"end": _ENDS[answer.finish_reason], "tokens": tokens}


def _reply(status: int, body: Mapping[str, object]) -> HTTPReply:
    headers = {"content-type": "application/json", "x-request-id": "req_1"}
    return HTTPReply(status=status, headers=headers, body=json.dumps(body).encode())


def _line(value: Mapping[str, object]) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode() + b"\n"
