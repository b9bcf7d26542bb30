"""OpenAI's Chat Completions from the server's side: requests read, answers written. Pure.

For programs that speak this protocol and are to be answered by andon. Source of the shapes: the
OpenAPI document of OpenAI's API, as the openai SDK's types have it (3.54, 2026-10).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from andon.chat import ChatDelta, ChatResponse, TokenLogprob, ToolCallDelta, Usage
from andon.errors import (
    AndonError,
    AuthenticationError,
    BackendError,
    BudgetError,
    ConfigurationError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    PrivacyViolation,
    PromptTooLongError,
    RateLimitError,
    Rejected,
    RequestTimeout,
    UnknownBackendError,
    UnknownModelError,
    UnsupportedParameterError,
)

#: What goes on as it is: OpenAI's name is andon's.
_SAME = ("temperature", "top_p", "stop", "seed", "tools", "response_format", "reasoning_effort")

#: Values that ask for nothing, of what andon has no option for.
_HARMLESS: Mapping[str, tuple[Any, ...]] = {
    "n": (None, 1),
    "frequency_penalty": (None, 0),
    "presence_penalty": (None, 0),
    "logit_bias": (None, {}),
    "store": (None, False),
    "parallel_tool_calls": (None, True),
    "service_tier": (None, "auto", "default"),
    "modalities": (None, ["text"]),
    "logprobs": (None, True, False),
    "stream_options": (),
    "metadata": (),
    "user": (),
    "safety_identifier": (),
    "prompt_cache_key": (),
}

#: The first that an error belongs to gives its status, and OpenAI's word for its type.
_STATUSES: tuple[tuple[type[AndonError], int, str], ...] = (
    (PromptTooLongError, 400, "invalid_request_error"),
    (InvalidRequestError, 400, "invalid_request_error"),
    (UnknownBackendError, 404, "invalid_request_error"),
    (UnknownModelError, 404, "invalid_request_error"),
    (ConfigurationError, 400, "invalid_request_error"),
    (PrivacyViolation, 403, "permission_error"),
    (BudgetError, 429, "insufficient_quota"),
    (Rejected, 429, "rate_limit_error"),
    (AuthenticationError, 401, "authentication_error"),
    (PermissionDeniedError, 403, "permission_error"),
    (NotFoundError, 404, "invalid_request_error"),
    (RateLimitError, 429, "rate_limit_error"),
    (RequestTimeout, 504, "timeout"),
)


@dataclass(frozen=True, slots=True)
class ChatCall:
    """A request as it came.

    :param model: ``backend:model``, or the name of a route.
    :param messages: the chat, as OpenAI-style dicts.
    :param options: keyword arguments for :meth:`andon.Client.chat`.
    :param stream: whether the answer is wanted in pieces.
    :param include_usage: whether a stream ends with its usage.
    """

    model: str
    messages: Sequence[Mapping[str, Any]]
    options: Mapping[str, Any] = field(default_factory=dict)
    stream: bool = False
    include_usage: bool = False


def read_call(body: bytes | str | Mapping[str, Any]) -> ChatCall:
    """Read a request.

    :param body: the JSON text of the request's body, or what it says.
    :raises InvalidRequestError: it is no such request.
    :raises UnsupportedParameterError: it asks for what andon has no option for.
    """
    call = body if isinstance(body, Mapping) else _parsed(body)
    model, messages = call.get("model"), call.get("messages")
    if not isinstance(model, str) or not model:
        raise InvalidRequestError("'model' must be a text like 'backend:model'")
    if not isinstance(messages, list) or not messages:
        raise InvalidRequestError("'messages' must be a list with at least one message")
    options = {name: call[name] for name in _SAME if call.get(name) is not None}
    limit = call.get("max_completion_tokens") or call.get("max_tokens")
    if limit is not None:
        options["max_tokens"] = limit
    if call.get("tool_choice") is not None:
        options["tool_choice"] = _tool_choice(call["tool_choice"])
    if call.get("logprobs"):
        options["top_logprobs"] = call.get("top_logprobs") or 0
    labels = _labels(call)
    if labels:
        options["labels"] = labels
    _refuse_others(call)
    stream_options = call.get("stream_options") or {}
    return ChatCall(
        model,
        messages,
        options,
        bool(call.get("stream")),
        isinstance(stream_options, Mapping) and bool(stream_options.get("include_usage")),
    )


def completion(response: ChatResponse, *, created: int) -> dict[str, Any]:
    """Return a whole answer as a ``chat.completion``.

    What OpenAI has no place for stands under ``andon``: who answered, what it cost, every attempt.

    :param response: the answer.
    :param created: seconds since 1970.
    """
    message: dict[str, Any] = {"role": "assistant", "content": response.text or None}
    message["refusal"] = None
    if response.message.reasoning:
        message["reasoning_content"] = response.message.reasoning
    if response.tool_calls:
        message["tool_calls"] = [
            _call(call.id, call.name, call.arguments) for call in response.tool_calls
        ]
    choice = {
        "index": 0,
        "message": message,
        "finish_reason": response.finish_reason.value,
        "logprobs": _logprobs(response.logprobs),
    }
    return {
        "id": _id(response.request_id),
        "object": "chat.completion",
        "created": created,
        "model": f"{response.backend}:{response.model}",
        "choices": [choice],
        "usage": usage(response.usage),
        "andon": {
            "backend": response.backend,
            "cost_usd": str(response.cost_usd),
            "attempts": [
                {
                    "backend": attempt.backend,
                    "model": attempt.model,
                    "error": None if attempt.error is None else str(attempt.error),
                    "cost_usd": str(attempt.cost_usd),
                }
                for attempt in response.attempts
            ],
        },
    }


class ChunkWriter:
    """Writes the pieces of one answer.

    :param model: the model's name for the caller.
    :param created: seconds since 1970.
    :param id: the answer's id.
    """

    def __init__(self, model: str, *, created: int, id: str) -> None:  # noqa: A002
        self._base = {"id": id, "object": "chat.completion.chunk", "created": created}
        self._base["model"] = model
        self._first = True

    def write(self, delta: ChatDelta) -> dict[str, Any] | None:
        """Return a piece as a ``chat.completion.chunk``, or None where it says nothing to OpenAI.

        :param delta: the piece.
        """
        content: dict[str, Any] = {}
        if delta.text:
            content["content"] = delta.text
        if delta.reasoning:
            content["reasoning_content"] = delta.reasoning
        if delta.tool_calls:
            content["tool_calls"] = [_call_piece(piece) for piece in delta.tool_calls]
        if not content and delta.finish_reason is None:
            return None
        if self._first:
            content = {"role": "assistant", "content": "", **content}
            self._first = False
        choice: dict[str, Any] = {"index": 0, "delta": content, "finish_reason": None}
        if delta.finish_reason is not None:
            choice["finish_reason"] = delta.finish_reason.value
        if delta.logprobs:
            choice["logprobs"] = _logprobs(delta.logprobs)
        return {**self._base, "choices": [choice]}

    def usage(self, used: Usage) -> dict[str, Any]:
        """Return the last chunk, which has the usage and no choice.

        :param used: tokens of the whole answer.
        """
        return {**self._base, "choices": [], "usage": usage(used)}


def usage(used: Usage) -> dict[str, Any]:
    """Return usage as OpenAI writes it.

    :param used: tokens of the answer.
    """
    return {
        "prompt_tokens": used.input_tokens,
        "completion_tokens": used.output_tokens,
        "total_tokens": used.total_tokens,
        "prompt_tokens_details": {"cached_tokens": used.cached_input_tokens},
        "completion_tokens_details": {"reasoning_tokens": used.reasoning_tokens},
    }


def event(value: Mapping[str, Any] | None) -> bytes:
    """Return a server-sent event; None is the end of the stream.

    :param value: what it says.
    """
    text = "[DONE]" if value is None else json.dumps(value, ensure_ascii=False)
    return f"data: {text}\n\n".encode("utf-8", "surrogatepass")


def error_reply(error: AndonError) -> tuple[int, dict[str, str], dict[str, Any]]:
    """Return status, headers and body that tell of an error as OpenAI does.

    :param error: what happened.
    """
    found = ((status, kind) for of, status, kind in _STATUSES if isinstance(error, of))
    status, kind = next(found, (502, "server_error"))
    code = error.code if isinstance(error, BackendError) else None
    wait = getattr(error, "retry_after", None)
    headers = {} if wait is None else {"retry-after": f"{wait:g}"}
    parameter = error.parameter if isinstance(error, UnsupportedParameterError) else None
    return (
        status,
        headers,
        {
            "error": {
                "message": str(error),
                "type": kind,
                "param": parameter,
                "code": code or type(error).__name__,
            }
        },
    )


def _parsed(body: bytes | str) -> Mapping[str, Any]:
    try:
        call = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidRequestError(f"the request is no JSON: {error}") from error
    if not isinstance(call, Mapping):
        raise InvalidRequestError("the request must be a JSON object")
    return call


def _tool_choice(choice: Any) -> str:
    match choice:
        case str():
            return choice
        case {"type": "function", "function": {"name": str(name)}}:
            return name
    raise InvalidRequestError(f"'tool_choice' {choice!r:.80} is none that andon knows")


def _labels(call: Mapping[str, Any]) -> dict[str, str]:
    """Return who asks, for budgets that go by it."""
    metadata = call.get("metadata") or {}
    if not isinstance(metadata, Mapping):
        raise InvalidRequestError("'metadata' must be an object of texts")
    labels = {str(name): str(value) for name, value in metadata.items()}
    who = call.get("safety_identifier") or call.get("user")
    return {**labels, "user": str(who)} if who else labels


_KNOWN = {
    *_SAME,
    *_HARMLESS,
    *("model", "messages", "stream", "tool_choice", "top_logprobs"),
    *("max_tokens", "max_completion_tokens"),
}


def _refuse_others(call: Mapping[str, Any]) -> None:
    for name, value in call.items():
        allowed = _HARMLESS.get(name, ())
        if name in _KNOWN and (not allowed or value in allowed):
            continue
        if value is None:
            continue
        raise UnsupportedParameterError(
            f"andon has no option for {name!r} = {value!r:.60}; leave it out", parameter=name
        )


def _call(id: str, name: str, arguments: str) -> dict[str, Any]:  # noqa: A002
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def _call_piece(piece: ToolCallDelta) -> dict[str, Any]:
    call: dict[str, Any] = {"index": piece.index, "function": {"arguments": piece.arguments}}
    if piece.id or piece.name:
        call["id"], call["type"] = piece.id, "function"
        call["function"]["name"] = piece.name
    return call


def _logprobs(logprobs: Sequence[TokenLogprob]) -> dict[str, Any] | None:
    if not logprobs:
        return None
    return {
        "content": [
            {
                **_logprob(entry.token, entry.logprob),
                "top_logprobs": [_logprob(token, logprob) for token, logprob in entry.top],
            }
            for entry in logprobs
        ],
        "refusal": None,
    }


def _logprob(token: str, logprob: float) -> dict[str, Any]:
    return {"token": token, "logprob": logprob, "bytes": list(token.encode("utf-8", "replace"))}


def _id(request_id: str | None) -> str:
    return request_id or "chatcmpl-andon"
