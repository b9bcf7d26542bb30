"""Requests in the form of OpenAI's Responses, as pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from andon.chat import ChatRequest, ResponseFormat, Tool
from andon.errors import UnsupportedParameterError
from andon.specs import ModelProfile
from andon.wire.dialect import HTTPCall, HTTPReply, Query
from andon.wire.json_values import read_json, to_json
from andon.wire.openai_responses_items import write_input

_EMPTY_OBJECT = {"type": "object", "properties": {}}


def response_body(
    request: ChatRequest, profile: ModelProfile, summary: str | None = None
) -> dict[str, Any]:
    """Return the body of a call of ``/responses``; what is not set is left out.

    :param request: what to ask.
    :param profile: what is known of the model.
    :param summary: how much of a model's thoughts to tell, or None.
    :raises UnsupportedParameterError: the protocol cannot say what is asked.
    """
    _refuse_unsupported(request)
    sampling, include = request.sampling, _include(request, profile)
    optional = {
        "max_output_tokens": sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_logprobs": request.top_logprobs,
        "include": include or None,
        "stream": request.stream or None,
    }
    body = _prompt(request, profile, summary)
    # The chat is kept here, so that nothing has to stay at the provider.
    body["store"] = False
    return body | {name: value for name, value in optional.items() if value is not None}


def count_query(
    request: ChatRequest, profile: ModelProfile, headers: Mapping[str, str]
) -> Query[int]:
    """Return how to ask for the tokens of a chat.

    :param request: the request that has the chat.
    :param profile: what is known of the model.
    :param headers: the headers of the call.
    """
    body = to_json(_prompt(request, profile, None))
    return Query(HTTPCall(path="/responses/input_tokens", body=body, headers=headers), _read_count)


def _refuse_unsupported(request: ChatRequest) -> None:
    refused = {
        "seed": request.sampling.seed is not None,
        "stop": bool(request.sampling.stop),
        "continue_final_message": request.continue_final_message,
        "a raw prompt": request.prompt is not None,
    }
    for name, hit in refused.items():
        if hit:
            raise UnsupportedParameterError(
                f'OpenAI\'s Responses do not take {name}; leave it out, or set api to "chat"',
                parameter=None if name == "a raw prompt" else name,
            )


def _prompt(request: ChatRequest, profile: ModelProfile, summary: str | None) -> dict[str, Any]:
    # The model comes first: routers read it from the body's beginning.
    body: dict[str, Any] = {"model": request.model, **write_input(request, profile)}
    body |= _tools(request)
    if request.response_format.kind != "text":
        body["text"] = {"format": _format(request.response_format)}
    reasoning = {
        "effort": request.reasoning_effort,
        "summary": summary if _reasons(request, profile) else None,
    }
    if any(reasoning.values()):
        body["reasoning"] = {name: value for name, value in reasoning.items() if value}
    return body


def _reasons(request: ChatRequest, profile: ModelProfile) -> bool:
    if request.reasoning_effort is not None:
        return request.reasoning_effort != "none"
    return bool(profile.reasoning_efforts) or profile.sampling is False


def _include(request: ChatRequest, profile: ModelProfile) -> list[str]:
    # Models that do not reason refuse to be asked for their thoughts.
    wanted = {
        "reasoning.encrypted_content": _reasons(request, profile),
        "message.output_text.logprobs": request.top_logprobs is not None,
    }
    return [name for name, hit in wanted.items() if hit]


def _tools(request: ChatRequest) -> dict[str, Any]:
    if not request.tools:
        return {}
    tools: dict[str, Any] = {"tools": [_tool(tool) for tool in request.tools]}
    match request.tool_choice:
        case "auto":
            pass
        case "none" | "required" as choice:
            tools["tool_choice"] = choice
        case name:
            tools["tool_choice"] = {"type": "function", "name": name}
    return tools


def _tool(tool: Tool) -> dict[str, Any]:
    described = {"description": tool.description} if tool.description else {}
    # Unlike in Chat Completions, a tool that does not say so is strict.
    return {
        "type": "function",
        "name": tool.name,
        **described,
        "parameters": tool.parameters or _EMPTY_OBJECT,
        "strict": tool.strict,
    }


def _format(form: ResponseFormat) -> dict[str, Any]:
    if form.kind == "json_object":
        return {"type": "json_object"}
    schema = form.schema or {}
    return {"type": "json_schema", "name": form.name, "schema": schema, "strict": form.strict}


def _read_count(reply: HTTPReply) -> int:
    count = read_json(reply.body)["input_tokens"]
    if type(count) is not int or count < 0:
        raise ValueError("the number of tokens is no number")
    return count
