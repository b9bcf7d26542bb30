"""Answers in the form of OpenAI's Chat Completions, whole or in pieces, as pure functions."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from andon.chat import ChatDelta, FinishReason, ToolCallDelta, Usage
from andon.errors import ServerError, StreamInterrupted
from andon.wire.json_values import name_of
from andon.wire.openai_logprobs import logprobs_of

#: Every word for the end of an answer that servers of this protocol are known to use.
_REASONS = {
    "stop": FinishReason.STOP,
    "eos": FinishReason.STOP,
    "eos_token": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "end_turn": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "max_tokens": FinishReason.LENGTH,
    "model_length": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALLS,
    "tool_use": FinishReason.TOOL_CALLS,
    "function_call": FinishReason.TOOL_CALLS,
    "content_filter": FinishReason.CONTENT_FILTER,
    "safety": FinishReason.CONTENT_FILTER,
}

#: The counts of a server that tells no parts of them.
_TOTALS = {"prompt_tokens", "completion_tokens", "total_tokens"}

#: Words for an answer that the server gave up.
_ABORTED = {"abort", "cancelled", "insufficient_system_resource"}


def read_finish(raw: str | None, *, calls: bool, refused: bool) -> FinishReason:
    """Return andon's word for why an answer ended; an unknown word is an ordinary end.

    :param raw: the server's own word.
    :param calls: whether the answer calls tools.
    :param refused: whether the model refused to answer.
    :raises ServerError: the server says that it failed.
    :raises StreamInterrupted: the server says that it gave up.
    """
    if raw == "error":
        raise ServerError("the server ended its answer with the finish reason 'error'")
    if raw in _ABORTED:
        raise StreamInterrupted(f"the server gave the answer up: its finish reason is {raw!r}")
    reason = _REASONS.get(raw or "", FinishReason.STOP)
    if reason is FinishReason.STOP and refused:
        return FinishReason.CONTENT_FILTER
    # A call that the request forced ends with "stop" at several servers, OpenAI among them.
    return FinishReason.TOOL_CALLS if reason is FinishReason.STOP and calls else reason


def read_usage(value: Any) -> Usage | None:
    """Return the tokens used, in andon's meaning, or None where there is no count.

    :param value: the ``usage`` object; its prompt tokens contain the cached ones, and its
        completion tokens those of the reasoning.
    """
    if not isinstance(value, dict) or not value:
        return None
    inputs, outputs = count_of(value, "prompt_tokens"), count_of(value, "completion_tokens")
    if len(value) <= 3 and value.keys() <= _TOTALS:
        return Usage(inputs, outputs)
    prompt = value.get("prompt_tokens_details") or {}
    completion = value.get("completion_tokens_details") or {}
    cached = count_of(prompt, "cached_tokens") or count_of(value, "prompt_cache_hit_tokens")
    written = count_of(prompt, "cache_write_tokens") or count_of(prompt, "created_cache_tokens")
    reasoning = count_of(completion, "reasoning_tokens") or count_of(value, "reasoning_tokens")
    # Parts are contained in their wholes, whatever a server counts.
    cached = min(cached, inputs)
    return Usage(
        inputs,
        outputs,
        cached,
        min(written, inputs - cached),
        min(reasoning, outputs),
        image_input_tokens=min(count_of(prompt, "image_tokens"), inputs),
        audio_input_tokens=min(count_of(prompt, "audio_tokens"), inputs),
        image_output_tokens=min(count_of(completion, "image_tokens"), outputs),
        audio_output_tokens=min(count_of(completion, "audio_tokens"), outputs),
    )


def usage_of(body: Mapping[str, Any]) -> Usage | None:
    """Return the tokens used that a reply or a chunk of a stream tells, or None."""
    usage = body.get("usage")
    if not usage and isinstance(groq := body.get("x_groq"), dict):
        usage = groq.get("usage")
    return read_usage(usage)


def id_of(body: Mapping[str, Any]) -> str | None:
    """Return the id of the request that a reply or a chunk tells; Groq's own before the usual."""
    groq = body.get("x_groq")
    own = name_of(groq.get("id")) if isinstance(groq, dict) else None
    return own or name_of(body.get("id"))


def text_of(content: Any) -> str:
    """Return the text of a message's content: a text, its parts, or nothing."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(part["text"] for part in content if part.get("type") == "text")
    if content is None:
        return ""
    raise TypeError("content is neither a text nor a list of parts")


def reasoning_of(message: Mapping[str, Any]) -> str:
    """Return the thoughts of a message, or of a piece of one; some servers send both fields."""
    return text_of(message.get("reasoning_content") or message.get("reasoning"))


def calls_of(message: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Return the tool calls of a message, or the pieces of them that a chunk has."""
    calls = message.get("tool_calls")
    if calls:
        return calls  # type: ignore[no-any-return]  # a wrong kind fails at its first use
    legacy = message.get("function_call")
    return [{"function": legacy}] if legacy else ()


def read_message(body: Mapping[str, Any], identifier: str | None) -> ChatDelta:
    """Return a whole answer.

    :param body: the reply's JSON object.
    :param identifier: the request's id, where the headers tell it.
    :raises BackendError: the answer was given up.
    """
    choice = body["choices"][0]
    message = choice.get("message") or {}
    refusal = text_of(message.get("refusal"))
    pieces = _whole_calls(calls_of(message))
    raw = name_of(choice.get("finish_reason"))
    text = text_of(message.get("content") or choice.get("text")) + refusal
    return ChatDelta(
        text=text,
        reasoning=reasoning_of(message),
        tool_calls=pieces,
        finish_reason=read_finish(raw, calls=bool(pieces), refused=bool(refusal)),
        raw_finish_reason=raw,
        usage=usage_of(body),
        model=name_of(body.get("model")),
        request_id=identifier or id_of(body),
        logprobs=logprobs_of(choice, text),
    )


def _whole_calls(pieces: Sequence[Mapping[str, Any]]) -> tuple[ToolCallDelta, ...]:
    if not pieces:
        return ()
    calls = ToolCalls()
    return calls.read(pieces) + calls.missing_ids()


@dataclass(slots=True)
class _Call:
    id: str
    name: str


@dataclass(slots=True)
class ToolCalls:
    """The tool calls of one answer: which piece belongs to which, and what was told already."""

    _calls: list[_Call] = field(default_factory=list)
    _by_index: dict[int, int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self._calls)

    def read(self, pieces: Sequence[Mapping[str, Any]]) -> tuple[ToolCallDelta, ...]:
        """Return the next pieces, each with its place among all calls, counted from 0."""
        return tuple(map(self._piece, pieces))

    def missing_ids(self) -> tuple[ToolCallDelta, ...]:
        """Return made-up ids for the calls that the server gave none, always the same ones."""
        return tuple(
            ToolCallDelta(place, id=f"call_{place}")
            for place, call in enumerate(self._calls)
            if not call.id
        )

    def _piece(self, piece: Mapping[str, Any]) -> ToolCallDelta:
        function = piece.get("function") or {}
        identifier, name = str(piece.get("id") or ""), str(function.get("name") or "")
        place = self._place(piece.get("index"), identifier, name)
        if place == len(self._calls):
            self._calls.append(_Call("", ""))
        call = self._calls[place]
        # Some servers repeat both in every piece; andon gives each once.
        identifier, name = "" if call.id else identifier, "" if call.name else name
        call.id, call.name = call.id or identifier, call.name or name
        return ToolCallDelta(place, identifier, name, _arguments(function.get("arguments")))

    def _place(self, index: int | None, identifier: str, name: str) -> int:
        end = len(self._calls)
        if index is not None:
            place = self._by_index.setdefault(index, end)
            # Some servers send whole calls, all with index 0.
            if place < end and self._is_another(place, identifier, name):
                place = self._by_index[index] = end
            return place
        for place, call in enumerate(self._calls):
            if identifier and call.id == identifier:
                return place
        return end if identifier or name or not end else end - 1

    def _is_another(self, place: int, identifier: str, name: str) -> bool:
        known = self._calls[place]
        return bool(identifier and name and known.id and known.id != identifier)


def _arguments(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    # A server that has parsed them already; elsewhere they are text.
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def count_of(counts: Mapping[str, Any], name: str) -> int:
    """Return a number of tokens, 0 where there is none."""
    value = counts.get(name)
    return value if type(value) is int and value > 0 else 0
