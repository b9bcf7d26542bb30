"""Reading a call's arguments: every mistake in them is found here, before any work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypedDict

from andon.chat import ChatRequest, ResponseFormat, Sampling, Tool
from andon.context import TruncationStrategy
from andon.errors import ConfigurationError, InvalidRequestError, SettingsError
from andon.failover import FailoverMode, FailoverPolicy
from andon.messages import Messages, as_messages
from andon.selection import ModelRef
from andon.settings import RouteSettings

#: What every entry point takes as a model: one name, or several in order of preference.
Models = str | Sequence[str]


class RequestOptions(TypedDict, total=False):
    """Keyword arguments of every request.

    :param max_tokens: most tokens that the answer may have.
    :param temperature: 0 always takes the most likely token.
    :param top_p: take from the smallest set of tokens whose probabilities add up to this.
    :param stop: a text, or several, at which the answer ends.
    :param seed: makes the choice repeatable.
    :param tools: functions that the model may ask to call, as :class:`andon.Tool` or OpenAI-style
        dicts.
    :param tool_choice: ``"auto"``, ``"none"``, ``"required"``, or one tool's name.
    :param response_format: a JSON schema, or OpenAI's dict.
    :param reasoning_effort: ``"low"``, ``"medium"`` or ``"high"``.
    :param continue_final_message: the answer continues the last message, an assistant's.
    :param top_logprobs: report how likely each token of the answer was, and so many alternatives
        to it.
    :param drop_unsupported: leave out what the model does not take, with an event, instead of
        refusing the request.
    :param labels: who asks, as ``{"user": "ada"}``, for budgets that go by it.
    :param truncation: ``"sliding_window"`` or ``"middle_out"`` leaves out what does not fit the
        context window, ``"error"`` refuses it.
    :param failover: what becomes of an answer that breaks off: ``"continue"`` goes on where it
        broke, ``"hold"`` hands nothing over before it is complete, ``"stop"`` ends it.
    :param first_token_timeout: seconds until the first token, after which somebody else is asked.
    :param stall_timeout: seconds between two tokens, after which somebody else is asked.
    :param hedge_after: seconds without a first token after which the next model is asked beside.
    :param priority: higher goes first where requests wait.
    :param timeout: seconds until the whole answer must be there.
    """

    max_tokens: int | None
    temperature: float | None
    top_p: float | None
    stop: str | Sequence[str] | None
    seed: int | None
    tools: Sequence[Tool | Mapping[str, Any]]
    tool_choice: str
    response_format: ResponseFormat | Mapping[str, Any] | None
    reasoning_effort: str | None
    continue_final_message: bool
    top_logprobs: int | None
    drop_unsupported: bool
    labels: Mapping[str, str]
    truncation: TruncationStrategy | str
    failover: FailoverMode | str
    first_token_timeout: float | None
    stall_timeout: float | None
    hedge_after: float | None
    priority: int
    timeout: float | None


_OPTIONS = frozenset(RequestOptions.__annotations__)
_SAMPLING = frozenset({"max_tokens", "temperature", "top_p", "stop", "seed"})
_FAILOVER = frozenset({"failover", "first_token_timeout", "stall_timeout", "hedge_after"})
_USUAL_SAMPLING = Sampling()


def read_models(
    models: Models, routes: Mapping[str, RouteSettings] | None = None
) -> tuple[ModelRef, ...]:
    """Return the models that are named, in order of preference, each once.

    :param models: ``backend:model``, the name of a route, or several of these.
    :param routes: the settings' routes, by name.
    :raises ConfigurationError: a name is neither.
    """
    if isinstance(models, str) and not routes:
        return (ModelRef.parse(models),)
    names = (models,) if isinstance(models, str) else tuple(models)
    if not names:
        raise InvalidRequestError("no model is named; name one as backend:model")
    routes = routes or {}
    found: list[ModelRef] = []
    for name in names:
        route = routes.get(name)
        if route is None and routes and ":" not in name:
            known = ", ".join(sorted(routes))
            raise ConfigurationError(
                f"{name!r} is neither a model, as in backend:model, nor a route; there are {known}"
            )
        found += [ModelRef.parse(model) for model in ((name,) if route is None else route.models)]
    return tuple(dict.fromkeys(found))


def find_policy(
    models: Models, routes: Mapping[str, RouteSettings], default: FailoverPolicy
) -> FailoverPolicy:
    """Return the policy of the route that is named, or the default.

    :param models: what is named as the model.
    :param routes: the settings' routes, by name.
    :param default: what holds without a route.
    """
    return routes.get(models, default) if isinstance(models, str) else default


def read_request(
    model: str,
    messages: Messages | None,
    prompt: str | None,
    stream: bool,
    options: RequestOptions,
) -> ChatRequest:
    """Return the request that a call asks for.

    :param model: the model's name at its backend.
    :param messages: the chat, or None where a prompt is given.
    :param prompt: a raw prompt, or None where messages are given.
    :param stream: whether the caller wants the answer in pieces.
    :param options: the call's keyword arguments.
    :raises InvalidRequestError: one of them has a wrong value.
    :raises TypeError: one of them is unknown.
    """
    unknown = options.keys() - _OPTIONS
    if unknown:
        known = ", ".join(sorted(_OPTIONS))
        raise TypeError(f"unknown options {sorted(unknown)}; the options are {known}")
    return ChatRequest(
        model=model,
        messages=() if messages is None else as_messages(messages),
        prompt=prompt,
        sampling=_read_sampling(options),
        tools=tuple([Tool.from_openai(tool) for tool in options.get("tools") or ()]),
        tool_choice=options.get("tool_choice") or "auto",
        response_format=ResponseFormat.from_openai(options.get("response_format")),
        reasoning_effort=options.get("reasoning_effort"),
        continue_final_message=options.get("continue_final_message", False),
        stream=stream,
        top_logprobs=options.get("top_logprobs"),
    )


def _read_sampling(options: RequestOptions) -> Sampling:
    if options.keys().isdisjoint(_SAMPLING):
        return _USUAL_SAMPLING
    stop = options.get("stop") or ()
    return Sampling(
        max_tokens=options.get("max_tokens"),
        temperature=options.get("temperature"),
        top_p=options.get("top_p"),
        stop=(stop,) if isinstance(stop, str) else tuple(stop),
        seed=options.get("seed"),
    )


def read_truncation(options: RequestOptions, default: TruncationStrategy) -> TruncationStrategy:
    """Return what may be left out of a chat that is too long.

    :param options: the call's keyword arguments.
    :param default: what the settings say.
    :raises InvalidRequestError: there is no such strategy.
    """
    given = options.get("truncation")
    try:
        return default if given is None else TruncationStrategy(given)
    except ValueError:
        known = ", ".join(TruncationStrategy)
        raise InvalidRequestError(f"truncation must be one of {known}, not {given!r}") from None


def read_failover(options: RequestOptions, default: FailoverPolicy) -> FailoverPolicy:
    """Return how hard to try.

    :param options: the call's keyword arguments.
    :param default: what the route or the settings say.
    :raises InvalidRequestError: a value is wrong.
    """
    if options.keys().isdisjoint(_FAILOVER):
        return default
    given: dict[str, Any] = {
        name: value
        for name in ("first_token_timeout", "stall_timeout", "hedge_after")
        if (value := options.get(name)) is not None
    }
    mode = options.get("failover")
    if mode is None and not given:
        return default
    try:
        if mode is not None:
            given["mode"] = FailoverMode(mode)
        return replace(default, **given)
    except (SettingsError, ValueError) as error:
        known = ", ".join(FailoverMode)
        wrong_mode = f"failover must be one of {known}, not {mode!r}"
        problem = str(error) if isinstance(error, SettingsError) else wrong_mode
        raise InvalidRequestError(problem) from None
