"""Keeping what messages hold apart from what the template writes.

Before the render, every control token that a message holds, and every end of a message that could
complete to one, is replaced by a placeholder of letters and digits that occur in no message.
After it, the prompt is cut at the placeholders, whose pieces get their text back. A chat without
such texts stays one piece, so that its tokens are those of the prompt as one text.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from andon.chat import Tool
from andon.errors import ControlTokenError, TemplateError
from andon.messages import ChatMessage, Role, ToolCall
from andon.templates.rendered import Segment

#: Marks of structure that an assistant's own text may hold: they are its thoughts and calls, and
#: templates look for them.
_ASSISTANT_MARKS = frozenset({"<think>", "</think>", "<tool_call>", "</tool_call>"})


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Control tokens, prepared for the search in texts.

    :param tokens: the control tokens.
    :param gate: texts without which none can hold a token, or the beginning or end of one.
    """

    tokens: tuple[str, ...]
    gate: tuple[str, ...]
    _any: re.Pattern[str] | None
    _assistant: re.Pattern[str] | None
    _beginnings: tuple[str, ...]
    _endings: tuple[str, ...]

    def find(self, text: str) -> Iterable[re.Match[str]]:
        """Return the control tokens in a text."""
        return self._any.finditer(text) if self._any else ()

    def apart(self, text: str, role: Role, keep: Callable[[str], str]) -> str:
        """Return a text with all that could be read as control replaced.

        :param text: what a message holds.
        :param role: whose message it is.
        :param keep: takes what is replaced, returns its placeholder.
        """
        pattern = self._assistant if role is Role.ASSISTANT else self._any
        if pattern is None or not any(mark in text for mark in self.gate):
            return text
        text = pattern.sub(lambda match: keep(match[0]), text)
        return self._edges(text, keep)

    def _edges(self, text: str, keep: Callable[[str], str]) -> str:
        # A template may trim, so the edges that count are those of the trimmed text.
        end = len(text.rstrip())
        if text.endswith(self._beginnings, 0, end):
            size = max(len(b) for b in self._beginnings if text.endswith(b, 0, end))
            text = text[: end - size] + keep(text[end - size : end]) + text[end:]
        start = len(text) - len(text.lstrip())
        if text.startswith(self._endings, start):
            size = max(len(e) for e in self._endings if text.startswith(e, start))
            text = text[:start] + keep(text[start : start + size]) + text[start + size :]
        return text


@lru_cache(maxsize=256)
def vocabulary(tokens: tuple[str, ...]) -> Vocabulary:
    """Return control tokens, prepared."""
    tokens = tuple(dict.fromkeys(token for token in tokens if token))
    # An ending of one character alone, as in "> quoted", is too common to be set apart, and no
    # template leaves a token one character short. The same holds for endings of words.
    marks = [token for token in tokens if not token[-1].isalnum()]
    endings = {token[at:] for token in marks for at in range(1, len(token) - 1)}
    beginnings = {token[:at] for token in tokens for at in range(1, len(token))}
    return Vocabulary(
        tokens=tokens,
        gate=tuple({token[0] for token in tokens} | {token[-2:] for token in marks}),
        _any=_pattern(tokens),
        _assistant=_pattern(token for token in tokens if token not in _ASSISTANT_MARKS),
        _beginnings=tuple(beginnings),
        _endings=tuple(endings),
    )


def _pattern(tokens: Iterable[str]) -> re.Pattern[str] | None:
    """Return a pattern for the longest token at a place.

    It branches by character: with a vocabulary's thousands of tokens side by side, every ``<`` of
    a text would be compared with all of them.
    """
    tree: dict[str, Any] = {}
    for token in tokens:
        node = tree
        for character in token:
            node = node.setdefault(character, {})
        node[""] = {}
    return re.compile(_branches(tree)) if tree else None


def _branches(node: dict[str, Any]) -> str:
    written = [re.escape(mark) + _branches(rest) for mark, rest in node.items() if mark]
    if not written:
        return ""
    group = written[0] if len(written) == 1 else f"(?:{'|'.join(written)})"
    return f"(?:{group})?" if "" in node else group


@dataclass(slots=True)
class Guard:
    """The placeholders of one render.

    :param vocabulary: the control tokens to keep apart.
    :param nonce: letters and digits that occur in no message.
    """

    vocabulary: Vocabulary
    nonce: str
    _kept: list[str] = field(default_factory=list)

    def keep(self, text: str) -> str:
        """Return a placeholder for a text."""
        self._kept.append(text)
        return f"{self.nonce}{len(self._kept) - 1}e"

    def message(self, message: ChatMessage) -> ChatMessage:
        """Return a message with placeholders."""
        apart = self.vocabulary.apart
        role = message.role
        text = apart(str(message.content), role, self.keep)
        if role is Role.TOOL and text == message.content:
            # A template may read the JSON, which can spell a token in escapes.
            text = self._json(text)
        call_id = message.tool_call_id
        return replace(
            message,
            content=text,
            name=message.name and apart(message.name, Role.USER, self.keep),
            tool_calls=tuple(map(self._call, message.tool_calls)),
            tool_call_id=call_id and apart(call_id, Role.USER, self.keep),
            reasoning=message.reasoning and apart(message.reasoning, role, self.keep),
        )

    def tool(self, tool: Tool) -> Tool:
        """Return a tool with placeholders."""
        name, description, parameters = self._value([tool.name, tool.description, tool.parameters])
        return Tool(name, description, parameters)

    def _call(self, call: ToolCall) -> ToolCall:
        call_id, name = self._value([call.id, call.name])
        return ToolCall(call_id, name, self._json(call.arguments))

    def _json(self, text: str) -> str:
        before = len(self._kept)
        try:
            guarded = self._value(json.loads(text))
        except (ValueError, RecursionError):
            return self.vocabulary.apart(text, Role.USER, self.keep)
        # The text stays as the model wrote it unless something had to be replaced.
        return text if len(self._kept) == before else json.dumps(guarded, ensure_ascii=False)

    def _value(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.vocabulary.apart(value, Role.USER, self.keep)
        if isinstance(value, dict):
            return {self._value(key): self._value(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._value(item) for item in value]
        return value

    def segments(self, text: str) -> tuple[Segment, ...]:
        """Cut a prompt at its placeholders.

        :raises TemplateError: the template cut a placeholder to pieces.
        """
        if not self._kept:
            return (Segment(text, control=True),) if text else ()
        pieces = re.split(f"{self.nonce}([0-9]+)e", text)
        written = []
        for index, piece in enumerate(pieces):
            if index % 2:
                written.append(Segment(self._original(piece), control=False))
            elif self.nonce in piece:
                raise TemplateError("the template cuts messages, so control tokens cannot be kept")
            elif piece:
                written.append(Segment(piece, control=True))
        return tuple(written)

    def _original(self, index: str) -> str:
        if len(index) > 9 or int(index) >= len(self._kept):
            raise TemplateError("the template writes what looks like a placeholder of andon's")
        return self._kept[int(index)]


def unused(texts: Sequence[str]) -> str:
    """Return letters and digits that occur in none of the texts, and that none could foresee."""
    while True:
        nonce = f"zq{os.urandom(8).hex()}x"
        if not any(nonce in text for text in texts):
            return nonce


def refuse_control_tokens(segments: Sequence[Segment], vocabulary: Vocabulary) -> None:
    """Check that a prompt as one text holds no control token that a message brought.

    :raises ControlTokenError: it holds one.
    """
    if all(segment.control for segment in segments):
        return
    text = "".join(segment.text for segment in segments)
    brought = _places(segments)
    for match in vocabulary.find(text):
        if any(start < match.end() and match.start() < end for start, end in brought):
            raise ControlTokenError(
                f"a message holds {match[0]!r}, which the model would read as a control token; "
                "render() keeps it apart, and control_tokens='verbatim' leaves it as it is"
            )


def _places(segments: Sequence[Segment]) -> list[tuple[int, int]]:
    places, at = [], 0
    for segment in segments:
        if not segment.control:
            places.append((at, at + len(segment.text)))
        at += len(segment.text)
    return places
