"""What the built-in formats share: the context of a render, and checks of the order of roles."""

from __future__ import annotations

import datetime
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle
from operator import attrgetter
from typing import Any, TypeAlias

from andon.chat import Tool
from andon.errors import RoleOrderError
from andon.messages import ChatMessage, Role

#: A plain renderer, as :class:`andon.specs.ChatTemplateSpec` has it.
Renderer: TypeAlias = Callable[[Sequence[ChatMessage], bool], str]


@dataclass(frozen=True, slots=True)
class RenderContext:
    """What a prompt may depend on besides its messages.

    :param tools: functions that the model may call.
    :param today: the date that a template with a clock prints.
    """

    tools: tuple[Tool, ...] = ()
    today: datetime.date | None = None


#: The context of a render without tools, on the day of the call.
NO_CONTEXT = RenderContext()


class ContextRenderer(ABC):
    """A renderer that also reads the context; it still is a plain renderer for everybody else."""

    __slots__ = ()

    #: Whether the format has a place for tools, calls of tools and their results.
    places_tools: bool = True

    @abstractmethod
    def __call__(
        self,
        messages: Sequence[ChatMessage],
        add_generation_prompt: bool,
        context: RenderContext = NO_CONTEXT,
    ) -> str:
        """Write messages as one prompt."""


class WithContext(ContextRenderer):
    """A function of messages, generation prompt and context as a renderer.

    :param write: the function.
    :param places_tools: whether the format has a place for tools.
    """

    __slots__ = ("_write", "places_tools")

    def __init__(
        self,
        write: Callable[[Sequence[ChatMessage], bool, RenderContext], str],
        *,
        places_tools: bool = True,
    ) -> None:
        self._write = write
        self.places_tools = places_tools

    def __call__(
        self,
        messages: Sequence[ChatMessage],
        add_generation_prompt: bool,
        context: RenderContext = NO_CONTEXT,
    ) -> str:
        """Write messages as one prompt."""
        return self._write(messages, add_generation_prompt, context)


#: The text of a message whose parts the engine has joined; an attrgetter is the fastest way there.
content: Callable[[ChatMessage], str] = attrgetter("content")


def split_system(messages: Sequence[ChatMessage]) -> tuple[str | None, Sequence[ChatMessage]]:
    """Return the leading system text, or None, and the messages after it."""
    if messages[0].role is Role.SYSTEM:
        return content(messages[0]), messages[1:]
    return None, messages


def demand_alternation(turns: Sequence[ChatMessage], name: str) -> None:
    """Check that users and assistants take turns, and that a user begins.

    :raises RoleOrderError: they do not, or there are none.
    """
    if not turns:
        raise RoleOrderError(f"{name} has no place for a system message without a user's message")
    for turn, expected in zip(turns, cycle((Role.USER, Role.ASSISTANT)), strict=False):
        if turn.role is not expected:
            raise RoleOrderError(
                f"{name} demands that users and assistants alternate after an optional first "
                f"system message, but has {turn.role.value!r} where {expected.value!r} is due; "
                'normalize="merge" folds the messages'
            )


def demand_open_end(turns: Sequence[ChatMessage], add_generation_prompt: bool, name: str) -> None:
    """Check that the assistant has not just spoken where it is asked to speak.

    :raises RoleOrderError: the last message is the assistant's.
    """
    if add_generation_prompt and turns[-1].role is Role.ASSISTANT:
        raise RoleOrderError(
            f"{name} has no generation prompt after an assistant's message; end with a user's, "
            "or pass continue_final_message=True"
        )


def json_text(value: Any) -> str:
    """Return JSON as templates print it: keys in order, characters unescaped."""
    return json.dumps(value, ensure_ascii=False)


def arguments_json(arguments: str) -> str:
    """Return a call's arguments as templates print them, or unchanged where they are not JSON."""
    try:
        return json_text(json.loads(arguments))
    except ValueError:
        return arguments


def tools_json(tools: Sequence[Tool]) -> list[dict[str, Any]]:
    """Return tools as the dicts that templates print."""
    return [tool.to_openai() for tool in tools]
