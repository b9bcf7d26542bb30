"""From a request to the tokens that its model reads, and what is known of the answer in advance."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from andon.chat import ChatRequest, Tool
from andon.errors import UnsupportedParameterError, UnsupportedRoleError
from andon.messages import ImagePart
from andon.templates import ChatTemplateEngine, Rendered, Segment

#: How the formats that andon can force write a tool call.
CALL_BEGIN = "<tool_call>\n"
CALL_END = "\n</tool_call>"


@dataclass(frozen=True, slots=True)
class Prompt:
    """A request as its model reads it.

    :param tokens: ids of the rendered prompt.
    :param stop: texts that end the answer, those of the chat template included.
    :param json_schema: what the answer must be, or None where it is free.
    :param begun: the beginning of the answer, where the prompt ends with it.
    :param tool_calls: whether the answer may hold tool calls.
    :param forced_call: whether the prompt has begun a tool call, which the answer completes.
    """

    tokens: list[int]
    stop: tuple[str, ...]
    json_schema: Mapping[str, Any] | None
    begun: str
    tool_calls: bool
    forced_call: bool


class PromptBuilder:
    """Renders and tokenises requests to one model.

    :param template: how the model's chats are written; called at the first chat.
    :param tokenize: the engine's method of this name.
    :param bos_token: the text of the model's BOS, or nothing.
    """

    def __init__(
        self,
        template: Callable[[], ChatTemplateEngine],
        tokenize: Callable[[Sequence[Segment], bool], list[int]],
        bos_token: str,
    ) -> None:
        self._template = template
        self._tokenize = tokenize
        self._bos_token = bos_token

    def build(self, request: ChatRequest) -> Prompt:
        """Return the request's prompt.

        A raw prompt is the caller's own rendering, so control tokens in it are meant.

        :raises UnsupportedParameterError: the request asks for what no such model can do.
        :raises TemplateError: the chat template cannot express the messages.
        """
        check_supported(request)
        forced = tools_forced(request)
        begun = request.continue_final_message and not forced
        segments, has_bos, stop = self._segments(request)
        if forced:
            segments = (*segments, Segment(CALL_BEGIN, control=True))
        return Prompt(
            tokens=self._tokenize(segments, not has_bos),
            stop=(*request.sampling.stop, *stop),
            json_schema=call_schema(request) if forced else answer_schema(request),
            begun=request.messages[-1].text if begun else "",
            tool_calls=tools_used(request),
            forced_call=forced,
        )

    def _segments(self, request: ChatRequest) -> tuple[tuple[Segment, ...], bool, tuple[str, ...]]:
        if request.prompt is not None:
            has_bos = bool(self._bos_token) and request.prompt.startswith(self._bos_token)
            return (Segment(request.prompt, control=True),), has_bos, ()
        rendered = self._render(request)
        return rendered.segments, rendered.has_bos, rendered.stop

    def _render(self, request: ChatRequest) -> Rendered:
        template, continued = self._template(), request.continue_final_message
        if not tools_used(request):
            return template.render(request.messages, continue_final_message=continued)
        try:
            return template.render(
                request.messages, continue_final_message=continued, tools=request.tools
            )
        except UnsupportedRoleError as error:
            raise UnsupportedParameterError(
                f"{error}; leave the tools out", parameter="tools"
            ) from error


def tools_used(request: ChatRequest) -> bool:
    """Return whether the model is told of the tools."""
    return bool(request.tools) and request.tool_choice != "none"


def tools_forced(request: ChatRequest) -> bool:
    """Return whether the answer must be a tool call."""
    return bool(request.tools) and request.tool_choice not in {"none", "auto"}


def answer_schema(request: ChatRequest) -> Mapping[str, Any] | None:
    """Return the JSON schema that the answer must keep, or None."""
    form = request.response_format
    if form.kind == "text":
        return None
    return form.schema or {"type": "object"}


def call_schema(request: ChatRequest) -> Mapping[str, Any]:
    """Return the JSON schema of a forced tool call, in the way that models write them."""
    tools = [tool for tool in request.tools if request.tool_choice in {"required", tool.name}]
    schemas = [_tool_schema(tool) for tool in tools]
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}


def check_supported(request: ChatRequest) -> None:
    """Check for what no engine in this process can do.

    :raises UnsupportedParameterError: the request asks for it.
    """
    if request.reasoning_effort is not None:
        raise UnsupportedParameterError(
            "models in this process have no reasoning_effort; leave it out",
            parameter="reasoning_effort",
        )
    if request.top_logprobs is not None:
        raise UnsupportedParameterError(
            "models in this process report no log probabilities; leave top_logprobs out",
            parameter="top_logprobs",
        )
    if _images(request):
        raise UnsupportedParameterError("models in this process read text only, not images")
    if tools_used(request) and request.response_format.kind != "text":
        raise UnsupportedParameterError(
            "a model in this process cannot keep to response_format and call tools in one "
            'answer; leave one out, or pass tool_choice="none"'
        )


def _images(request: ChatRequest) -> bool:
    contents: Sequence[Any] = [message.content for message in request.messages]
    return any(
        isinstance(part, ImagePart)
        for content in contents
        if not isinstance(content, str)
        for part in content
    )


def _tool_schema(tool: Tool) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            "name": {"const": tool.name},
            "arguments": _inlined(tool.parameters) or {"type": "object"},
        },
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }


def _inlined(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a schema with its references replaced, since they lose their root inside another.

    :raises UnsupportedParameterError: a reference points nowhere, or back to itself.
    """

    def inline(value: Any, inside: tuple[str, ...]) -> Any:
        match value:
            case {"$ref": str(reference)}:
                if reference in inside:
                    raise UnsupportedParameterError(
                        f"a tool's parameters refer to themselves at {reference}; a call of such "
                        'a tool cannot be forced, use tool_choice="auto"'
                    )
                return inline(_resolve(schema, reference), (*inside, reference))
            case Mapping():
                return {k: inline(v, inside) for k, v in value.items() if k != "$defs"}
            case list():
                return [inline(item, inside) for item in value]
        return value

    inlined: Mapping[str, Any] = inline(schema, ())
    return inlined


def _resolve(schema: Mapping[str, Any], reference: str) -> Any:
    found: Any = schema
    try:
        for step in reference.removeprefix("#/").split("/"):
            found = found[step.replace("~1", "/").replace("~0", "~")]
    except (KeyError, TypeError):
        raise UnsupportedParameterError(
            f"a tool's parameters refer to {reference}, which is not among them"
        ) from None
    return found
