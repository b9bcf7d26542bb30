"""Chats as the input items of OpenAI's Responses, and what goes back there unchanged."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from andon.chat import ChatRequest
from andon.errors import UnsupportedParameterError
from andon.messages import ChatMessage, ImagePart, Part, ProviderState, Role, ToolCall
from andon.specs import ModelProfile
from andon.wire.json_values import read_json

#: The name under which this protocol keeps what it wants back.
DIALECT = "openai-responses"


def write_input(request: ChatRequest, profile: ModelProfile) -> dict[str, Any]:
    """Return the chat as the members ``instructions`` and ``input`` of a request.

    :param request: what to ask.
    :param profile: what is known of the model.
    :raises UnsupportedParameterError: a message holds what has no place there.
    """
    first, *rest = request.messages
    # Without any input there would be nothing to answer.
    if first.role is Role.SYSTEM and rest:
        chat = [item for message in rest for item in _items(message, profile)]
        return {"instructions": first.text, "input": chat}
    return {"input": [item for message in request.messages for item in _items(message, profile)]}


def _items(message: ChatMessage, profile: ModelProfile) -> Iterator[dict[str, Any]]:
    match message.role:
        case Role.TOOL:
            yield {
                "type": "function_call_output",
                "call_id": message.tool_call_id,
                "output": _content(message),
            }
        case Role.ASSISTANT:
            yield from _replayed(message) or _spoken(message)
        case Role.SYSTEM:
            yield {"role": profile.system_role or "system", "content": _content(message)}
        case Role.USER:
            yield {"role": "user", "content": _content(message)}


def _content(message: ChatMessage) -> str | list[dict[str, Any]]:
    if isinstance(message.content, str):
        return message.content
    return [_part(part) for part in message.content]


def _part(part: Part) -> dict[str, Any]:
    if isinstance(part, ImagePart):
        return {"type": "input_image", "image_url": part.url, "detail": part.detail or "auto"}
    return {"type": "input_text", "text": part.text}


def _spoken(message: ChatMessage) -> Iterator[dict[str, Any]]:
    if any(isinstance(part, ImagePart) for part in message.content):
        raise UnsupportedParameterError(
            "OpenAI's Responses take no image in an assistant's message; put it into a user's"
        )
    if message.content:
        yield {"role": "assistant", "content": message.text}
    for call in message.tool_calls:
        yield {
            "type": "function_call",
            "call_id": call.id,
            "name": call.name,
            "arguments": call.arguments,
        }


# -- What goes back unchanged ----------------------------------------------------------------------


def keep_state(output: Sequence[Mapping[str, Any]]) -> tuple[ProviderState, ...]:
    """Return what the provider wants back of an answer: its items, if they hold more than it says.

    :param output: the answer's items.
    """
    items = [item for item in map(_replayable, output) if item is not None]
    if not any(item["type"] == "reasoning" or item.get("phase") for item in items):
        return ()
    data = json.dumps(items, ensure_ascii=False, separators=(",", ":"))
    return (ProviderState(DIALECT, data),)


def _replayable(item: Mapping[str, Any]) -> dict[str, Any] | None:
    kind = item.get("type")
    # Nothing is stored at the server, so thoughts can go back in their encrypted form only.
    if kind == "reasoning" and not item.get("encrypted_content"):
        return None
    if kind not in {"reasoning", "message", "function_call"}:
        return None
    # Some members that may be missing must not be null.
    kept = {name: value for name, value in item.items() if value is not None}
    if kind == "message":
        kept["content"] = [
            {name: value for name, value in part.items() if name != "logprobs"}
            for part in item.get("content") or ()
        ]
    return kept


def _replayed(message: ChatMessage) -> list[dict[str, Any]]:
    """Return the items of an answer of this protocol, if the message still says the same."""
    states = [state for state in message.provider_state if state.dialect == DIALECT]
    if len(states) != 1:
        return []
    try:
        items: list[dict[str, Any]] = read_json(states[0].data)
        same = text_of(items) == message.text and calls_of(items) == message.tool_calls
    except (ValueError, TypeError, KeyError, AttributeError):
        return []
    return items if same else []


def text_of(items: Sequence[Mapping[str, Any]]) -> str:
    """Return the text of an answer's items, refusals included."""
    return "".join(
        part.get("text") or part.get("refusal") or ""
        for item in items
        if item["type"] == "message"
        for part in item.get("content") or ()
    )


def calls_of(items: Sequence[Mapping[str, Any]]) -> tuple[ToolCall, ...]:
    """Return the calls of an answer's items."""
    return tuple(
        ToolCall(_str(item["call_id"]), _str(item["name"]), _str(item.get("arguments") or ""))
        for item in items
        if item["type"] == "function_call"
    )


def _str(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise TypeError("a text is none")
