"""A chat in the form of Bedrock's Converse: instructions apart, then turns of blocks."""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from andon.errors import InvalidRequestError, UnsupportedParameterError
from andon.messages import ChatMessage, ImagePart, Part, Role, ToolCall
from andon.wire.bedrock_replay import REPLAY, text_blocks
from andon.wire.block_replay import Block
from andon.wire.refusals import answered_call, arguments_of, refuse_images

_DATA_URL = re.compile(r"data:(?P<type>[\w.+-]+/[\w.+-]+)(?:;[^,;]+)*;base64,", re.ASCII)
_FORMATS = {
    "image/png": "png",
    "image/jpeg": "jpeg",
    "image/jpg": "jpeg",
    "image/gif": "gif",
    "image/webp": "webp",
}

#: What Bedrock lets an id of a call consist of; other providers put other characters into theirs.
_FOREIGN = re.compile(r"[^a-zA-Z0-9_.:-]")
#: Claude's own ids are narrower.
_FOREIGN_TO_CLAUDE = re.compile(r"[^a-zA-Z0-9_-]")
_LONGEST_ID = 64


class Conversation:
    """The instructions and the turns of a chat.

    Messages of one role that follow each other become one turn, for Bedrock wants turns to
    alternate, and all results of tools go into one turn of the user's. Instructions amid the
    turns join those at the beginning, which every model takes.

    :param model: the model's name.
    """

    def __init__(self, model: str) -> None:
        self._foreign = _FOREIGN_TO_CLAUDE if "claude" in model.lower() else _FOREIGN
        self._turns: list[tuple[str, list[Block]]] = []
        #: The instructions.
        self.system: list[Block] = []
        #: The names of the tools that were called, each once.
        self.called: dict[str, None] = {}

    def add(self, message: ChatMessage) -> None:
        """Add the next message.

        :raises UnsupportedParameterError: the protocol has no place for an image.
        :raises InvalidRequestError: an image, a tool call or its result cannot be read.
        """
        match message.role:
            case Role.SYSTEM:
                refuse_images(message, "Bedrock")
                self.system += _blocks(message.content)
            case Role.USER:
                self._extend("user", _blocks(message.content))
            case Role.TOOL:
                self._extend("user", [self._result(message)])
            case Role.ASSISTANT:
                refuse_images(message, "Bedrock")
                calls = [self._call(call) for call in message.tool_calls]
                self._extend("assistant", REPLAY.restore(message, calls))

    def turns(self) -> list[dict[str, Any]]:
        """Return the turns."""
        return [{"role": role, "content": _sorted(role, blocks)} for role, blocks in self._turns]

    def _extend(self, role: str, blocks: Sequence[Block]) -> None:
        # A message without content is refused, and says nothing anyway.
        if not blocks:
            return
        if not self._turns or self._turns[-1][0] != role:
            self._turns.append((role, []))
        self._turns[-1][1].extend(blocks)

    def _call(self, call: ToolCall) -> Block:
        arguments = arguments_of(call, "Bedrock")
        self.called[call.name] = None
        identifier = self._identifier(call.id)
        return {"toolUse": {"toolUseId": identifier, "name": call.name, "input": arguments}}

    def _result(self, message: ChatMessage) -> Block:
        identifier = self._identifier(answered_call(message))
        return {"toolResult": {"toolUseId": identifier, "content": _blocks(message.content)}}

    def _identifier(self, identifier: str) -> str:
        """Return a call's id as Bedrock takes it."""
        written = self._foreign.sub("_", identifier)
        if len(written) <= _LONGEST_ID:
            return written
        digest = sha256(identifier.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        return written[: _LONGEST_ID - len(digest)] + digest


def _sorted(role: str, blocks: list[Block]) -> list[Block]:
    # Results of tools must come first.
    return sorted(blocks, key=lambda block: role == "user" and "toolResult" not in block)


def _blocks(content: str | tuple[Part, ...]) -> list[Block]:
    if isinstance(content, str):
        return text_blocks(content)
    blocks: list[Block] = []
    for part in content:
        blocks += [_image(part)] if isinstance(part, ImagePart) else text_blocks(part.text)
    return blocks


def _image(part: ImagePart) -> Block:
    found = _DATA_URL.match(part.url)
    form = _FORMATS.get(found["type"].lower()) if found else None
    if found is None or form is None:
        raise UnsupportedParameterError(
            "Bedrock fetches no image: pass it as a data: URL in base64 of one of "
            f"{', '.join(_FORMATS)}, not as {part.url[:40]!r}…"
        )
    data = part.url[found.end() :]
    try:
        known = b64decode(data, validate=True)
    except (Base64Error, ValueError):
        known = b""
    if not known:
        raise InvalidRequestError("an image's data: URL holds no base64; encode its bytes again")
    return {"image": {"format": form, "source": {"bytes": data}}}
