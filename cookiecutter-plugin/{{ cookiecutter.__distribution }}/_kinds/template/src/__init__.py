"""{{ cookiecutter.summary }}."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from andon import ChatMessage, ChatTemplateSpec, Role, UnsupportedRoleError, hookimpl

NAME = "{{ cookiecutter.name }}"

#: Every text that the format reserves: a message that holds one is refused, or kept apart.
CONTROL_TOKENS = ("<|system|>", "<|user|>", "<|assistant|>", "<|end|>")


def render(messages: Sequence[ChatMessage], generation_prompt: bool) -> str:
    """Write messages as text.

    :param messages: the messages, whose contents are texts.
    :param generation_prompt: whether to open the assistant's answer.
    :raises UnsupportedRoleError: the format has no place for a role.
    """
    text = "".join(f"<|{_role(message)}|>\n{message.text}<|end|>\n" for message in messages)
    return text + "<|assistant|>\n" * generation_prompt


def _role(message: ChatMessage) -> str:
    if message.role is Role.TOOL or message.tool_calls:
        raise UnsupportedRoleError(f"the format {NAME} has no place for tools")
    return message.role.value


@hookimpl
def andon_register_chat_templates() -> Iterable[ChatTemplateSpec]:
    """Offer the format ``{{ cookiecutter.name }}``."""
    return [
        ChatTemplateSpec(
            name=NAME,
            render=render,
            control_tokens=CONTROL_TOKENS,
            stop=("<|end|>",),
            models=(f"{NAME}-*",),
        )
    ]
