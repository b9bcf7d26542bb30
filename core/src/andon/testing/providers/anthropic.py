"""What Anthropic's servers send. Its SDK reads these bytes: plugins/andon-anthropic/tests."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from andon.chat import FinishReason
from andon.testing.provider import Provider, SampleAnswer, SampleStream
from andon.wire.dialect import HTTPReply

_REQUEST_ID = "req_011CSHoEeqs5C35K2UUqR7Fy"
_SIGNATURE = "EqQBCgIYAhIkMGU3YjJhZjQtc2FtcGxl"

#: platform.claude.com, Errors, 2026-10; other statuses below 500 are invalid requests.
_ERRORS = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_REASONS = {
    FinishReason.STOP: "end_turn",
    FinishReason.LENGTH: "max_tokens",
    FinishReason.TOOL_CALLS: "tool_use",
    FinishReason.CONTENT_FILTER: "refusal",
}


class AnthropicProvider(Provider):
    """Writes answers in the form of Anthropic's Messages."""

    abilities = frozenset(
        {
            "reasoning", "tools", "parallel_tools", "cached_usage", "cache_write_usage",
            "reasoning_usage", "stream_error",
        }
    )  # fmt: skip

    def whole(self, answer: SampleAnswer) -> HTTPReply:
        """Return the reply to a request that is not streamed."""
        blocks = [block for block, _ in _blocks(answer)]
        body = {**_message(answer), "content": blocks, **_ending(answer), "usage": _usage(answer)}
        return _reply(200, body)

    def stream(self, answer: SampleAnswer) -> SampleStream:
        """Return the reply to a streamed request."""
        headers = {
            "content-type": "text/event-stream; charset=utf-8",
            "cache-control": "no-cache",
            "request-id": _REQUEST_ID,
        }
        return SampleStream(
            headers=headers, events=list(_events(answer)), end=_event("message_stop")
        )

    def error(self, status: int, message: str) -> HTTPReply:
        """Return the reply for a failure, as Anthropic words it for this status."""
        kind = _ERRORS.get(status, "api_error" if status >= 500 else "invalid_request_error")
        return _reply(status, _error(kind, message))

    def stream_error(self, message: str) -> bytes:
        """Return the event for a failure inside a stream."""
        return _event("error", **_error("overloaded_error", message))

    def models(self, names: Sequence[str]) -> HTTPReply:
        """Return the reply to a question for the models."""
        page = {
            "data": [_model(name) for name in names],
            "has_more": False,
            "first_id": names[0] if names else None,
            "last_id": names[-1] if names else None,
        }
        return _reply(200, page)

    def tokens(self, count: int) -> HTTPReply:
        """Return the reply to a question for a token count."""
        return _reply(200, {"input_tokens": count})


def _reply(status: int, body: Mapping[str, Any]) -> HTTPReply:
    headers = {"content-type": "application/json", "request-id": _REQUEST_ID}
    return HTTPReply(status=status, headers=headers, body=_json(body))


def _error(kind: str, message: str) -> dict[str, Any]:
    error = {"type": kind, "message": message}
    return {"type": "error", "error": error, "request_id": _REQUEST_ID}


def _message(answer: SampleAnswer) -> dict[str, Any]:
    return {
        "id": "msg_01XFDUDYJgAACzvnptvVoYEL",
        "type": "message",
        "role": "assistant",
        "model": answer.model,
    }


def _ending(answer: SampleAnswer) -> dict[str, Any]:
    refused = answer.finish_reason is FinishReason.CONTENT_FILTER
    details = {"type": "refusal", "category": None, "explanation": None} if refused else None
    return {
        "stop_reason": _REASONS[answer.finish_reason],
        "stop_sequence": None,
        "stop_details": details,
    }


def _usage(answer: SampleAnswer) -> dict[str, Any]:
    usage = answer.usage
    cached, written = usage.cached_input_tokens, usage.cache_write_tokens
    return {
        "input_tokens": usage.input_tokens - cached - written,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": cached,
        "cache_creation": {"ephemeral_5m_input_tokens": written, "ephemeral_1h_input_tokens": 0},
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"thinking_tokens": usage.reasoning_tokens},
        "service_tier": "standard",
    }


def _blocks(answer: SampleAnswer) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Give each block as a whole, and the deltas that make it."""
    if answer.reasoning:
        thoughts = "".join(answer.reasoning)
        deltas = [{"type": "thinking_delta", "thinking": piece} for piece in answer.reasoning]
        deltas.append({"type": "signature_delta", "signature": _SIGNATURE})
        yield {"type": "thinking", "thinking": thoughts, "signature": _SIGNATURE}, deltas
    if any(answer.text):
        deltas = [{"type": "text_delta", "text": piece} for piece in answer.text]
        yield {"type": "text", "text": "".join(answer.text)}, deltas
    for call in answer.tool_calls:
        arguments = json.loads(call.arguments)
        middle = len(call.arguments) // 2
        # The first piece is always empty, and a call without arguments has no other.
        pieces = ["", call.arguments[:middle], call.arguments[middle:]] if arguments else [""]
        deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
        yield (
            {"type": "tool_use", "id": call.id, "name": call.name, "input": arguments},
            deltas,
        )


def _events(answer: SampleAnswer) -> Iterator[bytes]:
    usage = _usage(answer)
    first = {**usage, "output_tokens": 1, "output_tokens_details": None}
    ending = dict.fromkeys(_ending(answer))
    yield _event(
        "message_start", message={**_message(answer), "content": [], **ending, "usage": first}
    )
    yield _event("ping")
    for index, (block, deltas) in enumerate(_blocks(answer)):
        yield _event("content_block_start", index=index, content_block=_begun(block))
        for delta in deltas:
            yield _event("content_block_delta", index=index, delta=delta)
        yield _event("content_block_stop", index=index)
    last = {name: usage[name] for name in usage if name.endswith(("_tokens", "_details"))}
    yield _event("message_delta", delta=_ending(answer), usage=last)


def _begun(block: Mapping[str, Any]) -> dict[str, Any]:
    match block["type"]:
        case "thinking":
            return {**block, "thinking": "", "signature": ""}
        case "text":
            return {**block, "text": ""}
    return {**block, "input": {}}


def _model(name: str) -> dict[str, Any]:
    return {
        "type": "model",
        "id": name,
        "display_name": name.title(),
        "created_at": "2026-10-01T00:00:00Z",
        "lifecycle": "active",
        "deprecated_at": None,
        "retires_at": None,
        "line": None,
        "max_input_tokens": 200_000,
        "max_tokens": 64_000,
        "capabilities": None,
    }


def _event(event: str, **members: Any) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (event.encode(), _json({"type": event, **members}))


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
