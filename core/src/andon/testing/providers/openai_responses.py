"""Servers of OpenAI's Responses, as the conformance kit plays them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

from andon.chat import FinishReason, TokenLogprob, Usage
from andon.messages import ToolCall
from andon.testing.provider import Provider, SampleAnswer, SampleStream
from andon.testing.providers.openai_chat import OpenAIChatProvider
from andon.wire.dialect import HTTPReply

_ID = "req_sample"
_STATUS = {FinishReason.LENGTH: "incomplete", FinishReason.CONTENT_FILTER: "incomplete"}
_DETAILS = {
    FinishReason.LENGTH: {"reason": "max_output_tokens"},
    FinishReason.CONTENT_FILTER: {"reason": "content_filter"},
}

#: A name of an event, and its members.
_Event = tuple[str, dict[str, Any]]


class OpenAIResponsesProvider(Provider):
    """Writes responses as OpenAI does.

    :param background: whether streams come from responses in the background, which are stored.
    """

    abilities = frozenset(
        {
            "reasoning", "tools", "parallel_tools", "cached_usage", "cache_write_usage",
            "reasoning_usage", "logprobs", "stream_error",
        }
    )  # fmt: skip
    finish_reasons = frozenset(FinishReason)

    def __init__(self, *, background: bool = False) -> None:
        self._background = background
        # Errors and the list of models are those of OpenAI's other protocol.
        self._chat = OpenAIChatProvider()

    def whole(self, answer: SampleAnswer) -> HTTPReply:
        """Return the reply to a request that is not streamed."""
        return _reply(200, _response(answer, _items(answer)))

    def stream(self, answer: SampleAnswer) -> SampleStream:
        """Return the reply to a streamed request."""
        numbers = count()
        told = _in_background(_events(answer)) if self._background else _events(answer)
        events = [_event(next(numbers), *event) for event in told]
        headers = {"content-type": "text/event-stream; charset=utf-8", "x-request-id": _ID}
        return SampleStream(headers=headers, events=events[:-1], end=events[-1])

    def error(self, status: int, message: str) -> HTTPReply:
        """Return the reply for a failure, as the provider words it for this status."""
        return self._chat.error(status, message)

    def error_code(self, status: int) -> str | None:
        """Return the provider's own code in :meth:`error`; its type where it gives no code."""
        return self._chat.error_code(status)

    def stream_error(self, message: str) -> bytes:
        """Return the event for a failure inside a stream."""
        return _event(99, "error", {"code": "server_error", "message": message, "param": None})

    def models(self, names: Sequence[str]) -> HTTPReply | None:
        """Return the reply to a question for the models."""
        return self._chat.models(names)

    def tokens(self, count: int) -> HTTPReply | None:
        """Return the reply to a question for a token count."""
        return _reply(200, {"object": "response.input_tokens", "input_tokens": count})


# -- Whole answers -----------------------------------------------------------------------------


def _response(answer: SampleAnswer, output: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return _begun(answer) | {
        "status": _STATUS.get(answer.finish_reason, "completed"),
        "incomplete_details": _DETAILS.get(answer.finish_reason),
        "output": list(output),
        "usage": _usage(answer.usage),
    }


def _begun(answer: SampleAnswer) -> dict[str, Any]:
    return {
        "id": "resp_sample",
        "object": "response",
        "created_at": 1_750_000_000,
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": answer.model,
        "output": [],
        "parallel_tool_calls": True,
        "temperature": None,
        "tool_choice": "auto",
        "tools": [],
        "top_p": None,
        "store": False,
        "usage": None,
    }


def _items(answer: SampleAnswer) -> list[dict[str, Any]]:
    items = [_thoughts("".join(answer.reasoning))] if answer.reasoning else []
    if answer.text or not answer.tool_calls:
        items.append(_message("".join(answer.text), answer.logprobs))
    return items + [_call(place, call) for place, call in enumerate(answer.tool_calls)]


def _thoughts(text: str) -> dict[str, Any]:
    summary = [{"type": "summary_text", "text": text}] if text else []
    sealed = "c2VhbGVk" if text else None
    return {"type": "reasoning", "id": "rs_sample", "summary": summary, "encrypted_content": sealed}


def _message(text: str | None, logprobs: Sequence[TokenLogprob] = ()) -> dict[str, Any]:
    status = "in_progress" if text is None else "completed"
    content = [] if text is None else [_part(text, logprobs)]
    head = {"type": "message", "id": "msg_sample", "role": "assistant", "status": status}
    return head | {"content": content}


def _part(text: str, logprobs: Sequence[TokenLogprob] = ()) -> dict[str, Any]:
    rows = [_row(one) for one in logprobs]
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": rows}


def _row(one: TokenLogprob) -> dict[str, Any]:
    top = [_likelihood(token, value) for token, value in one.top]
    return _likelihood(one.token, one.logprob) | {"top_logprobs": top}


def _likelihood(token: str, logprob: float) -> dict[str, Any]:
    return {"token": token, "logprob": logprob, "bytes": list(token.encode())}


def _call(place: int, call: ToolCall, *, begun: bool = False) -> dict[str, Any]:
    return {
        "type": "function_call",
        "id": f"fc_{place}",
        "call_id": call.id,
        "name": call.name,
        "arguments": "" if begun else call.arguments,
        "status": "in_progress" if begun else "completed",
    }


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cached_input_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.total_tokens,
    }


# -- Streams -----------------------------------------------------------------------------------


def _events(answer: SampleAnswer) -> Iterator[_Event]:
    yield "response.created", {"response": _begun(answer)}
    yield "response.in_progress", {"response": _begun(answer)}
    items = _items(answer)
    calls = iter(enumerate(answer.tool_calls))
    for index, item in enumerate(items):
        where = {"item_id": item["id"], "output_index": index}
        match item["type"]:
            case "reasoning":
                begun, pieces = _thoughts(""), _thought_events(answer, where)
            case "message":
                begun, pieces = _message(None), _text_events(answer, where)
            case _:
                place, call = next(calls)
                begun, pieces = _call(place, call, begun=True), _call_events(call, where)
        yield "response.output_item.added", {"output_index": index, "item": begun}
        yield from pieces
        yield "response.output_item.done", {"output_index": index, "item": item}
    response = _response(answer, items)
    yield f"response.{response['status']}", {"response": response}


def _in_background(events: Iterator[_Event]) -> Iterator[_Event]:
    """Give the same events as a response in the background has them, which begins in a queue."""
    stored = {"store": True, "background": True}
    for name, members in events:
        if name == "response.created":
            queued = {"response": members["response"] | stored | {"status": "queued"}}
            yield name, queued
            yield "response.queued", queued
        elif "response" in members:
            yield name, {"response": members["response"] | stored}
        else:
            yield name, members


def _thought_events(answer: SampleAnswer, where: dict[str, Any]) -> Iterator[_Event]:
    where = where | {"summary_index": 0}
    text, name = "".join(answer.reasoning), "response.reasoning_summary"
    part = {"type": "summary_text", "text": ""}
    yield f"{name}_part.added", where | {"part": part}
    for piece in answer.reasoning:
        yield f"{name}_text.delta", where | {"delta": piece}
    yield f"{name}_text.done", where | {"text": text}
    yield f"{name}_part.done", where | {"part": part | {"text": text}}


def _text_events(answer: SampleAnswer, where: dict[str, Any]) -> Iterator[_Event]:
    where = where | {"content_index": 0}
    text, rows = "".join(answer.text), [_row(one) for one in answer.logprobs]
    yield "response.content_part.added", where | {"part": _part("")}
    for place, piece in enumerate(answer.text):
        delta = {"delta": piece, "logprobs": rows[place : place + 1]}
        yield "response.output_text.delta", where | delta
    yield "response.output_text.done", where | {"text": text, "logprobs": rows}
    yield "response.content_part.done", where | {"part": _part(text, answer.logprobs)}


def _call_events(call: ToolCall, where: dict[str, Any]) -> Iterator[_Event]:
    """Give the arguments of a call, seven characters at a time."""
    name = "response.function_call_arguments"
    for start in range(0, len(call.arguments), 7):
        yield f"{name}.delta", where | {"delta": call.arguments[start : start + 7]}
    yield f"{name}.done", where | {"name": call.name, "arguments": call.arguments}


def _event(number: int, name: str, members: dict[str, Any]) -> bytes:
    value = {"type": name, "sequence_number": number} | members
    return b"event: " + name.encode() + b"\ndata: " + _json(value) + b"\n\n"


def _reply(status: int, value: Any) -> HTTPReply:
    headers = {"content-type": "application/json", "x-request-id": _ID}
    return HTTPReply(status=status, headers=headers, body=_json(value))


def _json(value: Any) -> bytes:
    # Not escaped, as OpenAI writes it: U+2028 and its kind stand raw in the stream.
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
