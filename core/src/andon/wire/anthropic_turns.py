"""A chat in the form of Anthropic's Messages: instructions apart, then turns of blocks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from andon.errors import UnsupportedParameterError
from andon.messages import ChatMessage, ImagePart, Part, Role, ToolCall
from andon.wire.anthropic_replay import REPLAY, text_blocks
from andon.wire.block_replay import Block
from andon.wire.refusals import answered_call, arguments_of, refuse_images

_DATA_URL = re.compile(r"data:(?P<type>[\w.+-]+/[\w.+-]+)(?:;[^,;]+)*;base64,", re.ASCII)
_IMAGES = ("image/jpeg", "image/png", "image/gif", "image/webp")


class Conversation:
    """The instructions and the turns of a chat.

    Messages of one role that follow each other become one turn, as Anthropic itself would make of
    them, and all results of tools go into one turn of the user's.

    :param later_instructions: whether the model takes instructions amid the turns. Where it does
        not, they join those at the top.
    """

    def __init__(self, later_instructions: bool) -> None:
        self._later = later_instructions
        self._waiting: list[Block] = []
        self._turns: list[tuple[str, list[Block]]] = []
        #: The instructions at the top.
        self.system: list[Block] = []

    def add(self, message: ChatMessage) -> None:
        """Add the next message.

        :raises UnsupportedParameterError: the protocol has no place for an image.
        :raises InvalidRequestError: a tool call or its result cannot be read.
        """
        match message.role:
            case Role.SYSTEM:
                amid = self._later and self._turns
                (self._waiting if amid else self.system).extend(_texts(message))
            case Role.USER:
                self._extend("user", _blocks(message.content))
            case Role.TOOL:
                self._extend("user", [_result(message)])
            case Role.ASSISTANT:
                self._settle()
                refuse_images(message, "Anthropic")
                calls = [_call(call) for call in message.tool_calls]
                self._extend("assistant", REPLAY.restore(message, calls))

    def turns(self) -> list[dict[str, Any]]:
        """Return the turns; call it once, when all messages are there."""
        self._settle()
        self.system += self._waiting
        return [{"role": role, "content": _content(role, blocks)} for role, blocks in self._turns]

    def _extend(self, role: str, blocks: Sequence[Block]) -> None:
        # A message without content is refused, and says nothing anyway.
        if not blocks:
            return
        if not self._turns or self._turns[-1][0] != role:
            self._turns.append((role, []))
        self._turns[-1][1].extend(blocks)

    def _settle(self) -> None:
        # Instructions amid the turns must stand behind a turn of the user's, and not before one.
        if self._waiting and self._turns[-1][0] == "user":
            self._turns.append(("system", self._waiting))
            self._waiting = []


def as_content(blocks: Sequence[Block]) -> str | list[Block]:
    """Return blocks in their shortest form: a single text is the text itself."""
    if len(blocks) == 1 and blocks[0].keys() == {"type", "text"}:
        return str(blocks[0]["text"])
    return list(blocks)


def _content(role: str, blocks: list[Block]) -> str | list[Block]:
    if role == "user":
        # Results of tools must come first.
        blocks = sorted(blocks, key=lambda block: block["type"] != "tool_result")
    return as_content(blocks)


def _blocks(content: str | tuple[Part, ...]) -> list[Block]:
    if isinstance(content, str):
        return text_blocks(content)
    blocks: list[Block] = []
    for part in content:
        blocks += [_image(part)] if isinstance(part, ImagePart) else text_blocks(part.text)
    return blocks


def _texts(message: ChatMessage) -> list[Block]:
    refuse_images(message, "Anthropic")
    return _blocks(message.content)


def _image(part: ImagePart) -> Block:
    if part.url.startswith(("https://", "http://")):
        return {"type": "image", "source": {"type": "url", "url": part.url}}
    found = _DATA_URL.match(part.url)
    kind = found["type"].lower().replace("image/jpg", "image/jpeg") if found else None
    if found is None or kind not in _IMAGES:
        raise UnsupportedParameterError(
            "Anthropic takes an image as an https: address or as a data: URL in base64 of one of "
            f"{', '.join(_IMAGES)}, not as {part.url[:40]!r}…"
        )
    source = {"type": "base64", "media_type": kind, "data": part.url[found.end() :]}
    return {"type": "image", "source": source}


def _result(message: ChatMessage) -> Block:
    block: Block = {"type": "tool_result", "tool_use_id": _identifier(answered_call(message))}
    blocks = _blocks(message.content)
    return {**block, "content": as_content(blocks)} if blocks else block


def _call(call: ToolCall) -> Block:
    arguments = arguments_of(call, "Anthropic")
    return {
        "type": "tool_use", "id": _identifier(call.id), "name": call.name, "input": arguments
    }  # fmt: skip


def _identifier(identifier: str) -> str:
    """Return a call's id as Anthropic takes it; other providers put dots and colons into theirs."""
    return re.sub(r"[^a-zA-Z0-9_-]", "_", identifier)
