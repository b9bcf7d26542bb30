"""What Google's servers send. Its SDK reads these bytes: plugins/andon-google-vertex/tests."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from andon.chat import FinishReason, TokenLogprob
from andon.messages import ToolCall
from andon.testing.provider import Provider, SampleAnswer, SampleStream
from andon.wire.dialect import HTTPReply

_RESPONSE_ID = "sQ0iaa7gGJ2cm9IP0pOwkQU"
_SIGNATURE = "CiwBcsjafFNhbXBsZSB0aG91Z2h0IHNpZ25hdHVyZQ=="

#: google/rpc/code.proto; other statuses below 500 are invalid arguments.
_WORDS = {
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_REASONS = {
    FinishReason.STOP: "STOP",
    FinishReason.LENGTH: "MAX_TOKENS",
    FinishReason.TOOL_CALLS: "STOP",  # there is no word of its own
    FinishReason.CONTENT_FILTER: "SAFETY",
}


class GeminiProvider(Provider):
    """Writes answers in the form of Gemini's generateContent."""

    abilities = frozenset(
        {
            "reasoning", "tools", "parallel_tools", "cached_usage", "reasoning_usage", "logprobs",
            "stream_error",
        }
    )  # fmt: skip

    def whole(self, answer: SampleAnswer) -> HTTPReply:
        """Return the reply to a request that is not streamed."""
        parts = [part for part, _ in _parts(answer)]
        ending = {"finishReason": _REASONS[answer.finish_reason], **_logprobs(answer.logprobs)}
        return _reply(200, _chunk(answer, parts, **ending) | _usage(answer))

    def stream(self, answer: SampleAnswer) -> SampleStream:
        """Return the reply to a streamed request."""
        events = [
            _event(_chunk(answer, [part], **_logprobs(logprobs)) | _TRAFFIC)
            for part, logprobs in _parts(answer)
        ]
        ending = _chunk(answer, [{"text": ""}], finishReason=_REASONS[answer.finish_reason])
        return SampleStream(
            headers={"content-type": "text/event-stream"},
            events=events,
            end=_event(ending | _usage(answer)),
        )

    def error(self, status: int, message: str) -> HTTPReply:
        """Return the reply for a failure, as Google words it for this status."""
        return _reply(status, _error(status, message))

    def stream_error(self, message: str) -> bytes:
        """Return what stands in a stream for a failure: no event, but bare JSON."""
        # The word of a server that gives up: an unavailable one would simply be asked again.
        text = json.dumps(_error(499, message), ensure_ascii=False, indent=2)
        return text.replace("\n", "\r\n").encode() + b"\r\n"

    def models(self, names: Sequence[str]) -> HTTPReply:
        """Return the reply to a question for the models."""
        found = [
            {
                "name": f"publishers/google/models/{name}",
                "versionId": "default",
                "openSourceCategory": "PROPRIETARY",
                "launchStage": "GA",
            }
            for name in names
        ]
        return _reply(200, {"publisherModels": found} if found else {})

    def tokens(self, count: int) -> HTTPReply:
        """Return the reply to a question for a token count."""
        details = [{"modality": "TEXT", "tokenCount": count}]
        return _reply(200, {"totalTokens": count, "promptTokensDetails": details})


_TRAFFIC = {"usageMetadata": {"trafficType": "ON_DEMAND"}}


def _reply(status: int, body: Mapping[str, Any]) -> HTTPReply:
    headers = {"content-type": "application/json; charset=UTF-8"}
    text = json.dumps(body, ensure_ascii=False, indent=2)
    return HTTPReply(status=status, headers=headers, body=text.encode())


def _event(chunk: Mapping[str, Any]) -> bytes:
    return f"data: {json.dumps(chunk, ensure_ascii=False)}\r\n\r\n".encode()


def _error(status: int, message: str) -> dict[str, Any]:
    word = _WORDS.get(status, "INTERNAL" if status >= 500 else "INVALID_ARGUMENT")
    return {"error": {"code": status, "message": message, "status": word}}


def _chunk(answer: SampleAnswer, parts: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {
        "candidates": [{"content": {"role": "model", "parts": parts}, **more}],
        "modelVersion": answer.model,
        "createTime": "2026-11-22T12:00:00.000000Z",
        "responseId": _RESPONSE_ID,
    }


def _parts(answer: SampleAnswer) -> Iterator[tuple[dict[str, Any], tuple[TokenLogprob, ...]]]:
    for text in answer.reasoning:
        yield {"text": text, "thought": True}, ()
    for place, text in enumerate(answer.text):
        yield {"text": text}, answer.logprobs[place : place + 1]
    for place, call in enumerate(answer.tool_calls):
        # Of parallel calls only the first one is signed.
        yield _call(call) | ({"thoughtSignature": _SIGNATURE} if place == 0 else {}), ()


def _call(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "args": json.loads(call.arguments), "id": call.id}
    return {"functionCall": function}


def _logprobs(logprobs: Sequence[TokenLogprob]) -> dict[str, Any]:
    if not logprobs:
        return {}
    tops = [{"candidates": [_token(*pair) for pair in token.top]} for token in logprobs]
    chosen = [_token(token.token, token.logprob) for token in logprobs]
    return {"logprobsResult": {"topCandidates": tops, "chosenCandidates": chosen}}


def _token(token: str, logprob: float) -> dict[str, Any]:
    return {"token": token, "tokenId": 1, "logProbability": logprob}


def _usage(answer: SampleAnswer) -> dict[str, Any]:
    usage = answer.usage
    counts = {
        "promptTokenCount": usage.input_tokens,
        "candidatesTokenCount": usage.output_tokens - usage.reasoning_tokens,
        "totalTokenCount": usage.total_tokens,
        "cachedContentTokenCount": usage.cached_input_tokens,
        "thoughtsTokenCount": usage.reasoning_tokens,
    }
    # Protobuf's JSON leaves out what is zero.
    told = {name: count for name, count in counts.items() if count}
    return {"usageMetadata": told | _TRAFFIC["usageMetadata"]}
