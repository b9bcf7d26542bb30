"""Prompts and answers as the conventions write them: JSON texts of messages with parts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from andon import ChatMessage, ChatRequest, ChatResponse, Role, TextPart


def input_messages(request: ChatRequest) -> str:
    """Return what is asked.

    :param request: the request.
    """
    if request.prompt is not None:
        return _json([{"role": "user", "parts": [_text(request.prompt)]}])
    return _json([_message(message) for message in request.messages])


def output_messages(response: ChatResponse) -> str:
    """Return what was answered.

    :param response: the answer.
    """
    return _json([_message(response.message) | {"finish_reason": response.finish_reason.value}])


def tool_definitions(request: ChatRequest) -> str:
    """Return the tools that the model may ask for.

    :param request: the request.
    """
    return _json([tool.to_openai() for tool in request.tools])


def _message(message: ChatMessage) -> dict[str, Any]:
    return {"role": message.role.value, "parts": list(_parts(message))}


def _parts(message: ChatMessage) -> Sequence[dict[str, Any]]:
    if message.role is Role.TOOL:
        answer = {"type": "tool_call_response", "id": message.tool_call_id}
        return [answer | {"response": message.text}]
    parts: list[dict[str, Any]] = []
    if message.reasoning:
        parts.append({"type": "reasoning", "content": message.reasoning})
    content = (TextPart(message.content),) if isinstance(message.content, str) else message.content
    for part in content:
        if not isinstance(part, TextPart):
            parts.append(_image(part.url))
        elif part.text:
            parts.append(_text(part.text))
    for call in message.tool_calls:
        made = {"type": "tool_call", "id": call.id, "name": call.name}
        parts.append(made | {"arguments": _arguments(call.arguments)})
    return parts


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "content": text}


def _image(url: str) -> dict[str, Any]:
    if not url.startswith("data:"):
        return {"type": "uri", "modality": "image", "uri": url}
    # The image itself would be larger than all the rest.
    kind = url.removeprefix("data:").partition(";")[0].partition(",")[0]
    return {"type": "blob", "modality": "image", "mime_type": kind, "content": ""}


def _arguments(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        # A model may write anything.
        return text


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace").decode()
