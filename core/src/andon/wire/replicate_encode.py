"""Requests in the form of Replicate's predictions, as pure functions.

Every model has input fields of its own. The three styles here are those of the language models in
Replicate's catalogue, 2026-11; see :class:`InputStyle`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from andon.chat import ChatRequest
from andon.errors import InvalidRequestError, UnsupportedParameterError
from andon.messages import ChatMessage, ImagePart, Role

#: Writes the messages of a request as its model reads them: the prompt, and what ends an answer.
Render = Callable[[ChatRequest], tuple[str, Sequence[str]]]

_NAME = r"[A-Za-z0-9_][\w.-]*"
_MODEL = re.compile(
    rf"(?P<owner>(?!deployments/){_NAME})/(?P<name>{_NAME})(:(?P<version>[0-9a-f]{{32,64}}))?",
    re.ASCII,
)
_DEPLOYMENT = re.compile(rf"deployments/(?P<owner>{_NAME})/(?P<name>{_NAME})", re.ASCII)

#: Owners whose models say in their schema that they take this style; others take a prompt.
_STYLES = {"openai": "messages", "meta": "template", "mistralai": "template"}


class InputStyle(StrEnum):
    """How a model wants its chat."""

    #: ``prompt`` rendered here, and ``prompt_template`` set so that the model adds nothing.
    TEMPLATE = "template"
    #: ``prompt`` and ``system_prompt``, which the model puts into its template: one turn only.
    PROMPT = "prompt"
    #: ``messages`` in OpenAI's form.
    MESSAGES = "messages"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicateOptions:
    """What a backend's settings say of every request.

    :param input_style: how the models want their chats; None goes by the model's owner.
    :param max_tokens_field: what the models call ``max_tokens``; None goes by the style.
    :param wait: seconds that Replicate holds a call for a whole answer, at most 60; 0 does not.
    :param poll_interval: seconds between two questions for an answer that is not there yet.
    """

    input_style: InputStyle | None = None
    max_tokens_field: str | None = None
    wait: int = 60
    poll_interval: float = 0.5


def prediction_path(model: str) -> tuple[str, str | None]:
    """Return where a model's predictions are created, and the version to name there.

    :param model: ``owner/name``, ``owner/name:version`` or ``deployments/owner/name``.
    :raises InvalidRequestError: it is none of these.
    """
    if found := _DEPLOYMENT.fullmatch(model):
        return f"/v1/deployments/{found['owner']}/{found['name']}/predictions", None
    found = _MODEL.fullmatch(model)
    if found is None:
        raise InvalidRequestError(
            "a model of Replicate is owner/name, owner/name:version or deployments/owner/name, "
            f"not {model[:200]!r}"
        )
    if found["version"]:
        return "/v1/predictions", found["version"]
    return f"/v1/models/{found['owner']}/{found['name']}/predictions", None


def style_of(model: str, options: ReplicateOptions) -> InputStyle:
    """Return how a model wants its chats."""
    if options.input_style is not None:
        return options.input_style
    return InputStyle(_STYLES.get(model.partition("/")[0], "prompt"))


def prediction_input(
    request: ChatRequest, options: ReplicateOptions, render: Render
) -> dict[str, Any]:
    """Return the input fields of a prediction; what is not set is left out.

    :param request: what is asked.
    :param options: what the settings say.
    :param render: writes messages as a prompt, where the style asks for that.
    :raises UnsupportedParameterError: the model has no field for what is asked.
    """
    style = style_of(request.model, options)
    _refuse_unsupported(request, style)
    if style is InputStyle.TEMPLATE:
        return _templated(request, options, render)
    chat = _messages(request) if style is InputStyle.MESSAGES else _single_turn(request, "image")
    return chat | _sampling(request, options, style)


def _templated(request: ChatRequest, options: ReplicateOptions, render: Render) -> dict[str, Any]:
    prompt, ends = render(request) if request.prompt is None else (request.prompt, ())
    sampling = _sampling(request, options, InputStyle.TEMPLATE, ends)
    return {"prompt": prompt, "prompt_template": "{prompt}"} | sampling


def _sampling(
    request: ChatRequest,
    options: ReplicateOptions,
    style: InputStyle,
    ends: Sequence[str] = (),
) -> dict[str, Any]:
    sampling = request.sampling
    usual = "max_completion_tokens" if style is InputStyle.MESSAGES else "max_tokens"
    # The field replaces what the model sets there itself: the ends of its template.
    stop = (*sampling.stop, *ends) if sampling.stop else ()
    values = {
        options.max_tokens_field or usual: sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "stop_sequences": ",".join(dict.fromkeys(stop)) or None,
        "seed": sampling.seed,
        "reasoning_effort": request.reasoning_effort,
    }
    return {name: value for name, value in values.items() if value is not None}


def _messages(request: ChatRequest) -> dict[str, Any]:
    if any(_images(message) for message in request.messages):
        # Messages are texts there; images have a field beside the prompt.
        return _single_turn(request, "image_input")
    messages = [{"role": one.role.value, "content": one.text} for one in request.messages]
    return {"messages": messages}


def _single_turn(request: ChatRequest, image_field: str) -> dict[str, Any]:
    system = [message.text for message in request.messages if message.role is Role.SYSTEM]
    others = [message for message in request.messages if message.role is not Role.SYSTEM]
    if len(others) != 1 or others[0].role is not Role.USER:
        raise UnsupportedParameterError(
            f"{request.model!r} takes a single question of a user and no longer chat in this form;"
            ' if it has messages or prompt_template among its inputs, set input_style = "messages"'
            ' or "template" in [endpoints.replicate]'
        )
    fields: dict[str, Any] = {"prompt": others[0].text}
    if system:
        fields["system_prompt"] = "\n\n".join(system)
    images = _images(others[0])
    if images and image_field == "image":
        if len(images) > 1:
            raise UnsupportedParameterError(f"{request.model!r} takes one image, not {len(images)}")
        return fields | {"image": images[0]}
    return fields | ({image_field: images} if images else {})


def _images(message: ChatMessage) -> list[str]:
    if isinstance(message.content, str):
        return []
    return [part.url for part in message.content if isinstance(part, ImagePart)]


def _refuse_unsupported(request: ChatRequest, style: InputStyle) -> None:
    templated = style is InputStyle.TEMPLATE
    messages = style is InputStyle.MESSAGES
    refused = {
        "tools": bool(request.tools) and request.tool_choice != "none",
        "response_format": request.response_format.kind != "text",
        "top_logprobs": request.top_logprobs is not None,
        "reasoning_effort": request.reasoning_effort is not None and not messages,
        "continue_final_message": request.continue_final_message and not templated,
        "seed": request.sampling.seed is not None and messages,
        "stop": bool(request.sampling.stop) and messages,
    }
    for name, hit in refused.items():
        if hit:
            raise UnsupportedParameterError(
                f"{request.model!r} at Replicate has no input for {name}; leave it out",
                parameter=name,
            )
    _refuse_contents(request, templated=templated)
    if any("," in text for text in request.sampling.stop):
        raise UnsupportedParameterError(
            "Replicate separates stop texts by commas, so none may hold one", parameter="stop"
        )


def _refuse_contents(request: ChatRequest, *, templated: bool) -> None:
    if request.prompt is not None and not templated:
        raise UnsupportedParameterError(
            f"{request.model!r} puts every prompt into a template of its own; if it has "
            'prompt_template among its inputs, set input_style = "template" in '
            "[endpoints.replicate]"
        )
    called = any(m.tool_calls or m.role is Role.TOOL for m in request.messages)
    if called and not templated:
        raise UnsupportedParameterError(
            f"{request.model!r} at Replicate has no input for calls of tools and their results"
        )
    if templated and any(_images(message) for message in request.messages):
        raise UnsupportedParameterError(
            f"a prompt that is rendered here has no place for images; if {request.model!r} has an "
            'input for them, set input_style = "prompt" in [endpoints.replicate]'
        )
