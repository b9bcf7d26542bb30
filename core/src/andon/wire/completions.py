"""Chats at an OpenAI-style ``/completions``: the prompt is rendered here. Pure functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from andon.chat import ChatRequest
from andon.specs import BackendContext, ModelProfile
from andon.wire.answer_text import reading_text
from andon.wire.dialect import HTTPCall, HTTPReply, Query
from andon.wire.openai_chat import OpenAIChat
from andon.wire.openai_encode import UNKNOWN
from andon.wire.openai_errors import explain
from andon.wire.openai_quirks import OPENAI, Quirks
from andon.wire.problems import json_of
from andon.wire.prompt_rendering import PromptRenderer, as_raw, calls_in_text


class Completions(OpenAIChat):
    """The dialect: chats become raw prompts, and tool calls are read out of the answer's text.

    :param renderer: writes the prompts.
    :param quirks: what the server does in its own way.
    :param headers: further headers of every call, names in lower case.
    :param resumable: whether the server, a llama-server, is to keep streams.
    """

    def __init__(
        self,
        renderer: PromptRenderer,
        quirks: Quirks = OPENAI,
        headers: Mapping[str, str] = MappingProxyType({}),
        *,
        resumable: bool = False,
    ) -> None:
        super().__init__(quirks, headers, resumable=resumable)
        self._renderer = renderer

    def encode(self, request: ChatRequest, profile: ModelProfile = UNKNOWN) -> HTTPCall:
        """Return the call that asks for an answer.

        :raises UnsupportedParameterError: the server or the template cannot do what is asked.
        :raises TemplateError: the chat template cannot express the messages.
        :raises SettingsError: nobody knows the model's chat template.
        """
        if request.prompt is not None:
            return super().encode(request, profile)
        prompt = self._renderer.render(request)
        own_bos = bool(prompt.bos) and self._quirks.raw_special_tokens
        extra = dict(self._quirks.extra)
        if own_bos:
            extra["add_special_tokens"] = False
        if request.sampling.max_tokens is None:
            # Left out, it would be 16 at several servers.
            extra["max_tokens"] = None
        plain = OpenAIChat(replace(self._quirks, extra=extra), self._headers)
        call = plain.encode(as_raw(request, prompt, with_bos=own_bos), profile)
        return self._kept(request, reading_text(call, self, calls=calls_in_text(request)))

    def count_tokens(
        self, request: ChatRequest, profile: ModelProfile = UNKNOWN
    ) -> Query[int] | None:
        """Return how to ask for the tokens of a request's prompt, or None where one cannot."""
        return super().count_tokens(self._renderer.to_raw(request), profile)


def completions_dialect(
    quirks: Quirks = OPENAI,
    headers: Callable[[BackendContext], Mapping[str, str]] = lambda context: {},
) -> Callable[[BackendContext], Completions]:
    """Return what makes the dialect for a backend.

    :param quirks: what the server does in its own way.
    :param headers: finds further headers of every call in the backend's settings.
    """
    return lambda context: Completions(
        PromptRenderer.from_context(context), quirks, headers(context)
    )


def read_reply(reply: HTTPReply) -> Any:
    """Return the JSON of a reply that is no error.

    :raises BackendError: it is one, or no JSON.
    """
    body = json_of(reply)
    if isinstance(body, dict) and body.get("error"):
        raise explain(reply)
    return body
