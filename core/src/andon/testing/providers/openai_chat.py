"""Servers of OpenAI's Chat Completions, as the conformance kit plays them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from andon.chat import TokenLogprob, Usage
from andon.messages import ToolCall
from andon.testing.provider import Provider, SampleAnswer, SampleStream
from andon.wire.dialect import HTTPReply

_ID = "req_sample"
_DONE = b"data: [DONE]\n\n"

#: What OpenAI says to each status: its type of error, and its code. (The API reference, "Error
#: codes", and the errors of openai-python 3.54.)
_ERRORS: dict[int, tuple[str, str | None]] = {
    400: ("invalid_request_error", None),
    401: ("invalid_request_error", "invalid_api_key"),
    403: ("invalid_request_error", "unsupported_country_region_territory"),
    404: ("invalid_request_error", "model_not_found"),
    413: ("invalid_request_error", "request_too_large"),
    422: ("invalid_request_error", "unprocessable_entity"),
    429: ("requests", "rate_limit_exceeded"),
}
_UNKNOWN = ("server_error", None)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAIChatProvider(Provider):
    """Writes chat completions as a server of this protocol does; the defaults are OpenAI's.

    :param usage: where a stream tells its usage: in a chunk of its own, in the last chunk of the
        answer, or in Groq's own field there.
    :param reasoning_field: the field that carries thoughts.
    :param bare_models: whether the list of models is a list and nothing around it.
    :param token_count: what the reply to a question for tokens has: their ``count``, as vLLM's, the
        list of ``tokens``, as LocalAI's and llama.cpp's, or ``input_tokens``, as OpenAI's; None
        where there is no such question.
    :param abilities: which parts of an answer the server writes.
    """

    usage: Literal["chunk", "last", "x_groq"] = "chunk"
    reasoning_field: str = "reasoning_content"
    bare_models: bool = False
    token_count: Literal["count", "tokens", "input_tokens"] | None = None
    abilities: frozenset[str] = frozenset(
        {
            "reasoning", "tools", "parallel_tools", "cached_usage", "cache_write_usage",
            "reasoning_usage", "logprobs", "stream_error",
        }
    )  # fmt: skip

    def whole(self, answer: SampleAnswer) -> HTTPReply:
        """Return the reply to a request that is not streamed."""
        text = "".join(answer.text)
        message: dict[str, Any] = {"role": "assistant", "content": text or None, "refusal": None}
        if answer.reasoning:
            message[self.reasoning_field] = "".join(answer.reasoning)
        if answer.tool_calls:
            message["tool_calls"] = [_call(call) for call in answer.tool_calls]
        choice = {
            "index": 0,
            "message": message,
            "logprobs": _logprobs(answer.logprobs),
            "finish_reason": answer.finish_reason.value,
        }
        body = _envelope("chat.completion", answer) | {"choices": [choice]}
        return _reply(200, body | {"usage": _usage(answer.usage)})

    def stream(self, answer: SampleAnswer) -> SampleStream:
        """Return the reply to a streamed request."""
        events = [_event(chunk) for chunk in self._chunks(answer)]
        last = [_event(chunk) for chunk in self._last_chunks(answer)]
        headers = {"content-type": "text/event-stream; charset=utf-8", "x-request-id": _ID}
        return SampleStream(headers=headers, events=events, end=b"".join(last) + _DONE)

    def error(self, status: int, message: str) -> HTTPReply:
        """Return the reply for a failure, as the provider words it for this status."""
        kind, code = _ERRORS.get(status, _UNKNOWN)
        body = {"error": {"message": message, "type": kind, "param": None, "code": code}}
        return _reply(status, body)

    def error_code(self, status: int) -> str | None:
        """Return the provider's own code in :meth:`error`; its type where it gives no code."""
        kind, code = _ERRORS.get(status, _UNKNOWN)
        return code or kind

    def stream_error(self, message: str) -> bytes:
        """Return the event for a failure inside a stream."""
        fields = {"message": message, "type": "server_error", "param": None, "code": None}
        return _event({"error": fields})

    def models(self, names: Sequence[str]) -> HTTPReply | None:
        """Return the reply to a question for the models."""
        rows = [
            {"id": name, "object": "model", "created": 1_750_000_000, "owned_by": "sample"}
            for name in names
        ]
        return _reply(200, rows if self.bare_models else {"object": "list", "data": rows})

    def tokens(self, count: int) -> HTTPReply | None:
        """Return the reply to a question for a token count, or None where there is none."""
        match self.token_count:
            case None:
                return None
            case "count":
                tokens = list(range(count))
                return _reply(200, {"count": count, "max_model_len": 4096, "tokens": tokens})
            case "tokens":
                return _reply(200, {"tokens": list(range(count))})
            case "input_tokens":
                return _reply(200, {"object": "response.input_tokens", "input_tokens": count})

    def route(self, method: str, path: str, body: bytes, answer: SampleAnswer) -> HTTPReply | None:
        """Return the completion of a raw prompt; chats are no part of a longer exchange."""
        if not path.endswith("/completions") or path.endswith("/chat/completions"):
            return None
        if not json.loads(body).get("stream"):
            return _reply(200, _completion(answer, "".join(answer.text), last=True))
        pieces = [_completion(answer, piece, last=False) for piece in answer.text]
        events = [*map(_event, [*pieces, _completion(answer, "", last=True)]), _DONE]
        headers = {"content-type": "text/event-stream; charset=utf-8", "x-request-id": _ID}
        return HTTPReply(status=200, headers=headers, body=b"".join(events))

    def _chunks(self, answer: SampleAnswer) -> Iterator[dict[str, Any]]:
        yield _chunk(answer, {"role": "assistant", "content": ""})
        for piece in answer.reasoning:
            yield _chunk(answer, {self.reasoning_field: piece})
        for place, piece in enumerate(answer.text):
            chunk = _chunk(answer, {"content": piece})
            chunk["choices"][0]["logprobs"] = _logprobs(answer.logprobs[place : place + 1])
            yield chunk
        for place, call in enumerate(answer.tool_calls):
            for part in _call_pieces(place, call):
                yield _chunk(answer, {"tool_calls": [part]})

    def _last_chunks(self, answer: SampleAnswer) -> Iterator[dict[str, Any]]:
        last = _chunk(answer, {})
        last["choices"][0]["finish_reason"] = answer.finish_reason.value
        match self.usage:
            case "last":
                last["usage"] = _usage(answer.usage)
            case "x_groq":
                last["x_groq"] = {"id": _ID, "usage": _usage(answer.usage)}
            case "chunk":
                yield last
                last = _chunk(answer, {}) | {"choices": [], "usage": _usage(answer.usage)}
        yield last


def _envelope(kind: str, answer: SampleAnswer) -> dict[str, Any]:
    return {
        "id": "chatcmpl-sample",
        "object": kind,
        "created": 1_750_000_000,
        "model": answer.model,
        "system_fingerprint": None,
    }


def _chunk(answer: SampleAnswer, delta: dict[str, Any]) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}
    return _envelope("chat.completion.chunk", answer) | {"choices": [choice], "usage": None}


def _completion(answer: SampleAnswer, text: str, *, last: bool) -> dict[str, Any]:
    reason = answer.finish_reason.value if last else None
    choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": reason}
    usage = _usage(answer.usage) if last else None
    return _envelope("text_completion", answer) | {"choices": [choice], "usage": usage}


def _call(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function}


def _call_pieces(place: int, call: ToolCall) -> Iterator[dict[str, Any]]:
    """Give a call as it is streamed: what it is, then its arguments, seven characters at a time."""
    begin = {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": ""}}
    yield {"index": place, **begin}
    for start in range(0, len(call.arguments), 7):
        yield {"index": place, "function": {"arguments": call.arguments[start : start + 7]}}


def _logprobs(logprobs: Sequence[TokenLogprob]) -> dict[str, Any] | None:
    if not logprobs:
        return None
    rows = [
        _likelihood(one.token, one.logprob)
        | {"top_logprobs": [_likelihood(token, value) for token, value in one.top]}
        for one in logprobs
    ]
    return {"content": rows, "refusal": None}


def _likelihood(token: str, logprob: float) -> dict[str, Any]:
    return {"token": token, "logprob": logprob, "bytes": list(token.encode())}


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {
            "cached_tokens": usage.cached_input_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


def _event(value: Any) -> bytes:
    return b"data: " + _json(value) + b"\n\n"


def _reply(status: int, value: Any) -> HTTPReply:
    headers = {"content-type": "application/json", "x-request-id": _ID}
    return HTTPReply(status=status, headers=headers, body=_json(value))


def _json(value: Any) -> bytes:
    # Not escaped, as most servers write it: U+2028 and its kind stand raw in the stream.
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
