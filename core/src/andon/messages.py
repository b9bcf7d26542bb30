"""What travels to a model: chat messages, their parts and tool calls.

The values are frozen. OpenAI-style dicts, which everyone has, are read with
:func:`as_messages` and written with :meth:`ChatMessage.to_openai`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

from andon.errors import InvalidRequestError


class Role(StrEnum):
    """Who speaks."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


@dataclass(frozen=True, slots=True)
class TextPart:
    """A piece of text.

    :param text: the text itself.
    """

    text: str


@dataclass(frozen=True, slots=True)
class ImagePart:
    """An image, by address or by value.

    :param url: ``https:`` address, or a ``data:`` URL that holds the image itself.
    :param detail: ``"low"``, ``"high"`` or ``"auto"``, where the provider distinguishes them.
    """

    url: str
    detail: str | None = None


Part: TypeAlias = TextPart | ImagePart


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call of a tool that the model asks for.

    :param id: the call's id, which the tool's answer repeats.
    :param name: the tool's name.
    :param arguments: the arguments as JSON text, exactly as the model wrote them.
    """

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ProviderState:
    """What a provider wants back unchanged when its answer becomes part of the chat.

    Signed thoughts, for example. Other providers never see it, and OpenAI-style dicts have no
    place for it: keep the :class:`ChatMessage` itself.

    :param dialect: name of the protocol that wrote it and may read it.
    :param data: its JSON text.
    """

    dialect: str
    data: str


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message of a chat.

    :param role: who speaks.
    :param content: the text, or its parts where it is more than text.
    :param name: name of the speaker, where several share a role.
    :param tool_calls: the calls that an assistant asks for.
    :param tool_call_id: the call that a tool's message answers.
    :param reasoning: the thoughts that came with an assistant's answer.
    :param provider_state: what its provider wants back with it, unchanged.
    """

    role: Role
    content: str | tuple[Part, ...] = ""
    name: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    reasoning: str | None = None
    provider_state: tuple[ProviderState, ...] = ()

    @classmethod
    def system(cls, content: str) -> ChatMessage:
        """Return an instruction to the model."""
        return cls(Role.SYSTEM, content)

    @classmethod
    def user(cls, content: str | Sequence[Part]) -> ChatMessage:
        """Return what a user says."""
        return cls(Role.USER, content if isinstance(content, str) else tuple(content))

    @classmethod
    def assistant(cls, content: str = "", tool_calls: Sequence[ToolCall] = ()) -> ChatMessage:
        """Return what the model said."""
        return cls(Role.ASSISTANT, content, tool_calls=tuple(tool_calls))

    @classmethod
    def tool(cls, content: str, tool_call_id: str) -> ChatMessage:
        """Return the answer of a tool to the call ``tool_call_id``."""
        return cls(Role.TOOL, content, tool_call_id=tool_call_id)

    @property
    def text(self) -> str:
        """The text of all parts, joined."""
        if isinstance(self.content, str):
            return self.content
        return "".join(part.text for part in self.content if isinstance(part, TextPart))

    def to_openai(self) -> dict[str, Any]:
        """Return the message as an OpenAI-style dict."""
        message: dict[str, Any] = {"role": self.role.value, "content": _content_to_openai(self)}
        if self.name is not None:
            message["name"] = self.name
        if self.tool_calls:
            message["tool_calls"] = [_call_to_openai(call) for call in self.tool_calls]
        if self.tool_call_id is not None:
            message["tool_call_id"] = self.tool_call_id
        if self.reasoning is not None:
            message["reasoning_content"] = self.reasoning
        return message

    @classmethod
    def from_openai(cls, message: Mapping[str, Any]) -> ChatMessage:
        """Read an OpenAI-style dict.

        :raises InvalidRequestError: a field is missing, unknown or of the wrong kind.
        """
        unknown = set(message) - _FIELDS
        if unknown:
            raise InvalidRequestError(
                f"a message has no field {_names(unknown)}; it may have {_names(_FIELDS)}"
            )
        return cls(
            role=_read_role(message.get("role")),
            content=_read_content(message.get("content")),
            name=message.get("name"),
            tool_calls=tuple(_read_call(call) for call in message.get("tool_calls") or ()),
            tool_call_id=message.get("tool_call_id"),
            reasoning=message.get("reasoning_content"),
        )


#: What every entry point takes as messages: one text, or messages in either form.
Messages: TypeAlias = str | Sequence[ChatMessage | Mapping[str, Any]]

#: OpenAI renamed its system role for reasoning models; both mean the same to everybody else.
_ROLES = {**{role.value: role for role in Role}, "developer": Role.SYSTEM}

_FIELDS = {"role", "content", "name", "tool_calls", "tool_call_id", "reasoning_content"}


def as_messages(messages: Messages) -> tuple[ChatMessage, ...]:
    """Return messages in andon's own form.

    :param messages: one user's text, or a sequence of :class:`ChatMessage` and OpenAI-style
        dicts, mixed as you like.
    :raises InvalidRequestError: there is no message, or one cannot be read.
    """
    if isinstance(messages, str):
        return (ChatMessage.user(messages),)
    if isinstance(messages, ChatMessage | Mapping):
        raise InvalidRequestError("messages must be a text or a list; put the message into a list")
    read = tuple([_read_message(message) for message in messages])
    if not read:
        raise InvalidRequestError("there is no message; give at least one")
    return read


def _read_message(message: ChatMessage | Mapping[str, Any]) -> ChatMessage:
    if isinstance(message, ChatMessage):
        return message
    if isinstance(message, Mapping):
        return ChatMessage.from_openai(message)
    raise InvalidRequestError(
        f"a message must be a ChatMessage or a dict with role and content, not {message!r:.80}"
    )


def _read_role(role: Any) -> Role:
    found = _ROLES.get(role) if isinstance(role, str) else None
    if found is None:
        raise InvalidRequestError(
            f"unknown role {role!r}; a role is one of {_names(r.value for r in Role)}"
        )
    return found


def _read_content(content: Any) -> str | tuple[Part, ...]:
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, Sequence):
        return tuple(_read_part(part) for part in content)
    raise InvalidRequestError(f"content must be a text or a list of parts, not {content!r:.80}")


def _read_part(part: Any) -> Part:
    if isinstance(part, TextPart | ImagePart):
        return part
    match part:
        case {"type": "text", "text": str(text)}:
            return TextPart(text)
        case {"type": "image_url", "image_url": {"url": str(url)}}:
            return ImagePart(url, part["image_url"].get("detail"))
        case {"type": "image_url", "image_url": str(url)}:
            return ImagePart(url)
    raise InvalidRequestError(f"a part must be of type text or image_url, not {part!r:.80}")


def _read_call(call: Any) -> ToolCall:
    if isinstance(call, ToolCall):
        return call
    match call:
        case {"function": {"name": str(name), "arguments": str(arguments)}}:
            return ToolCall(call.get("id") or "", name, arguments)
    raise InvalidRequestError(
        f"a tool call must be a dict with id and function (name, arguments as JSON text), "
        f"not {call!r:.80}"
    )


def _content_to_openai(message: ChatMessage) -> str | list[dict[str, Any]] | None:
    if isinstance(message.content, str):
        return None if message.tool_calls and not message.content else message.content
    return [_part_to_openai(part) for part in message.content]


def _part_to_openai(part: Part) -> dict[str, Any]:
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.text}
    image: dict[str, Any] = {"url": part.url}
    if part.detail is not None:
        image["detail"] = part.detail
    return {"type": "image_url", "image_url": image}


def _call_to_openai(call: ToolCall) -> dict[str, Any]:
    return {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments},
    }


def _names(names: Any) -> str:
    return ", ".join(repr(name) for name in sorted(names))
