"""A request, the pieces of an answer, and the answer.

All are frozen records. Requests are made by :class:`andon.Client`; a backend reads a
:class:`ChatRequest` and gives :class:`ChatDelta` after :class:`ChatDelta`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any, Literal

from andon.errors import AndonError, InvalidRequestError
from andon.messages import ChatMessage, ProviderState, Role, ToolCall


class FinishReason(StrEnum):
    """Why an answer ended."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the model may ask to call.

    :param name: the function's name.
    :param description: what it does, for the model to read.
    :param parameters: its arguments, as a JSON schema of an object.
    :param strict: whether the arguments must keep to the schema, where a provider can see to it.
    """

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    strict: bool = False

    @classmethod
    def from_openai(cls, tool: Tool | Mapping[str, Any]) -> Tool:
        """Read a tool, given as a :class:`Tool` or as an OpenAI-style dict.

        :raises InvalidRequestError: it is neither.
        """
        if isinstance(tool, Tool):
            return tool
        match tool:
            case {"type": "function", "function": {"name": str(name)}}:
                function = tool["function"]
                parameters = function.get("parameters") or {}
                strict = function.get("strict") is True
                return cls(name, function.get("description") or "", parameters, strict)
        raise InvalidRequestError(
            "a tool must be an andon.Tool or a dict like "
            f'{{"type": "function", "function": {{"name": …}}}}, not {tool!r:.80}'
        )

    def to_openai(self) -> dict[str, Any]:
        """Return the tool as an OpenAI-style dict."""
        function: dict[str, Any] = {
            "name": self.name,
            "description": self.description,
            "parameters": dict(self.parameters) or {"type": "object", "properties": {}},
        }
        if self.strict:
            function["strict"] = True
        return {"type": "function", "function": function}


@dataclass(frozen=True, slots=True)
class ResponseFormat:
    """What form the answer must have.

    :param kind: ``"text"``, ``"json_object"`` (any JSON object) or ``"json_schema"``.
    :param schema: the JSON schema, for ``"json_schema"``.
    :param name: a name for the schema, which some providers demand.
    :param strict: whether the provider must enforce the schema, where it can choose.
    """

    kind: Literal["text", "json_object", "json_schema"] = "text"
    schema: Mapping[str, Any] | None = None
    name: str = "answer"
    strict: bool = True

    @classmethod
    def from_openai(cls, value: ResponseFormat | Mapping[str, Any] | None) -> ResponseFormat:
        """Read a response format: None, a :class:`ResponseFormat`, OpenAI's dict, or a bare schema.

        :raises InvalidRequestError: it is none of these.
        """
        match value:
            case None:
                return _ANY_TEXT
            case ResponseFormat():
                return value
            case {"type": "text" | "json_object" as kind}:
                return cls(kind)
            case {"type": "json_schema", "json_schema": {"schema": Mapping() as schema}}:
                given = value["json_schema"]
                name = given.get("name") or "answer"
                return cls("json_schema", schema, name, given.get("strict", True))
            case Mapping() if "type" in value or "$ref" in value or "anyOf" in value:
                return cls("json_schema", value)
        raise InvalidRequestError(
            "response_format must be a JSON schema, {'type': 'json_object'}, or "
            f"{{'type': 'json_schema', 'json_schema': {{'schema': …}}}}, not {value!r:.80}"
        )


_ANY_TEXT = ResponseFormat()


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen, and when to stop. None leaves it to the backend.

    :param max_tokens: most tokens that the answer may have.
    :param temperature: 0 always takes the most likely token.
    :param top_p: take from the smallest set of tokens whose probabilities add up to this.
    :param stop: texts at which the answer ends; they are not part of it.
    :param seed: makes the choice repeatable, where the backend can.
    """

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None

    def __post_init__(self) -> None:
        _check_range("max_tokens", self.max_tokens, 1, None)
        _check_range("temperature", self.temperature, 0, None)
        _check_range("top_p", self.top_p, 0, 1)
        if not all(self.stop):
            raise InvalidRequestError("a stop text must not be empty")


def _check_range(name: str, value: float | None, least: float, most: float | None) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidRequestError(f"{name} must be a number, not {value!r}")
    # Written so that NaN, which compares false with everything, is refused as well.
    if not (value >= least and (most is None or value <= most)):
        bounds = f"at least {least}" if most is None else f"from {least} to {most}"
        raise InvalidRequestError(f"{name} must be {bounds}, not {value}")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for a backend, in seconds; None is "as its own settings say".

    :param first_token: until the first token.
    :param stall: between two tokens; signs of life without one do not count.
    :param retries: how often the backend may ask again before the first token.
    """

    first_token: float | None = None
    stall: float | None = None
    retries: int | None = None


#: As the backend's own settings say.
USUAL_PATIENCE = Patience()


#: Choices of a tool that name none.
_CHOICES = frozenset({"auto", "none", "required"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """One request to one model. Either ``messages`` or ``prompt`` is set.

    :param model: the model's name at the backend, without the backend's own name.
    :param messages: the chat so far.
    :param prompt: a raw text to complete, sent as it stands, without a chat template.
    :param sampling: how to choose tokens and when to stop.
    :param tools: functions that the model may ask to call.
    :param tool_choice: ``"auto"``, ``"none"``, ``"required"``, or the name of one tool.
    :param response_format: the form that the answer must have.
    :param reasoning_effort: ``"low"``, ``"medium"`` or ``"high"``, for models that reason.
    :param continue_final_message: the answer continues the last message, an assistant's.
    :param stream: whether the caller wants the answer in pieces.
    :param top_logprobs: how many alternatives to report for each token of the answer, beside its
        own log probability; None reports nothing.
    :param patience: how long to wait for what.
    """

    model: str
    messages: tuple[ChatMessage, ...] = ()
    prompt: str | None = None
    sampling: Sampling = Sampling()
    tools: tuple[Tool, ...] = ()
    tool_choice: str = "auto"
    response_format: ResponseFormat = _ANY_TEXT
    reasoning_effort: str | None = None
    continue_final_message: bool = False
    stream: bool = False
    top_logprobs: int | None = None
    patience: Patience = USUAL_PATIENCE

    def __post_init__(self) -> None:
        _check_range("top_logprobs", self.top_logprobs, 0, None)
        if bool(self.messages) == (self.prompt is not None):
            raise InvalidRequestError("a request has either messages or a prompt")
        if self.tool_choice not in _CHOICES:
            names = sorted({tool.name for tool in self.tools})
            if self.tool_choice not in names:
                raise InvalidRequestError(
                    f"tool_choice {self.tool_choice!r} is none of the tools {names}"
                )
        last = self.messages[-1].role if self.messages else None
        if self.continue_final_message and last is not Role.ASSISTANT:
            raise InvalidRequestError("only a last message of the assistant can be continued")

    def with_sampling(self, sampling: Sampling) -> ChatRequest:
        """Return the request with another way to choose tokens.

        :param sampling: how to choose tokens and when to stop.
        """
        # Nothing else changes, so nothing is to be checked again: half the time of replace().
        changed = object.__new__(ChatRequest)
        for name in ChatRequest.__slots__:
            object.__setattr__(changed, name, getattr(self, name))
        object.__setattr__(changed, "sampling", sampling)
        return changed


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that a request used. Parts are contained in their wholes.

    :param input_tokens: all tokens of the prompt, cached ones included.
    :param output_tokens: all tokens of the answer, reasoning included.
    :param cached_input_tokens: tokens of the prompt that were read from a cache.
    :param cache_write_tokens: tokens of the prompt that were written to a cache.
    :param reasoning_tokens: tokens of the answer that were spent on reasoning.
    :param estimated: whether the numbers are an estimate of ours and not the backend's own.
    :param image_input_tokens: tokens of the prompt that stand for images, where they are told.
    :param audio_input_tokens: tokens of the prompt that stand for sound.
    :param image_output_tokens: tokens of the answer that stand for images.
    :param audio_output_tokens: tokens of the answer that stand for sound.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    estimated: bool = False
    image_input_tokens: int = 0
    audio_input_tokens: int = 0
    image_output_tokens: int = 0
    audio_output_tokens: int = 0

    @property
    def is_plain(self) -> bool:
        """Whether all tokens are of the two usual classes, and none cost a rate of their own."""
        return not (
            self.cached_input_tokens
            or self.cache_write_tokens
            or self.reasoning_tokens
            or self.image_input_tokens
            or self.audio_input_tokens
            or self.image_output_tokens
            or self.audio_output_tokens
        )

    @property
    def total_tokens(self) -> int:
        """Tokens of prompt and answer together."""
        return self.input_tokens + self.output_tokens


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """A piece of a tool call; pieces with one index belong together.

    :param index: which call of the answer this belongs to, from 0.
    :param id: the call's id, in its first piece.
    :param name: the tool's name, in its first piece.
    :param arguments: the next characters of the arguments' JSON text.
    """

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """How likely a token of the answer was.

    :param token: the token's text.
    :param logprob: the natural logarithm of its probability.
    :param top: the likeliest tokens in its place, each with its logarithm, likeliest first.
    """

    token: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Failover:
    """An answer broke off, and another backend goes on with it.

    :param from_backend: who had answered so far.
    :param from_model: the model's name there.
    :param backend: who goes on.
    :param model: the model's name there.
    :param mode: ``"continue"`` where it goes on with the delivered text, ``"replay"`` where it
        answered anew and what was delivered came again.
    :param delivered: characters of the text that had been delivered.
    :param reason: why the answer broke off.
    """

    from_backend: str
    from_model: str
    backend: str
    model: str
    mode: str
    delivered: int
    reason: str


@dataclass(frozen=True, slots=True)
class ChatDelta:
    """The next piece of an answer.

    :param text: the next characters of the text.
    :param reasoning: the next characters of the model's thoughts.
    :param tool_calls: the next pieces of tool calls.
    :param finish_reason: why the answer ended, in its last piece.
    :param raw_finish_reason: the same in the backend's own word.
    :param usage: tokens used, in the last piece.
    :param model: the model's name as the backend reports it.
    :param request_id: the provider's id of the request.
    :param logprobs: how likely the tokens of this piece were, where that was asked for.
    :param provider_state: what the provider wants back unchanged with this answer.
    :param failover: from here on, another backend goes on with the answer.
    """

    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCallDelta, ...] = ()
    finish_reason: FinishReason | None = None
    raw_finish_reason: str | None = None
    usage: Usage | None = None
    model: str | None = None
    request_id: str | None = None
    logprobs: tuple[TokenLogprob, ...] = ()
    provider_state: tuple[ProviderState, ...] = ()
    failover: Failover | None = None


@dataclass(frozen=True, slots=True)
class Reconnected(ChatDelta):
    """No piece of an answer: its connection broke, and its rest comes over another one.

    A backend gives it before the next piece. The corridor tells observers of it, and hands it to
    no caller.

    :param reason: why the connection broke.
    :param seconds: how long nothing came.
    :param tries: how many connections were tried.
    """

    reason: str = ""
    seconds: float = 0.0
    tries: int = 1


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of one backend for a request.

    :param backend: name of the backend.
    :param model: name of the model there.
    :param error: why it failed, or None where it answered.
    :param usage: tokens that it used, as far as is known.
    :param cost_usd: what it cost, in US dollars; a broken answer may cost as well.
    """

    backend: str
    model: str
    error: AndonError | None = None
    usage: Usage = Usage()
    cost_usd: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatResponse:
    """A whole answer.

    :param message: the assistant's message, which can be appended to the chat as it is.
    :param finish_reason: why the answer ended.
    :param usage: tokens used.
    :param cost_usd: what it cost, in US dollars, exact.
    :param backend: name of the backend that answered.
    :param model: name of the model that answered.
    :param attempts: every attempt made, in order; the last one answered.
    :param raw_finish_reason: why the answer ended, in the backend's own word.
    :param request_id: the provider's id of the request.
    :param logprobs: how likely the tokens of the answer were, where that was asked for.
    """

    message: ChatMessage
    finish_reason: FinishReason
    usage: Usage
    cost_usd: Decimal
    backend: str
    model: str
    attempts: tuple[Attempt, ...] = ()
    raw_finish_reason: str | None = None
    request_id: str | None = None
    logprobs: tuple[TokenLogprob, ...] = ()

    @property
    def text(self) -> str:
        """The answer's text."""
        return self.message.text

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The tool calls that the model asks for."""
        return self.message.tool_calls
