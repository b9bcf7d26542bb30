"""What Bedrock's runtime sends. AWS's SDK reads these bytes: plugins/andon-aws-bedrock/tests."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from struct import pack
from typing import Any
from zlib import crc32

from andon.chat import FinishReason
from andon.testing.provider import Provider, SampleAnswer, SampleStream
from andon.wire.dialect import HTTPReply

_REQUEST_ID = "5a9cdb7c-3a4c-4d42-9a5f-0d1c5a6cf7a1"
_SIGNATURE = "EqoBCkYIBxgCKkCtc2FtcGxl"

#: The service model of bedrock-runtime (botocore 1.44), and AWS's common errors.
_ERRORS = {
    401: "UnrecognizedClientException",
    402: "AccessDeniedException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    408: "ModelTimeoutException",
    424: "ModelErrorException",
    429: "ThrottlingException",
    503: "ServiceUnavailableException",
}
_REASONS = {
    FinishReason.STOP: "end_turn",
    FinishReason.LENGTH: "max_tokens",
    FinishReason.TOOL_CALLS: "tool_use",
    FinishReason.CONTENT_FILTER: "content_filtered",
}


class BedrockProvider(Provider):
    """Writes answers in the form of Bedrock's Converse."""

    abilities = frozenset(
        {
            "reasoning", "tools", "parallel_tools", "cached_usage", "cache_write_usage",
            "stream_error",
        }
    )  # fmt: skip

    def whole(self, answer: SampleAnswer) -> HTTPReply:
        """Return the reply to a request that is not streamed."""
        content = [block for block, _, _ in _blocks(answer)]
        body = {
            "metrics": {"latencyMs": 551},
            "output": {"message": {"content": content, "role": "assistant"}},
            "stopReason": _REASONS[answer.finish_reason],
            "usage": _usage(answer),
        }
        return _reply(200, body)

    def stream(self, answer: SampleAnswer) -> SampleStream:
        """Return the reply to a streamed request."""
        headers = {
            "content-type": "application/vnd.amazon.eventstream",
            "x-amzn-requestid": _REQUEST_ID,
        }
        end = event("messageStop", {"stopReason": _REASONS[answer.finish_reason]})
        end += event("metadata", {"usage": _usage(answer), "metrics": {"latencyMs": 551}})
        return SampleStream(headers=headers, events=list(_events(answer)), end=end)

    def error(self, status: int, message: str) -> HTTPReply:
        """Return the reply for a failure, as Bedrock words it for this status."""
        named = {"x-amzn-errortype": f"{_code(status)}:http://internal.amazon.com/coral/"}
        return _reply(status, {"message": message}, named)

    def error_code(self, status: int) -> str:
        """Return Bedrock's own code in :meth:`error`."""
        return _code(status)

    def stream_error(self, message: str) -> bytes:
        """Return the event for a failure inside a stream."""
        headers = {
            ":exception-type": "throttlingException",
            ":content-type": "application/json",
            ":message-type": "exception",
        }
        return frame(headers, _json({"message": message}))

    def models(self, names: Sequence[str]) -> None:
        """Return None: another service tells them."""
        return

    def tokens(self, count: int) -> HTTPReply:
        """Return the reply to a question for a token count."""
        return _reply(200, {"inputTokens": count})


def event(kind: str, value: Mapping[str, Any]) -> bytes:
    """Return an event as a frame, with the padding that Bedrock puts into it.

    :param kind: the event's type.
    :param value: its JSON object.
    """
    headers = {
        ":event-type": kind,
        ":content-type": "application/json",
        ":message-type": "event",
    }
    return frame(headers, _json({**value, "p": "abcdefgh"}))


def frame(headers: Mapping[str, str], payload: bytes) -> bytes:
    """Return a frame of an AWS event stream.

    :param headers: its headers, all texts.
    :param payload: the bytes that it carries.
    """
    written = b"".join(_header(name, value) for name, value in headers.items())
    prelude = pack(">II", 16 + len(written) + len(payload), len(written))
    data = prelude + pack(">I", crc32(prelude)) + written + payload
    return data + pack(">I", crc32(data))


def _header(name: str, value: str) -> bytes:
    key, text = name.encode(), value.encode()
    return pack(">B", len(key)) + key + pack(">BH", 7, len(text)) + text


def _code(status: int) -> str:
    fallback = "InternalServerException" if status >= 500 else "ValidationException"
    return _ERRORS.get(status, fallback)


def _usage(answer: SampleAnswer) -> dict[str, Any]:
    usage = answer.usage
    cached, written = usage.cached_input_tokens, usage.cache_write_tokens
    return {
        "inputTokens": usage.input_tokens - cached - written,
        "outputTokens": usage.output_tokens,
        "totalTokens": usage.total_tokens,
        "cacheReadInputTokens": cached,
        "cacheWriteInputTokens": written,
        "cacheDetails": [{"ttl": "5m", "inputTokens": written}] if written else [],
    }


def _blocks(
    answer: SampleAnswer,
) -> Iterator[tuple[dict[str, Any], dict[str, Any] | None, list[dict[str, Any]]]]:
    """Give each block as a whole, how it begins where that is told, and the deltas of it."""
    if answer.reasoning:
        thought = {"text": "".join(answer.reasoning), "signature": _SIGNATURE}
        deltas = [{"reasoningContent": {"text": piece}} for piece in answer.reasoning]
        deltas.append({"reasoningContent": {"signature": _SIGNATURE}})
        yield {"reasoningContent": {"reasoningText": thought}}, None, deltas
    if any(answer.text):
        yield {"text": "".join(answer.text)}, None, [{"text": piece} for piece in answer.text]
    for call in answer.tool_calls:
        arguments = json.loads(call.arguments)
        begun = {"toolUseId": call.id, "name": call.name}
        middle = len(call.arguments) // 2
        # The first piece is always empty, and a call without arguments has no other.
        pieces = ["", call.arguments[:middle], call.arguments[middle:]] if arguments else [""]
        yield (
            {"toolUse": {**begun, "input": arguments}},
            {"toolUse": begun},
            [{"toolUse": {"input": piece}} for piece in pieces],
        )


def _events(answer: SampleAnswer) -> Iterator[bytes]:
    yield event("messageStart", {"role": "assistant"})
    for index, (_, begun, deltas) in enumerate(_blocks(answer)):
        place = {"contentBlockIndex": index}
        if begun is not None:
            yield event("contentBlockStart", {**place, "start": begun})
        for delta in deltas:
            yield event("contentBlockDelta", {**place, "delta": delta})
        yield event("contentBlockStop", place)


def _reply(
    status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
) -> HTTPReply:
    named = {"content-type": "application/json", "x-amzn-requestid": _REQUEST_ID}
    return HTTPReply(status=status, headers=named | dict(headers or {}), body=_json(body))


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
