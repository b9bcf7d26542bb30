"""Telling apart what a prompt has from the messages and what from the template."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from andon.errors import TemplateError
from andon.messages import ChatMessage
from andon.templates import ChatTemplateEngine

#: Characters for private use, put around the texts of messages to find them again.
_OPEN, _CLOSE = "\ue0f0", "\ue0f1"
_MARKED = re.compile(f"({_OPEN}.*?{_CLOSE})", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a prompt.

    :param text: its text.
    :param content: whether it comes from a message.
    """

    text: str
    content: bool


def split_prompt(
    engine: ChatTemplateEngine,
    messages: Sequence[ChatMessage],
    prompt: str,
    add_generation_prompt: bool,
) -> list[Part]:
    """Return the pieces of a prompt.

    A template that reads what messages say would write something else for marked ones; its prompt
    is returned in one piece.

    :param engine: what wrote the prompt.
    :param messages: the messages in it.
    :param prompt: the prompt.
    :param add_generation_prompt: whether it opens the assistant's answer.
    """
    try:
        marked = engine.render([_marked(message) for message in messages], add_generation_prompt)
    except TemplateError:
        return [Part(prompt, content=True)]
    pieces = [piece for piece in _MARKED.split(marked.text) if piece]
    parts = [Part(_unmarked(piece), piece.startswith(_OPEN)) for piece in pieces]
    if "".join(part.text for part in parts) != prompt:
        return [Part(prompt, content=True)]
    return parts


def _marked(message: ChatMessage) -> ChatMessage:
    text = message.text
    core = text.strip()
    if not core:
        return message
    # White space stays outside, where templates trim it.
    start = text.index(core)
    end = start + len(core)
    return replace(message, content=f"{text[:start]}{_OPEN}{core}{_CLOSE}{text[end:]}")


def _unmarked(text: str) -> str:
    return text.replace(_OPEN, "").replace(_CLOSE, "")
