"""Requests in the form of Ollama's own protocol, as pure functions.

The fields are those of ``api/types.go`` and ``server/routes.go`` of ollama/ollama, 2026-08-21.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from andon.chat import ChatRequest, ResponseFormat
from andon.errors import UnsupportedParameterError
from andon.messages import ChatMessage, ImagePart, Role, ToolCall
from andon.wire.refusals import arguments_of

#: What the server takes as ``think``; other words are an error there.
_EFFORTS: dict[str, bool | str] = {
    "none": False,
    "low": "low",
    "medium": "medium",
    "high": "high",
    "max": "max",
}

#: Most alternatives to a token that the server reports.
_MOST_LOGPROBS = 20

_DATA_URL = re.compile(r"data:[^,]*;base64,", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class OllamaOptions:
    """What a backend's settings say of every request.

    :param num_ctx: size of the context window to load models with, in tokens; None leaves it to
        the server.
    :param keep_alive: how long a model stays loaded: seconds, or a text like ``5m``; None leaves
        it to the server.
    """

    num_ctx: int | None = None
    keep_alive: float | str | None = None


def chat_body(request: ChatRequest, options: OllamaOptions) -> dict[str, Any]:
    """Return the body of a call of ``/api/chat``; what is not set is left out.

    :raises UnsupportedParameterError: Ollama cannot say what is asked.
    """
    body: dict[str, Any] = {"model": request.model, "messages": _messages(request.messages)}
    if request.tools and request.tool_choice != "none":
        if request.tool_choice != "auto":
            raise UnsupportedParameterError(
                "Ollama cannot force a tool call; leave tool_choice out, or force an answer's "
                "form with response_format",
                parameter="tool_choice",
            )
        body["tools"] = [tool.to_openai() for tool in request.tools]
    if request.reasoning_effort is not None:
        body["think"] = _think(request.reasoning_effort)
    return body | _common(request, options)


def prompt_body(request: ChatRequest, prompt: str, options: OllamaOptions) -> dict[str, Any]:
    """Return the body of a call of ``/api/generate`` that completes a text as it stands.

    :param request: what is asked, but for its prompt.
    :param prompt: the text to complete.
    :param options: what the settings say.
    :raises UnsupportedParameterError: Ollama cannot say what is asked.
    """
    if not prompt:
        raise UnsupportedParameterError(
            "Ollama answers an empty prompt by loading the model and nothing else; give a prompt"
        )
    refused = {
        "tools": bool(request.tools) and request.tool_choice != "none",
        "reasoning_effort": request.reasoning_effort is not None,
    }
    for name, hit in refused.items():
        if hit:
            raise UnsupportedParameterError(
                f"Ollama takes no {name} together with a raw prompt; leave it out",
                parameter=name,
            )
    body = {"model": request.model, "prompt": prompt, "raw": True}
    return body | _common(request, options)


def rendering_body(request: ChatRequest, options: OllamaOptions) -> dict[str, Any]:
    """Return the body that asks how the server writes a chat, up to the answer to be continued.

    :raises UnsupportedParameterError: a continuation cannot keep to what is asked.
    """
    refused = {
        "tools": bool(request.tools) and request.tool_choice != "none",
        "response_format": request.response_format.kind != "text",
        "reasoning_effort": request.reasoning_effort not in {None, "none"},
    }
    for name, hit in refused.items():
        if hit:
            raise UnsupportedParameterError(
                f"Ollama takes no {name} where an answer is continued; leave it out",
                parameter=name,
            )
    if len(request.messages) < 2 or any(_images(message) for message in request.messages):
        raise UnsupportedParameterError(
            "Ollama continues an answer to a question, and one without images",
            parameter="continue_final_message",
        )
    asked = replace(
        request,
        messages=request.messages[:-1],
        continue_final_message=False,
        reasoning_effort="none",  # or the prompt might end inside the thoughts
        stream=False,
    )
    return {**chat_body(asked, options), "_debug_render_only": True}


def continuation_body(
    request: ChatRequest, rendered: str, options: OllamaOptions
) -> dict[str, Any]:
    """Return the body of a call that continues the last message.

    :param request: what is asked.
    :param rendered: the chat up to the answer, as the server writes it.
    :param options: what the settings say.
    """
    asked = replace(request, reasoning_effort=None)
    body = prompt_body(asked, rendered + request.messages[-1].text, options)
    return {**body, "think": False}


def _common(
    request: ChatRequest, options: OllamaOptions, stop: Sequence[str] = ()
) -> dict[str, Any]:
    body = {
        "options": _sampling(request, options) or None,
        "format": _format(request.response_format),
        "keep_alive": options.keep_alive,
        # Otherwise the oldest messages vanish from a prompt that is too long, without a word.
        # Servers before 0.12.6 do not know the field, and go on as they used to.
        "truncate": False,
        # Always said, since the server's own default is a stream.
        "stream": request.stream,
    }
    return {name: value for name, value in body.items() if value is not None} | _logprobs(request)


def _sampling(request: ChatRequest, options: OllamaOptions) -> dict[str, Any]:
    sampling = request.sampling
    values = {
        "num_predict": sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "seed": sampling.seed,
        "stop": list(sampling.stop) or None,
        "num_ctx": options.num_ctx,
    }
    return {name: value for name, value in values.items() if value is not None}


def _format(form: ResponseFormat) -> str | Mapping[str, Any] | None:
    if form.kind == "text":
        return None
    return form.schema or "json"


def _think(effort: str) -> bool | str:
    if effort not in _EFFORTS:
        raise UnsupportedParameterError(
            f"Ollama takes a reasoning_effort of {', '.join(_EFFORTS)}, not {effort!r}",
            parameter="reasoning_effort",
        )
    return _EFFORTS[effort]


def _logprobs(request: ChatRequest) -> dict[str, Any]:
    count = request.top_logprobs
    if count is None:
        return {}
    if count > _MOST_LOGPROBS:
        raise UnsupportedParameterError(
            f"Ollama reports at most {_MOST_LOGPROBS} top_logprobs, not {count}",
            parameter="top_logprobs",
        )
    return {"logprobs": True, "top_logprobs": count} if count else {"logprobs": True}


def _messages(messages: Sequence[ChatMessage]) -> list[dict[str, Any]]:
    # A result names its tool here, which elsewhere only the call does.
    names = {call.id: call.name for message in messages for call in message.tool_calls}
    return [_message(message, names) for message in messages]


def _message(message: ChatMessage, names: Mapping[str, str]) -> dict[str, Any]:
    wire: dict[str, Any] = {"role": message.role.value, "content": message.text}
    if message.reasoning:
        wire["thinking"] = message.reasoning
    if images := _images(message):
        wire["images"] = [_image(part) for part in images]
    if message.tool_calls:
        wire["tool_calls"] = [_call(place, call) for place, call in enumerate(message.tool_calls)]
    if message.role is Role.TOOL:
        name = message.name or names.get(message.tool_call_id or "")
        wire |= {"tool_name": name} if name else {}
        wire |= {"tool_call_id": message.tool_call_id} if message.tool_call_id else {}
    return wire


def _images(message: ChatMessage) -> list[ImagePart]:
    if isinstance(message.content, str):
        return []
    return [part for part in message.content if isinstance(part, ImagePart)]


def _image(part: ImagePart) -> str:
    found = _DATA_URL.match(part.url)
    if found is None:
        raise UnsupportedParameterError(
            "Ollama takes images by value and fetches none: give a data: URL in base64 in place "
            f"of {part.url[:40]!r}"
        )
    return part.url[found.end() :]


def _call(place: int, call: ToolCall) -> dict[str, Any]:
    function = {"index": place, "name": call.name, "arguments": arguments_of(call, "Ollama")}
    return {"id": call.id, "function": function} if call.id else {"function": function}
