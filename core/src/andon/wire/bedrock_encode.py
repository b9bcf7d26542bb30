"""Requests in the form of Bedrock's Converse, as pure functions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from andon.chat import ChatRequest, Tool
from andon.errors import UnsupportedParameterError
from andon.specs import ModelProfile
from andon.wire.bedrock_reasoning import reasoning_fields
from andon.wire.bedrock_turns import Conversation
from andon.wire.json_values import to_json
from andon.wire.refusals import refuse_parameters, refuse_raw_prompt

#: What a model's name keeps in a path; the slashes and colons of an ARN are none of these.
_SAFE = "-._~"


def model_path(model: str, operation: str) -> str:
    """Return the path of an operation.

    :param model: a model's id, an inference profile's, or the ARN of either.
    :param operation: ``converse``, ``converse-stream`` or ``count-tokens``.
    """
    return f"/model/{quote(model, safe=_SAFE)}/{operation}"


def converse_body(request: ChatRequest, profile: ModelProfile) -> dict[str, Any]:
    """Return the body of a call of Converse; what is not set is left out.

    :raises UnsupportedParameterError: the protocol cannot say what is asked.
    :raises InvalidRequestError: a message cannot be read.
    """
    refuse_raw_prompt(request, "Bedrock's Converse")
    refuse_parameters(_refusals(request), "Bedrock's Converse")
    body = _prompt(request)
    inference = _inference_config(request)
    if inference:
        body["inferenceConfig"] = inference
    limit = request.sampling.max_tokens or profile.max_output_tokens
    reasoning = reasoning_fields(request, limit)
    output = reasoning.pop("outputConfig", {}) | _text_format(request)
    if output:
        body["outputConfig"] = output
    return body | reasoning


def count_body(request: ChatRequest, profile: ModelProfile) -> dict[str, Any]:
    """Return the body of a call of CountTokens: what makes up the prompt.

    :raises UnsupportedParameterError: the protocol cannot say what is asked.
    :raises InvalidRequestError: a message cannot be read.
    """
    refuse_raw_prompt(request, "Bedrock's Converse")
    body = _prompt(request)
    limit = request.sampling.max_tokens or profile.max_output_tokens
    reasoning = reasoning_fields(request, limit)
    reasoning.pop("outputConfig", None)
    return {"input": {"converse": body | reasoning}}


def _prompt(request: ChatRequest) -> dict[str, Any]:
    conversation = Conversation(request.model)
    for message in request.messages:
        conversation.add(message)
    turns = conversation.turns()
    _check_turns(request, turns)
    prompt: dict[str, Any] = {"messages": turns}
    if conversation.system:
        prompt["system"] = conversation.system
    tools = _tool_config(request, conversation.called)
    if tools:
        prompt["toolConfig"] = tools
    return prompt


def _check_turns(request: ChatRequest, turns: list[dict[str, Any]]) -> None:
    if not turns:
        raise UnsupportedParameterError(
            "Bedrock needs a message besides the instructions; add what the user says"
        )
    if turns[-1]["role"] == "assistant" and not request.continue_final_message:
        raise UnsupportedParameterError(
            "the chat ends with the assistant's message, which Bedrock would have continued; set "
            "continue_final_message=True if that is meant, or end with a user's message"
        )
    if not request.continue_final_message:
        return
    last = request.messages[-1]
    spaced = "claude" in request.model.lower() and last.text != last.text.rstrip()
    if last.tool_calls or spaced or turns[-1]["role"] != "assistant":
        raise UnsupportedParameterError(
            "Bedrock continues no message that is empty or has tool calls, and Claude none that "
            "ends with white space; strip it",
            parameter="continue_final_message",
        )


def _inference_config(request: ChatRequest) -> dict[str, Any]:
    sampling = request.sampling
    config = {
        "maxTokens": sampling.max_tokens,
        "temperature": sampling.temperature,
        "topP": sampling.top_p,
        "stopSequences": list(sampling.stop) or None,
    }
    return {name: value for name, value in config.items() if value is not None}


def _tool_config(request: ChatRequest, called: Iterable[str]) -> dict[str, Any]:
    tools = [_tool(tool) for tool in request.tools]
    named = [_tool(Tool(name)) for name in called]
    # A chat with calls is refused without tools, so that there is no way to forbid further ones.
    if not named and (not tools or request.tool_choice == "none"):
        return {}
    if not tools:
        return {"tools": named}
    config: dict[str, Any] = {"tools": tools}
    match request.tool_choice:
        case "auto" | "none":
            pass
        case "required":
            config["toolChoice"] = {"any": {}}
        case name:
            config["toolChoice"] = {"tool": {"name": name}}
    return config


def _tool(tool: Tool) -> dict[str, Any]:
    spec: dict[str, Any] = {"name": tool.name}
    if tool.description:
        spec["description"] = tool.description
    spec["inputSchema"] = {"json": tool.parameters or {"type": "object", "properties": {}}}
    if tool.strict:
        spec["strict"] = True
    return {"toolSpec": spec}


def _text_format(request: ChatRequest) -> dict[str, Any]:
    form = request.response_format
    if form.kind != "json_schema":
        return {}
    # The schema goes as a text of its own.
    schema = {"schema": to_json(form.schema or {}).decode(), "name": form.name}
    return {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": schema}}}


def _refusals(request: ChatRequest) -> list[tuple[str, bool, str]]:
    sampling, form = request.sampling, request.response_format.kind
    continuing, effort = request.continue_final_message, request.reasoning_effort
    return [
        ("seed", sampling.seed is not None, "a seed"),
        ("top_logprobs", request.top_logprobs is not None, "top_logprobs"),
        ("temperature", (sampling.temperature or 0) > 1, "a temperature above 1"),
        ("response_format", form == "json_object", "json_object, only a JSON schema"),
        # What is continued is neither thought nor held to a schema from its first character.
        ("response_format", form == "json_schema" and continuing, "a schema for a continuation"),
        (
            "reasoning_effort",
            effort not in {None, "none"} and continuing,
            "reasoning_effort for a continuation",
        ),
    ]
