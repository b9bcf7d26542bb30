"""Answers in the form of OpenAI's Responses, as pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from andon.chat import ChatDelta, FinishReason, TokenLogprob, ToolCallDelta, Usage
from andon.errors import StreamInterrupted
from andon.wire.json_values import name_of
from andon.wire.openai_decode import count_of
from andon.wire.openai_errors import explain_event
from andon.wire.openai_logprobs import read_rows
from andon.wire.openai_responses_items import calls_of, keep_state, text_of

#: What stands between two parts of a model's thoughts.
PART_BREAK = "\n\n"

#: Why an answer is incomplete, in andon's words; anything else is an ordinary end.
_REASONS = {
    "max_output_tokens": FinishReason.LENGTH,
    "content_filter": FinishReason.CONTENT_FILTER,
}


def read_response(body: Mapping[str, Any], headers: Mapping[str, str]) -> ChatDelta:
    """Return a whole answer.

    :param body: the response object.
    :param headers: the headers that it came with.
    :raises BackendError: the answer failed, or was given up.
    """
    reason, raw = read_finish(body, headers)
    output = body["output"]
    calls = tuple(
        ToolCallDelta(place, call.id, call.name, call.arguments)
        for place, call in enumerate(calls_of(output))
    )
    return ChatDelta(
        text=text_of(output),
        reasoning=_reasoning_of(body),
        tool_calls=calls,
        finish_reason=reason,
        raw_finish_reason=raw,
        usage=read_usage(body.get("usage")),
        model=name_of(body.get("model")),
        request_id=name_of(body.get("id")),
        logprobs=_logprobs_of(body),
        provider_state=keep_state(output),
    )


def read_finish(
    body: Mapping[str, Any], headers: Mapping[str, str]
) -> tuple[FinishReason, str | None]:
    """Return why an answer ended, in andon's word and in the provider's.

    :param body: the response object.
    :param headers: the headers that it came with.
    :raises BackendError: the answer failed, or was given up.
    """
    status = name_of(body.get("status"))
    if body.get("error") or status == "failed":
        raise explain_event({"error": body.get("error") or "the response failed"}, headers)
    if status in {"cancelled", "queued", "in_progress"}:
        raise StreamInterrupted(f"the server gave the answer up: its status is {status!r}")
    if status == "incomplete":
        raw = name_of((body.get("incomplete_details") or {}).get("reason")) or status
        return _REASONS.get(raw, FinishReason.STOP), raw
    output = body.get("output") or []
    if calls_of(output):
        return FinishReason.TOOL_CALLS, status
    refused = any(
        part.get("type") == "refusal" for item in output for part in _parts(item, "content")
    )
    return FinishReason.CONTENT_FILTER if refused else FinishReason.STOP, status


def read_usage(value: Any) -> Usage | None:
    """Return the tokens used, in andon's meaning, or None where there is no count.

    :param value: the ``usage`` object; its input tokens contain the cached ones, and its output
        tokens those of the reasoning.
    """
    if not isinstance(value, dict) or not value:
        return None
    given, made = value.get("input_tokens_details") or {}, value.get("output_tokens_details") or {}
    inputs, outputs = count_of(value, "input_tokens"), count_of(value, "output_tokens")
    # Parts are contained in their wholes, whatever a server counts.
    cached = min(count_of(given, "cached_tokens"), inputs)
    written = min(count_of(given, "cache_write_tokens"), inputs - cached)
    return Usage(inputs, outputs, cached, written, min(count_of(made, "reasoning_tokens"), outputs))


def check_response(body: Any) -> Mapping[str, Any]:
    """Return a response object, whose items may be missing.

    :raises TypeError: it is none.
    """
    if not isinstance(body, dict) or not isinstance(body.get("output") or [], list):
        raise TypeError("a response is no object with a list of items")
    return body


def _reasoning_of(body: Mapping[str, Any]) -> str:
    return PART_BREAK.join(
        part["text"]
        for item in body.get("output") or ()
        if item["type"] == "reasoning"
        for kind in ("summary", "content")
        for part in _parts(item, kind)
        if part.get("text")
    )


def _logprobs_of(body: Mapping[str, Any]) -> tuple[TokenLogprob, ...]:
    return tuple(
        one
        for item in body.get("output") or ()
        if item["type"] == "message"
        for part in _parts(item, "content")
        for one in read_rows(part.get("logprobs") or ())
    )


def _parts(item: Mapping[str, Any], kind: str) -> list[Mapping[str, Any]]:
    parts = item.get(kind)
    return parts if isinstance(parts, list) else []
