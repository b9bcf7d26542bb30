"""{{ cookiecutter.summary }}."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from andon import (
    BackendContext,
    BackendSpec,
    ChatMessage,
    ChatTemplateSpec,
    Locality,
    ModelCard,
    Role,
    UnsupportedRoleError,
    hookimpl,
)

if TYPE_CHECKING:
    from andon.backends import Backend

NAME = "{{ cookiecutter.name }}"
SUMMARY = "{{ cookiecutter.summary }}"

#: The model that comes along.
MODEL = f"{NAME}-model"
#: The context window in tokens.
CONTEXT_WINDOW = 1024
#: What its format reserves.
CONTROL_TOKENS = ("<|system|>", "<|user|>", "<|assistant|>", "<|end|>")


def model_path() -> Path:
    """Return where the model that comes along lies."""
    return Path(str(files(__name__) / "model.txt"))


@hookimpl
def andon_register_backends() -> Iterable[BackendSpec]:
    """Offer the backend ``{{ cookiecutter.name }}``."""
    return [
        BackendSpec(
            name=NAME,
            create=_create,
            locality=Locality.IN_PROCESS,
            summary=SUMMARY,
            models=(MODEL,),
        )
    ]


@hookimpl
def andon_register_model_cards() -> Iterable[ModelCard]:
    """Offer the model that comes along."""
    return [
        ModelCard(
            name=MODEL,
            backends=(NAME,),
            context_window=CONTEXT_WINDOW,
            file=model_path,
        )
    ]


@hookimpl
def andon_register_chat_templates() -> Iterable[ChatTemplateSpec]:
    """Offer the format of the model that comes along, whose file brings none."""
    return [
        ChatTemplateSpec(
            name=NAME,
            render=render,
            control_tokens=CONTROL_TOKENS,
            stop=("<|end|>",),
            models=(MODEL,),
        )
    ]


def render(messages: Sequence[ChatMessage], generation_prompt: bool) -> str:
    """Write messages as text.

    :raises UnsupportedRoleError: a message calls tools, or is a tool's.
    """
    if any(message.tool_calls or message.role is Role.TOOL for message in messages):
        raise UnsupportedRoleError(f"the format {NAME} has no place for tools")
    text = "".join(f"<|{message.role.value}|>{message.text}<|end|>" for message in messages)
    return text + "<|assistant|>" * generation_prompt


def _create(context: BackendContext) -> Backend:
    # Imported here: who only lists backends need not wait for an engine.
    from andon.backends.in_process import InProcessBackend

    from {{ cookiecutter.__package }}.engine import load

    return InProcessBackend(NAME, load, context)
