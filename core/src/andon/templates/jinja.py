"""Chat templates in Jinja, as models bring them.

Authority: ``apply_chat_template`` of transformers, whose settings, functions and filters templates
are written for. A model's file is not trusted: its template runs in the worker process of
:mod:`andon.templates.sandbox`, which sees a JSON copy of the messages and nothing else.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from andon.errors import (
    RoleOrderError,
    TemplateError,
    UnsafeTemplateError,
    UnsupportedRoleError,
)
from andon.messages import ChatMessage
from andon.templates.layout import NO_CONTEXT, ContextRenderer, RenderContext, tools_json
from andon.templates.sandbox import Sandbox, require_jinja

#: No chat template in use comes near this size.
MOST_SOURCE_BYTES = 64 * 1024

_ORDER = re.compile(
    r"alternat|order|must (?:start|be|come|follow)|after|first|last|beginning", re.I
)
_ROLE = re.compile(
    r"(?:system|tool|role|function)s?\b.*(?:not |n't |un)(?:support|allow|known)", re.I
)
_ROLE_BEFORE = re.compile(r"unsupported|unknown|unexpected|only .* (?:roles?|supported)", re.I)


class JinjaTemplate(ContextRenderer):
    """A Jinja chat template, as the ``render`` of a :class:`andon.specs.ChatTemplateSpec`.

    :param source: the template, or several by name: ``default``, and ``tool_use`` for renders
        with tools.
    :param bos_token: the text of BOS, which the template may print.
    :param eos_token: the text of EOS, likewise.
    :param name: a name for error messages.
    :param variables: further variables that the template reads, such as ``enable_thinking``.
    :param sandbox: the worker to run in; None takes the one that all templates share.
    :raises ConfigurationError: jinja2 is not installed, or too old.
    :raises UnsafeTemplateError: the source is too large.
    """

    __slots__ = ("_keys", "_sandbox", "_sources", "_variables", "name")

    def __init__(
        self,
        source: str | Mapping[str, str],
        *,
        bos_token: str = "",
        eos_token: str = "",
        name: str = "jinja",
        variables: Mapping[str, Any] | None = None,
        sandbox: Sandbox | None = None,
    ) -> None:
        require_jinja()
        sources = {"default": source} if isinstance(source, str) else dict(source)
        if not sources:
            raise TemplateError("there is no chat template")
        for text in sources.values():
            if len(text.encode("utf-8", "surrogatepass")) > MOST_SOURCE_BYTES:
                raise UnsafeTemplateError("the chat template is larger than 64 KiB")
        self.name = name
        self._sources = sources
        self._keys = {kind: _digest(text) for kind, text in sources.items()}
        self._variables = {
            "bos_token": bos_token,
            "eos_token": eos_token,
            **(variables or {}),
        }
        self._sandbox = sandbox

    def __call__(
        self,
        messages: Sequence[ChatMessage],
        add_generation_prompt: bool,
        context: RenderContext = NO_CONTEXT,
    ) -> str:
        """Write messages as one prompt.

        :raises TemplateError: the template refuses the messages, or is not valid Jinja.
        :raises UnsafeTemplateError: it tried what it may not, or took more than its share.
        """
        variables = self._variables_of(messages, add_generation_prompt, context)
        answer = self._ask(variables, context)
        if answer.get("error") == "failed" and any(m.tool_calls for m in messages):
            # Some templates want the arguments of calls as text, and add it to another.
            variables["messages"] = [message.to_openai() for message in messages]
            second = self._ask(variables, context)
            answer = second if "text" in second else answer
        if "text" in answer:
            return str(answer["text"])
        raise self._error(answer["error"], answer["message"])

    def _ask(self, variables: dict[str, Any], context: RenderContext) -> dict[str, Any]:
        kind = self._kind(context)
        sandbox = self._sandbox or shared_sandbox()
        now = _noon(context.today)
        return sandbox.ask(self._keys[kind], self._sources[kind], variables, now)

    def mentions(self, text: str) -> bool:
        """Return whether a text stands in the template's source."""
        return any(text in source for source in self._sources.values())

    def _kind(self, context: RenderContext) -> str:
        if context.tools and "tool_use" in self._sources:
            return "tool_use"
        return "default" if "default" in self._sources else next(iter(self._sources))

    def _variables_of(
        self,
        messages: Sequence[ChatMessage],
        add_generation_prompt: bool,
        context: RenderContext,
    ) -> dict[str, Any]:
        return {
            **self._variables,
            "messages": [_message(message) for message in messages],
            "add_generation_prompt": add_generation_prompt,
            # Templates tell "no tools" from an empty list, and expect the former.
            "tools": tools_json(context.tools) or None,
            "documents": None,
        }

    def _error(self, kind: str, message: str) -> TemplateError:
        text = f"{self.name}: {message}"
        if kind == "unsafe":
            return UnsafeTemplateError(text)
        if kind != "refused":
            return TemplateError(f"{self.name} is not a working chat template: {message}")
        if _ROLE.search(message) or _ROLE_BEFORE.search(message):
            return UnsupportedRoleError(text)
        return RoleOrderError(text) if _ORDER.search(message) else TemplateError(text)


@lru_cache(maxsize=1)
def shared_sandbox() -> Sandbox:
    """Return the worker that templates share; it starts at its first render."""
    return Sandbox()


def _digest(source: str) -> str:
    return hashlib.sha256(source.encode("utf-8", "surrogatepass")).hexdigest()


def _noon(today: datetime.date | None) -> str:
    # One reading of the clock for the whole render, at an hour that no time zone moves.
    day = today or datetime.date.today()
    return datetime.datetime(day.year, day.month, day.day, 12).isoformat()


def _message(message: ChatMessage) -> dict[str, Any]:
    """Return a message as templates expect it: OpenAI's dict, but with arguments as an object."""
    written = message.to_openai()
    written["content"] = message.content
    for call in written.get("tool_calls", ()):
        function = call["function"]
        try:
            function["arguments"] = json.loads(function["arguments"])
        except ValueError:
            continue
    return written
