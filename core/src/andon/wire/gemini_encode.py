"""Requests in the form of Gemini's generateContent, as pure functions."""

from __future__ import annotations

from typing import Any

from andon.chat import ChatRequest, Tool
from andon.errors import UnsupportedParameterError
from andon.wire.gemini_models import demands_signatures, thinking_config
from andon.wire.gemini_turns import Conversation
from andon.wire.refusals import refuse_raw_prompt, refuse_unmeant_end


def generate_body(request: ChatRequest) -> dict[str, Any]:
    """Return the body of a call of ``:generateContent``; what is not set is left out.

    :raises UnsupportedParameterError: the protocol cannot say what is asked.
    """
    config = _generation_config(request)
    return _prompt(request) | ({"generationConfig": config} if config else {})


def count_body(request: ChatRequest) -> dict[str, Any]:
    """Return the body of a call of ``:countTokens``: what makes up the prompt.

    :raises UnsupportedParameterError: the protocol cannot say what is asked.
    """
    body = _prompt(request)
    body.pop("toolConfig", None)
    return body


def _prompt(request: ChatRequest) -> dict[str, Any]:
    refuse_raw_prompt(request, "Gemini")
    conversation = Conversation(signed=demands_signatures(request.model))
    for message in request.messages:
        conversation.add(message)
    _check_turns(request, conversation.contents)
    prompt: dict[str, Any] = {"contents": conversation.contents}
    if conversation.system:
        prompt["systemInstruction"] = {"parts": conversation.system}
    return prompt | _tools(request)


def _check_turns(request: ChatRequest, contents: list[dict[str, Any]]) -> None:
    if not contents or contents[0]["role"] != "user":
        raise UnsupportedParameterError(
            "Gemini's chats begin with the user; put a user's message after the instructions"
        )
    last = request.messages[-1]
    if contents[-1]["role"] == "model":
        refuse_unmeant_end(request, "Gemini")
    if request.continue_final_message and (last.tool_calls or not last.text.strip()):
        raise UnsupportedParameterError(
            "Gemini continues no message that is empty or calls tools",
            parameter="continue_final_message",
        )


def _tools(request: ChatRequest) -> dict[str, Any]:
    # A choice without tools is an error, and "auto" is what is done by default.
    if not request.tools:
        return {}
    declared = [_declaration(tool) for tool in request.tools]
    tools: dict[str, Any] = {"tools": [{"functionDeclarations": declared}]}
    match request.tool_choice:
        case "auto":
            return tools
        case "none":
            calling: dict[str, Any] = {"mode": "NONE"}
        case "required":
            calling = {"mode": "ANY"}
        case name:
            calling = {"mode": "ANY", "allowedFunctionNames": [name]}
    return tools | {"toolConfig": {"functionCallingConfig": calling}}


def _declaration(tool: Tool) -> dict[str, Any]:
    declaration: dict[str, Any] = {"name": tool.name}
    if tool.description:
        declaration["description"] = tool.description
    if tool.parameters:
        declaration["parametersJsonSchema"] = tool.parameters
    return declaration


def _generation_config(request: ChatRequest) -> dict[str, Any]:
    sampling, form, top = request.sampling, request.response_format, request.top_logprobs
    config: dict[str, Any] = {
        "temperature": sampling.temperature,
        "topP": sampling.top_p,
        "maxOutputTokens": sampling.max_tokens,
        "stopSequences": list(sampling.stop) or None,
        "responseLogprobs": None if top is None else True,
        # Without a number only the chosen tokens are reported; 0 is refused.
        "logprobs": top or None,
        "seed": sampling.seed,
        "responseMimeType": None if form.kind == "text" else "application/json",
        "responseJsonSchema": form.schema or {} if form.kind == "json_schema" else None,
    }
    if request.reasoning_effort is not None:
        config["thinkingConfig"] = thinking_config(request.model, request.reasoning_effort)
    return {name: value for name, value in config.items() if value is not None}
