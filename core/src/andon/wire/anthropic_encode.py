"""Requests in the form of Anthropic's Messages, as pure functions."""

from __future__ import annotations

import re
from typing import Any

from andon.chat import ChatRequest, Tool
from andon.errors import UnsupportedParameterError
from andon.specs import ModelProfile
from andon.wire.anthropic_turns import Conversation, as_content
from andon.wire.refusals import refuse_parameters, refuse_raw_prompt, refuse_unmeant_end

#: The version that Anthropic's SDK sends since its 2.0. It has no temperature and no top_p.
LATEST = "2026-10-21"

#: The version before, which keeps them for the models that have them.
WITH_SAMPLING = "2023-06-01"

#: Most tokens of an answer where neither the caller nor the model's profile says: Anthropic
#: demands a number, and every model takes this one.
DEFAULT_MAX_TOKENS = 4_096

_EFFORTS = ("low", "medium", "high", "xhigh", "max")

#: Claude 4.5 and older think up to a number of tokens that they are told; later models decide for
#: themselves (platform.claude.com, Troubleshooting thinking, 2026-10). The numbers are ours.
_BUDGETED = re.compile(r"claude-(?:opus|sonnet|haiku)-4-(?:[0-5](?!\d)|2\d{7})")
_BUDGETS = {"low": 2_048, "medium": 8_192, "high": 24_576}
_LEAST_BUDGET = 1_024

#: Models that take instructions amid the turns: from Opus 4.8 on, and all of Claude 5
#: (platform.claude.com, Mid-conversation system messages, 2026-10).
_LATER_INSTRUCTIONS = re.compile(r"claude-[a-z]+-(?:4-[89]|[5-9])(?!\d)")


def version_for(request: ChatRequest) -> str:
    """Return the version of the API that can say what is asked."""
    sampling = request.sampling
    plain = sampling.temperature is None and sampling.top_p is None
    return LATEST if plain else WITH_SAMPLING


def message_body(request: ChatRequest, profile: ModelProfile) -> dict[str, Any]:
    """Return the body of a call of ``/v1/messages``; what is not set is left out.

    :raises UnsupportedParameterError: the protocol cannot say what is asked.
    """
    refuse_raw_prompt(request, "Anthropic")
    refuse_parameters(_refusals(request), "Anthropic")
    limit = request.sampling.max_tokens or profile.max_output_tokens or DEFAULT_MAX_TOKENS
    body = {"model": request.model, "max_tokens": limit, **_prompt(request, limit)}
    sampling = request.sampling
    if sampling.stop:
        body["stop_sequences"] = list(sampling.stop)
    if sampling.temperature is not None:
        body["temperature"] = sampling.temperature
    if sampling.top_p is not None:
        body["top_p"] = sampling.top_p
    if request.stream:
        body["stream"] = True
    return body


def count_body(request: ChatRequest, profile: ModelProfile) -> dict[str, Any]:
    """Return the body of a call of ``/v1/messages/count_tokens``: what makes up the prompt.

    :raises UnsupportedParameterError: the protocol cannot say what is asked.
    """
    refuse_raw_prompt(request, "Anthropic")
    limit = request.sampling.max_tokens or profile.max_output_tokens or DEFAULT_MAX_TOKENS
    return {"model": request.model, **_prompt(request, limit)}


def _prompt(request: ChatRequest, limit: int) -> dict[str, Any]:
    conversation = Conversation(_LATER_INSTRUCTIONS.search(request.model.lower()) is not None)
    for message in request.messages:
        conversation.add(message)
    turns = conversation.turns()
    _check_turns(request, turns)
    prompt: dict[str, Any] = {"messages": turns}
    if conversation.system:
        prompt["system"] = as_content(conversation.system)
    return prompt | _tools(request) | _thinking(request, limit) | _output_config(request)


def _check_turns(request: ChatRequest, turns: list[dict[str, Any]]) -> None:
    if not turns:
        raise UnsupportedParameterError(
            "Anthropic needs a message besides the instructions; add what the user says"
        )
    last = request.messages[-1]
    if turns[-1]["role"] == "assistant":
        refuse_unmeant_end(request, "Anthropic")
    if request.continue_final_message and (last.tool_calls or last.text != last.text.rstrip()):
        raise UnsupportedParameterError(
            "Anthropic continues no message that ends with white space or a tool call; strip it",
            parameter="continue_final_message",
        )


def _tools(request: ChatRequest) -> dict[str, Any]:
    # A choice without tools is an error, and "auto" is what is done by default.
    if not request.tools:
        return {}
    tools: dict[str, Any] = {"tools": [_tool(tool) for tool in request.tools]}
    match request.tool_choice:
        case "auto":
            pass
        case "none":
            tools["tool_choice"] = {"type": "none"}
        case "required":
            tools["tool_choice"] = {"type": "any"}
        case name:
            tools["tool_choice"] = {"type": "tool", "name": name}
    return tools


def _tool(tool: Tool) -> dict[str, Any]:
    described = {"description": tool.description} if tool.description else {}
    schema = tool.parameters or {"type": "object", "properties": {}}
    return {"name": tool.name, **described, "input_schema": schema}


def _thinking(request: ChatRequest, limit: int) -> dict[str, Any]:
    effort = request.reasoning_effort
    if effort is None:
        return {}
    if effort == "none":
        return {"thinking": {"type": "disabled"}}
    if _BUDGETED.search(request.model.lower()):
        budget = _budget(effort, limit)
        return {"thinking": {"type": "enabled", "budget_tokens": budget}}
    # From 4.7 on thoughts come back empty unless they are asked for.
    return {"thinking": {"type": "adaptive", "display": "summarized"}}


def _budget(effort: str, limit: int) -> int:
    # Half of the answer is left for what is no thought.
    budget = min(_BUDGETS.get(effort, 0), limit // 2)
    if budget >= _LEAST_BUDGET:
        return budget
    raise UnsupportedParameterError(
        f"Claude 4.5 and older take reasoning_effort {', '.join(_BUDGETS)} or none, together with "
        f"max_tokens of at least {2 * _LEAST_BUDGET}, not {effort!r} with {limit}",
        parameter="reasoning_effort",
    )


def _output_config(request: ChatRequest) -> dict[str, Any]:
    config: dict[str, Any] = {}
    effort = request.reasoning_effort
    if effort not in {None, "none"} and not _BUDGETED.search(request.model.lower()):
        config["effort"] = effort
    if request.response_format.kind == "json_schema":
        config["format"] = {"type": "json_schema", "schema": request.response_format.schema or {}}
    return {"output_config": config} if config else {}


def _refusals(request: ChatRequest) -> list[tuple[str, bool, str]]:
    sampling, effort = request.sampling, request.reasoning_effort
    form, continuing = request.response_format.kind, request.continue_final_message
    efforts = f"reasoning_effort {effort!r}, only {', '.join(_EFFORTS)} or none"
    return [
        ("seed", sampling.seed is not None, "a seed"),
        ("top_logprobs", request.top_logprobs is not None, "top_logprobs"),
        ("temperature", (sampling.temperature or 0) > 1, "a temperature above 1"),
        ("stop", not all(map(str.strip, sampling.stop)), "a stop text that is only white space"),
        ("response_format", form == "json_object", "json_object, only a JSON schema"),
        # What is continued is neither thought nor held to a schema from its first character.
        ("response_format", form == "json_schema" and continuing, "a schema for a continuation"),
        ("reasoning_effort", effort not in {None, "none", *_EFFORTS}, efforts),
        (
            "reasoning_effort",
            effort not in {None, "none"} and continuing,
            "reasoning_effort for a continuation",
        ),
    ]
