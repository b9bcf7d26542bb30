"""Exact token counts for OpenAI's models, by tiktoken, never from the network unasked."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from andon.hookspecs import hookimpl
from andon.specs import CommandSpec, TokenizerSpec

if TYPE_CHECKING:
    from andon.chat import Tool
    from andon.tokens import Tokenizer

#: Which models use which encoding (tiktoken 0.14, ``tiktoken/model.py``). Newer families are left
#: out until somebody has said what they use.
MODELS = {
    "o200k_base": (
        "gpt-4o*",
        "gpt-4.1*",
        "gpt-4.5*",
        "gpt-5*",
        "o1*",
        "o3*",
        "o4-*",
        "chatgpt-4o*",
    ),
    "o200k_harmony": ("gpt-oss-*", "gpt-oss:*"),
    "cl100k_base": ("gpt-4", "gpt-4-*", "gpt-3.5*", "gpt-35-*"),
}


@hookimpl
def andon_register_tokenizers() -> Iterable[TokenizerSpec]:
    """Offer the encodings of OpenAI's chat models."""
    return [
        TokenizerSpec(
            name=f"tiktoken {name}",
            create=partial(_create, name),
            models=models,
            exact=True,
            count_tools=partial(_count_tools, name),
        )
        for name, models in MODELS.items()
    ]


@hookimpl
def andon_register_commands() -> Iterable[CommandSpec]:
    """Offer ``andon tokenizers``."""
    return [CommandSpec(name="tokenizers", summary="Fetch and list rank files.", run=_run)]


def _create(name: str) -> Tokenizer:
    from andon_tiktoken.encodings import load
    from andon_tiktoken.rank_files import folder

    return load(name, folder(os.environ))


def _count_tools(name: str, tools: Sequence[Tool], text: Callable[[str], int]) -> int | None:
    from andon_tiktoken.tools import FUNCTION, count

    frame = FUNCTION.get(name)
    return None if frame is None else count(frame, tools, text)


def _run(arguments: Sequence[str]) -> int:
    from andon_tiktoken.command import run

    return run(arguments)
