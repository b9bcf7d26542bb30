"""Servers of OpenAI-style ``/completions``, as the conformance kit plays them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from andon.chat import TokenLogprob
from andon.messages import ToolCall
from andon.testing.provider import SampleAnswer, SampleStream
from andon.testing.providers.openai_chat import OpenAIChatProvider
from andon.wire.dialect import HTTPReply

_ID = "req_sample"


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionsProvider(OpenAIChatProvider):
    """Writes raw completions; lists of models, errors and counts are those of chats.

    :param usage_in_stream: whether a stream tells its usage.
    """

    usage_in_stream: bool = True
    abilities: frozenset[str] = frozenset({"cached_usage", "logprobs", "stream_error"})

    def whole(self, answer: SampleAnswer) -> HTTPReply:
        """Return the reply to a request that is not streamed."""
        text = "".join(answer.text) + spelled_calls(answer.tool_calls)
        body = _completion(answer, text, answer.logprobs, answer.finish_reason.value)
        headers = {"content-type": "application/json", "x-request-id": _ID}
        usage = {"usage": _usage(answer)}
        return HTTPReply(status=200, headers=headers, body=_json(body | usage))

    def stream(self, answer: SampleAnswer) -> SampleStream:
        """Return the reply to a streamed request."""
        calls = (spelled_calls(answer.tool_calls),) if answer.tool_calls else ()
        events = [
            _event(_completion(answer, piece, answer.logprobs[place : place + 1], None))
            for place, piece in enumerate((*answer.text, *calls))
        ]
        end = _event(_completion(answer, "", (), answer.finish_reason.value))
        if self.usage_in_stream:
            last = _completion(answer, "", (), None) | {"choices": [], "usage": _usage(answer)}
            end += _event(last)
        headers = {"content-type": "text/event-stream; charset=utf-8", "x-request-id": _ID}
        return SampleStream(headers=headers, events=events, end=end + b"data: [DONE]\n\n")

    def route(self, method: str, path: str, body: bytes, answer: SampleAnswer) -> HTTPReply | None:
        """Return None: there are no exchanges of several calls."""
        return None


def spelled_calls(calls: Sequence[ToolCall]) -> str:
    """Return calls of tools as models of the Hermes family spell them out."""
    return "".join(
        f'<tool_call>\n{{"name": {json.dumps(call.name)}, "arguments": {call.arguments}}}\n'
        "</tool_call>"
        for call in calls
    )


def _completion(
    answer: SampleAnswer, text: str, logprobs: Sequence[TokenLogprob], reason: str | None
) -> dict[str, Any]:
    choice = {
        "index": 0,
        "text": text,
        "logprobs": _logprobs(logprobs),
        "finish_reason": reason,
    }
    return {
        "id": "cmpl-sample",
        "object": "text_completion",
        "created": 1_750_000_000,
        "model": answer.model,
        "choices": [choice],
    }


def _logprobs(logprobs: Sequence[TokenLogprob]) -> dict[str, Any] | None:
    if not logprobs:
        return None
    return {
        "tokens": [one.token for one in logprobs],
        "token_logprobs": [one.logprob for one in logprobs],
        "top_logprobs": [dict(one.top) for one in logprobs],
        "text_offset": [0 for _ in logprobs],
    }


def _usage(answer: SampleAnswer) -> dict[str, Any]:
    usage = answer.usage
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_input_tokens},
    }


def _event(value: Any) -> bytes:
    return b"data: " + _json(value) + b"\n\n"


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
