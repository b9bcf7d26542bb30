"""Whether a model accepts a request, found out before anything is sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from andon.chat import ChatRequest, ResponseFormat
from andon.errors import UnsupportedParameterError
from andon.messages import ImagePart
from andon.specs import ModelProfile

#: The request options that can be left out, each with what the request is without it.
_WITHOUT: Mapping[str, Callable[[ChatRequest], Mapping[str, Any]]] = {
    "max_tokens": lambda request: _sampling(request, max_tokens=None),
    "temperature": lambda request: _sampling(request, temperature=None),
    "top_p": lambda request: _sampling(request, top_p=None),
    "stop": lambda request: _sampling(request, stop=()),
    "seed": lambda request: _sampling(request, seed=None),
    "tools": lambda request: {"tools": (), "tool_choice": "auto"},
    "tool_choice": lambda request: {"tool_choice": "auto"},
    "response_format": lambda request: {"response_format": ResponseFormat()},
    "reasoning_effort": lambda request: {"reasoning_effort": None},
    "top_logprobs": lambda request: {"top_logprobs": None},
}


def check_accepted(request: ChatRequest, profile: ModelProfile) -> None:
    """Check that a model accepts a request, as far as is known.

    :param request: what is to be sent.
    :param profile: what is known of the model.
    :raises UnsupportedParameterError: it does not; says what, and since when that is known.
    """
    for parameter, what in _refused(request, profile):
        known = f" ({profile.source}, {profile.as_of})" if profile.source else ""
        advice = "leave it out" if parameter else "take another model"
        raise UnsupportedParameterError(
            f"the model {request.model!r} does not take {what}{known}; {advice}, or correct "
            f'[profiles."{request.model}"] in the settings',
            parameter=parameter,
        )


def without(request: ChatRequest, parameter: str | None) -> ChatRequest | None:
    """Return a request without one option, or None where it has none or cannot do without.

    Messages are never touched: an image or a message to continue is what the request is about.
    """
    change = _WITHOUT.get(parameter or "")
    if change is None:
        return None
    changed = replace(request, **change(request))
    return None if changed == request else changed


def _sampling(request: ChatRequest, **changes: Any) -> Mapping[str, Any]:
    return {"sampling": replace(request.sampling, **changes)}


def _refused(request: ChatRequest, profile: ModelProfile) -> Iterator[tuple[str | None, str]]:
    sampling = request.sampling
    excused = profile.sampling_without_reasoning and request.reasoning_effort == "none"
    if profile.sampling is False and not excused:
        if sampling.temperature is not None:
            yield "temperature", "temperature"
        if sampling.top_p is not None:
            yield "top_p", "top_p"
    if profile.tools is False and request.tools:
        yield "tools", "tools"
    if profile.forced_tool_choice is False and request.tool_choice not in {"auto", "none"}:
        yield "tool_choice", f"tool_choice={request.tool_choice!r}, a forced call"
    if profile.json_schema is False and request.response_format.kind == "json_schema":
        yield "response_format", "a JSON schema"
    if profile.prefill is False and request.continue_final_message:
        yield None, "continue_final_message"
    if profile.images is False and _has_images(request):
        yield None, "images"
    efforts, effort = profile.reasoning_efforts, request.reasoning_effort
    if efforts is not None and effort is not None and effort not in efforts:
        offered = f"; it takes {', '.join(efforts)}" if efforts else ""
        yield "reasoning_effort", f"reasoning_effort={effort!r}{offered}"
    limit = profile.max_output_tokens
    if limit is not None and (sampling.max_tokens or 0) > limit:
        yield "max_tokens", f"max_tokens={sampling.max_tokens}, more than its {limit}"


def _has_images(request: ChatRequest) -> bool:
    return any(
        isinstance(part, ImagePart)
        for message in request.messages
        if not isinstance(message.content, str)
        for part in message.content
    )
