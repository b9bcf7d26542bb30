"""Text Generation Inference at its own ``/generate``, as the conformance kit plays it.

What it writes follows the router of text-generation-inference 3.3.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from andon.chat import FinishReason, TokenLogprob
from andon.testing.provider import Provider, SampleAnswer, SampleStream
from andon.testing.providers.completions import spelled_calls
from andon.testing.providers.openai_chat import OpenAIChatProvider
from andon.wire.dialect import HTTPReply

#: What it calls an error, by status.
_ERRORS = {422: "validation", 424: "generation", 429: "overloaded", 500: "incomplete_generation"}


class TGIProvider(Provider):
    """Writes generated texts as TGI does."""

    abilities = frozenset({"logprobs", "stream_error"})
    finish_reasons = frozenset({FinishReason.STOP, FinishReason.LENGTH})

    def whole(self, answer: SampleAnswer) -> HTTPReply:
        """Return the reply to a request that is not streamed."""
        tops = [[_token(*pair) for pair in one.top] for one in answer.logprobs]
        details = {
            "finish_reason": _reason(answer),
            "generated_tokens": answer.usage.output_tokens,
            "seed": None,
            "prefill": [],
            "tokens": [*_tokens(answer), _EOS],
        } | ({"top_tokens": [*tops, []]} if any(tops) else {})
        text = "".join(answer.text) + spelled_calls(answer.tool_calls)
        reply = _reply(200, {"generated_text": text, "details": details})
        counts = {
            "x-prompt-tokens": str(answer.usage.input_tokens),
            "x-generated-tokens": str(answer.usage.output_tokens),
        }
        return HTTPReply(status=200, headers={**reply.headers, **counts}, body=reply.body)

    def stream(self, answer: SampleAnswer) -> SampleStream:
        """Return the reply to a streamed request."""
        tops = [[_token(*pair) for pair in one.top] for one in answer.logprobs]
        events = []
        for place, token in enumerate(_tokens(answer)):
            top = tops[place] if place < len(tops) else []
            events.append(_event(_piece(place, token) | ({"top_tokens": top} if top else {})))
        details = {
            "finish_reason": _reason(answer),
            "generated_tokens": answer.usage.output_tokens,
            "seed": None,
            "input_length": answer.usage.input_tokens,
        }
        text = "".join(answer.text) + spelled_calls(answer.tool_calls)
        last = _piece(len(events), _EOS) | {"generated_text": text, "details": details}
        return SampleStream(
            headers={"content-type": "text/event-stream"}, events=events, end=_event(last)
        )

    def error(self, status: int, message: str) -> HTTPReply:
        """Return the reply for a failure, as the provider words it for this status."""
        kind = _ERRORS.get(status, "unknown")
        return _reply(status, {"error": message, "error_type": kind})

    def stream_error(self, message: str) -> bytes:
        """Return the event for a failure inside a stream."""
        return _event({"error": message, "error_type": "generation"})

    def models(self, names: Sequence[str]) -> HTTPReply:
        """Return the reply to a question for the models."""
        rows = [{"id": name, "object": "model", "created": 0, "owned_by": name} for name in names]
        return _reply(200, {"object": "list", "data": rows})

    def tokens(self, count: int) -> HTTPReply:
        """Return the reply to a question for the tokens of a raw prompt."""
        row = {"text": "", "start": 0, "stop": 0}
        return _reply(200, [{"id": place, **row} for place in range(count)])

    def health(self) -> HTTPReply:
        """Return the reply of a server that is well: nothing, with a good status."""
        return HTTPReply(status=200, headers={}, body=b"")


@dataclass(frozen=True, slots=True, kw_only=True)
class TGIChatProvider(OpenAIChatProvider):
    """Writes chat completions as TGI does: OpenAI's answers, its own errors and counts."""

    abilities: frozenset[str] = frozenset({"tools", "parallel_tools", "logprobs", "stream_error"})

    def error(self, status: int, message: str) -> HTTPReply:
        """Return the reply for a failure, as the provider words it for this status."""
        return TGIProvider().error(status, message)

    def error_code(self, status: int) -> str | None:
        """Return None: it has types of errors, and no codes."""
        return None

    def stream_error(self, message: str) -> bytes:
        """Return the event for a failure inside a stream."""
        return _event({"error": {"message": message, "http_status_code": 424}})

    def tokens(self, count: int) -> HTTPReply:
        """Return the reply to a question for the tokens of a chat."""
        row = {"text": "", "start": 0, "stop": 0}
        rows = [{"id": place, **row} for place in range(count)]
        return _reply(200, {"tokenize_response": rows, "templated_text": ""})

    def health(self) -> HTTPReply:
        """Return the reply of a server that is well: nothing, with a good status."""
        return HTTPReply(status=200, headers={}, body=b"")


_EOS = {"id": 2, "text": "</s>", "logprob": -0.001, "special": True}


def _tokens(answer: SampleAnswer) -> list[dict[str, Any]]:
    calls = (spelled_calls(answer.tool_calls),) if answer.tool_calls else ()
    known: dict[int, TokenLogprob] = dict(enumerate(answer.logprobs))
    return [
        _token(piece, known[place].logprob if place in known else -0.5)
        for place, piece in enumerate((*answer.text, *calls))
    ]


def _token(text: str, logprob: float) -> dict[str, Any]:
    return {"id": 9, "text": text, "logprob": logprob, "special": False}


def _piece(place: int, token: dict[str, Any]) -> dict[str, Any]:
    return {"index": place + 1, "token": token, "generated_text": None, "details": None}


def _reason(answer: SampleAnswer) -> str:
    return "length" if answer.finish_reason is FinishReason.LENGTH else "eos_token"


def _event(value: Any) -> bytes:
    # Without a space behind the colon, as its framework writes it.
    return b"data:" + _json(value) + b"\n\n"


def _reply(status: int, value: Any) -> HTTPReply:
    return HTTPReply(status=status, headers={"content-type": "application/json"}, body=_json(value))


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
