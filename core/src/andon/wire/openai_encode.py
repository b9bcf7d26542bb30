"""Requests in the form of OpenAI's Chat Completions, as pure functions."""

from __future__ import annotations

from typing import Any

from andon.chat import ChatRequest, ResponseFormat, Tool
from andon.errors import UnsupportedParameterError
from andon.messages import ChatMessage, ImagePart, Part, Role
from andon.specs import ModelProfile
from andon.wire.openai_quirks import Quirks

#: A model of which nothing is known.
UNKNOWN = ModelProfile()

_EMPTY_OBJECT = {"type": "object", "properties": {}}


def chat_body(
    request: ChatRequest, quirks: Quirks, profile: ModelProfile = UNKNOWN
) -> dict[str, Any]:
    """Return the body of a call of ``/chat/completions``; what is not set is left out.

    :param request: what to ask.
    :param quirks: what the server does in its own way.
    :param profile: what is known of the model.
    :raises UnsupportedParameterError: the server cannot do what is asked.
    """
    refuse_unsupported(request, quirks)
    # The model comes first: routers read it from the body's beginning.
    body: dict[str, Any] = {"model": request.model}
    body["messages"] = [_message(message, quirks, profile) for message in request.messages]
    if request.tools:
        # A choice without tools is an error at OpenAI.
        body |= _tools(request, quirks)
    if request.response_format.kind != "text":
        body["response_format"] = _response_format(request.response_format, quirks)
    if request.reasoning_effort is not None:
        body["reasoning_effort"] = request.reasoning_effort
    if request.continue_final_message and quirks.continuation_flags:
        # Both have to be said: the generation prompt is on by default, and contradicts the other.
        body |= {"continue_final_message": True, "add_generation_prompt": False}
    body |= _chat_logprobs(request, quirks)
    body |= _common(request, quirks, profile.max_tokens_field or quirks.max_tokens_field)
    return body


def prompt_body(request: ChatRequest, quirks: Quirks) -> dict[str, Any]:
    """Return the body of a call of ``/completions``, which completes a raw prompt.

    :raises UnsupportedParameterError: the server cannot do what is asked.
    """
    refuse_unsupported(request, quirks)
    body: dict[str, Any] = {"model": request.model, "prompt": request.prompt}
    if request.response_format.kind != "text":
        body["response_format"] = _response_format(request.response_format, quirks)
    if request.top_logprobs is not None:
        body["logprobs"] = _alternatives(request.top_logprobs, quirks)
    # This older call never took part in the renaming of max_tokens.
    return body | _common(request, quirks, "max_tokens")


def refuse_unsupported(request: ChatRequest, quirks: Quirks) -> None:
    """Check that the server can do what is asked.

    :raises UnsupportedParameterError: it cannot.
    """
    raw = request.prompt is not None
    kind = request.response_format.kind
    special = raw or request.tools or request.continue_final_message or kind != "text"
    if not special and (
        request.sampling.seed is None
        and request.reasoning_effort is None
        and request.top_logprobs is None
    ):
        return
    keeps = {"json_schema": quirks.json_schema, "json_object": quirks.json_object}.get(kind, True)
    refused = {
        "a raw prompt": raw and not quirks.completions,
        "tools": bool(request.tools) and (raw or not quirks.tools),
        "response_format": not keeps or (kind != "text" and raw and not quirks.raw_response_format),
        "seed": request.sampling.seed is not None and not quirks.seed,
        "reasoning_effort": request.reasoning_effort is not None
        and (raw or not quirks.reasoning_effort),
        "continue_final_message": request.continue_final_message and not quirks.continuation,
        "top_logprobs": request.top_logprobs is not None and quirks.logprobs is None,
    }
    for name, hit in refused.items():
        if hit:
            option = None if name == "a raw prompt" else name
            what = " together with a raw prompt" if raw and option else ""
            raise UnsupportedParameterError(
                f"the backend of model {request.model!r} does not take {name}{what}; leave it out "
                "or take another backend",
                parameter=option,
            )


def _common(request: ChatRequest, quirks: Quirks, max_tokens_field: str) -> dict[str, Any]:
    sampling = request.sampling
    top_p = None if sampling.top_p == 1 and not quirks.full_top_p else sampling.top_p
    body: dict[str, Any] = {}
    if sampling.max_tokens is not None:
        body[max_tokens_field] = sampling.max_tokens
    if sampling.temperature is not None:
        body["temperature"] = sampling.temperature
    if top_p is not None:
        body["top_p"] = top_p
    if sampling.stop:
        # Always a list: some servers take nothing else.
        body["stop"] = list(sampling.stop)
    if sampling.seed is not None:
        body["seed"] = sampling.seed
    if request.stream:
        body["stream"] = True
        if quirks.stream_options:
            # Without a stream these options are an error at OpenAI.
            body["stream_options"] = {"include_usage": True}
    body.update(quirks.extra)
    return body


def _chat_logprobs(request: ChatRequest, quirks: Quirks) -> dict[str, Any]:
    if request.top_logprobs is None:
        return {}
    if quirks.logprobs == "number":
        return {"logprobs": _alternatives(request.top_logprobs, quirks)}
    return {"logprobs": True, "top_logprobs": request.top_logprobs}


def _alternatives(asked: int, quirks: Quirks) -> int:
    # Where the number is the switch as well, 0 would turn it off.
    return max(1, asked) if quirks.logprobs == "number" else asked


def _message(message: ChatMessage, quirks: Quirks, profile: ModelProfile) -> dict[str, Any]:
    wire: dict[str, Any] = {"role": message.role.value, "content": _content(message, quirks)}
    if message.role is Role.SYSTEM and profile.system_role is not None:
        wire["role"] = profile.system_role
    if message.name is not None:
        wire["name"] = message.name
    if message.tool_calls:
        wire["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        wire["tool_call_id"] = message.tool_call_id
    if message.reasoning and quirks.reasoning_field is not None:
        wire[quirks.reasoning_field] = message.reasoning
    return wire


def _content(message: ChatMessage, quirks: Quirks) -> str | list[dict[str, Any]] | None:
    if not message.content and message.tool_calls:
        return None
    if isinstance(message.content, str):
        return message.content
    if quirks.text_only:
        if any(isinstance(part, ImagePart) for part in message.content):
            raise UnsupportedParameterError("the server reads text only, not images")
        return message.text
    return [_part(part) for part in message.content]


def _part(part: Part) -> dict[str, Any]:
    if isinstance(part, ImagePart):
        detail = {} if part.detail is None else {"detail": part.detail}
        return {"type": "image_url", "image_url": {"url": part.url, **detail}}
    return {"type": "text", "text": part.text}


def _tools(request: ChatRequest, quirks: Quirks) -> dict[str, Any]:
    tools: dict[str, Any] = {"tools": [_tool(tool) for tool in request.tools]}
    match request.tool_choice:
        case "auto":
            pass
        case "none" | "required" as choice:
            tools["tool_choice"] = choice
        case name if quirks.named_tool:
            tools["tool_choice"] = {"type": "function", "function": {"name": name}}
        case name:
            only = [_tool(tool) for tool in request.tools if tool.name == name]
            tools = {"tools": only, "tool_choice": "required"}
    return tools


def _tool(tool: Tool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    function["parameters"] = tool.parameters or _EMPTY_OBJECT
    if tool.strict:
        function["strict"] = True
    return {"type": "function", "function": function}


def _response_format(form: ResponseFormat, quirks: Quirks) -> dict[str, Any]:
    if quirks.schema_form == "value":
        # There a form without a schema is none.
        return {"type": "json_object", "value": form.schema or {"type": "object"}}
    if form.kind == "json_object":
        return {"type": "json_object"}
    schema = {"name": form.name, "schema": form.schema or {}, "strict": form.strict}
    return {"type": "json_schema", "json_schema": schema}
