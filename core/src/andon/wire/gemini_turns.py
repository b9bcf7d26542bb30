"""A chat in the form of Gemini's generateContent: instructions apart, then turns of parts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from andon.errors import InvalidRequestError, UnsupportedParameterError
from andon.messages import ChatMessage, ImagePart, Role, TextPart, ToolCall
from andon.messages import Part as MessagePart
from andon.wire.gemini_replay import Part, restore
from andon.wire.json_values import object_of
from andon.wire.refusals import arguments_of

_DATA_URL = re.compile(r"data:(?P<type>[\w.+-]+/[\w.+-]+)(?:;[^,;]+)*;base64,", re.ASCII)

#: Types of images by the end of their address, which Gemini wants to be told.
_TYPES = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "heic": "image/heic",
    "heif": "image/heif",
    "gif": "image/gif",
}


class Conversation:
    """The instructions and the turns of a chat.

    Gemini wants the user and the model to take turns, so messages of one side that follow each
    other become one turn; with that, all results of parallel calls are in one turn, too.
    Instructions amid the turns join those at the top, for there is no other place.

    :param signed: whether the model demands signatures on calls of tools.
    """

    def __init__(self, *, signed: bool) -> None:
        self._signed = signed
        self._calls: dict[str, Mapping[str, Any]] = {}
        #: The parts of the instructions.
        self.system: list[Part] = []
        #: The turns.
        self.contents: list[dict[str, Any]] = []

    def add(self, message: ChatMessage) -> None:
        """Add the next message.

        :raises UnsupportedParameterError: the protocol has no place for an image.
        :raises InvalidRequestError: a tool call or its result cannot be read.
        """
        match message.role:
            case Role.SYSTEM:
                self.system += _texts(message)
            case Role.USER:
                self._extend("user", _parts(message.content))
            case Role.TOOL:
                self._extend("user", [self._result(message)])
            case Role.ASSISTANT:
                self._extend("model", self._answer(message))

    def _extend(self, role: str, parts: Sequence[Part]) -> None:
        # A turn without parts is refused, and says nothing anyway.
        if not parts:
            return
        if not self.contents or self.contents[-1]["role"] != role:
            self.contents.append({"role": role, "parts": []})
        self.contents[-1]["parts"].extend(parts)

    def _answer(self, message: ChatMessage) -> list[Part]:
        images = [_image(part) for part in message.content if isinstance(part, ImagePart)]
        calls = [_call(call) for call in message.tool_calls]
        parts = restore(message, calls, signed=self._signed)
        for call, part in zip(message.tool_calls, calls, strict=True):
            self._calls[call.id] = part["functionCall"]
        return images + parts

    def _result(self, message: ChatMessage) -> Part:
        call = self._calls.get(message.tool_call_id or "")
        if call is None and message.name is None:
            raise InvalidRequestError(
                f"a tool's message answers the call {message.tool_call_id!r}, which no message "
                "before it makes; Gemini needs the name of the tool: keep the assistant's message "
                "with its tool_calls, or set the name of the tool's message"
            )
        answer: dict[str, Any] = {"name": call["name"] if call else message.name}
        if call and "id" in call:
            answer["id"] = call["id"]
        answer["response"] = _response(message.text)
        images = [_image(part) for part in message.content if isinstance(part, ImagePart)]
        if images:
            answer["parts"] = images
        return {"functionResponse": answer}


def _parts(content: str | tuple[MessagePart, ...]) -> list[Part]:
    if isinstance(content, str):
        content = (TextPart(content),)
    return [
        _image(part) if isinstance(part, ImagePart) else {"text": part.text}
        for part in content
        if isinstance(part, ImagePart) or part.text
    ]


def _texts(message: ChatMessage) -> list[Part]:
    if any(isinstance(part, ImagePart) for part in message.content):
        raise UnsupportedParameterError(
            "Gemini takes no image among its instructions; put it into a user's message"
        )
    return _parts(message.content)


def _image(part: ImagePart) -> Part:
    found = _DATA_URL.match(part.url)
    if found is not None:
        kind = found["type"].lower().replace("image/jpg", "image/jpeg")
        return {"inlineData": {"mimeType": kind, "data": part.url[found.end() :]}}
    kind = _type_of(part.url)
    if kind is None or not part.url.startswith(("https://", "http://", "gs://")):
        raise UnsupportedParameterError(
            "Gemini takes an image as a data: URL in base64, or as an https: or gs: address that "
            f"ends with its type ({', '.join(_TYPES)}), not as {part.url[:40]!r}…"
        )
    return {"fileData": {"mimeType": kind, "fileUri": part.url}}


def _type_of(url: str) -> str | None:
    try:
        path = urlsplit(url).path
    except ValueError:
        return None
    return _TYPES.get(path.rpartition(".")[2].lower())


def _call(call: ToolCall) -> Part:
    arguments = arguments_of(call, "Gemini")
    return {"functionCall": {"name": call.name, "args": arguments}}


def _response(text: str) -> dict[str, Any]:
    # Gemini wants an object, and takes its member "output" for the result.
    found = object_of(text)
    return {"output": text} if found is None else found
