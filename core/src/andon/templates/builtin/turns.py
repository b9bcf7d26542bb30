"""Formats whose turns are opened and closed by control tokens of their own.

Authorities: the chat templates that Google (Gemma), Microsoft (Phi), Hugging Face (Zephyr),
Stability (StableLM Zephyr) and Cohere (Command R) publish with their models.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from andon.errors import UnsupportedRoleError
from andon.messages import ChatMessage, Role
from andon.templates.layout import content, demand_alternation, split_system

GEMMA_CONTROL_TOKENS = ("<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>", "<start_of_image>")
PHI3_CONTROL_TOKENS = (
    "<s>",
    "</s>",
    "<|endoftext|>",
    "<|system|>",
    "<|user|>",
    "<|assistant|>",
    "<|end|>",
)
PHI4_CONTROL_TOKENS = ("<|im_start|>", "<|im_sep|>", "<|im_end|>", "<|endoftext|>")
PHI4_MINI_CONTROL_TOKENS = (*PHI3_CONTROL_TOKENS[2:], "<|tool|>", "<|/tool|>", "<|tool_call|>")
ZEPHYR_CONTROL_TOKENS = ("<s>", "</s>", "<|system|>", "<|user|>", "<|assistant|>")
STABLELM_CONTROL_TOKENS = ("<|endoftext|>", "<|system|>", "<|user|>", "<|assistant|>")
COMMAND_R_CONTROL_TOKENS = (
    "<BOS_TOKEN>",
    "<EOS_TOKEN>",
    "<|START_OF_TURN_TOKEN|>",
    "<|END_OF_TURN_TOKEN|>",
    "<|SYSTEM_TOKEN|>",
    "<|USER_TOKEN|>",
    "<|CHATBOT_TOKEN|>",
)

_PHI3_OPEN = {role: f"<|{role.value}|>\n" for role in Role}
_PHI4_OPEN = {role: f"<|im_start|>{role.value}<|im_sep|>" for role in Role}
_GEMMA_OPEN = {
    Role.USER: "<start_of_turn>user\n",
    Role.ASSISTANT: "<start_of_turn>model\n",
}
_COMMAND_R_OPEN = {
    Role.SYSTEM: "<|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|>",
    Role.USER: "<|START_OF_TURN_TOKEN|><|USER_TOKEN|>",
    Role.ASSISTANT: "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>",
}
_COMMAND_R_END = "<|END_OF_TURN_TOKEN|>"


def gemma(messages: Sequence[ChatMessage], add_generation_prompt: bool) -> str:
    """Write Gemma 1 and 2, which refuse a system message."""
    system, turns = split_system(messages)
    if system is not None:
        raise UnsupportedRoleError(
            'Gemma 1 and 2 have no system message; normalize="merge" puts it into the first user\'s'
        )
    return _gemma("", turns, add_generation_prompt)


def gemma3(messages: Sequence[ChatMessage], add_generation_prompt: bool) -> str:
    """Write Gemma 3, which puts a system message into the first user's turn."""
    system, turns = split_system(messages)
    return _gemma("" if system is None else f"{system}\n\n", turns, add_generation_prompt)


def _gemma(before: str, turns: Sequence[ChatMessage], add_generation_prompt: bool) -> str:
    demand_alternation(turns, "Gemma")
    written = ["<bos>"]
    for turn in turns:
        text = content(turn).strip()
        written.append(f"{_GEMMA_OPEN[turn.role]}{before}{text}<end_of_turn>\n")
        before = ""
    if add_generation_prompt:
        written.append(_GEMMA_OPEN[Role.ASSISTANT])
    return "".join(written)


def phi3(messages: Sequence[ChatMessage], add_generation_prompt: bool) -> str:
    """Write the first Phi-3, which opens the answer right after every user's turn.

    Its published template drops a system message; here that is an error.
    """
    written = []
    for message in messages:
        if message.role is Role.SYSTEM:
            raise UnsupportedRoleError(
                'the first Phi-3 models have no system message; variant "3.5" has one, and '
                'normalize="merge" puts it into the first user\'s'
            )
        if message.role is Role.USER:
            written.append(f"<|user|>\n{message.content}<|end|>\n<|assistant|>\n")
        else:
            written.append(f"{message.content}<|end|>\n")
    return "".join(written)


def phi35(messages: Sequence[ChatMessage], add_generation_prompt: bool) -> str:
    """Write Phi-3.5, which ends a chat that asks for no answer with its EOS."""
    text = "".join([f"{_PHI3_OPEN[m.role]}{m.content}<|end|>\n" for m in messages])
    return text + (_PHI3_OPEN[Role.ASSISTANT] if add_generation_prompt else "<|endoftext|>")


def phi4(messages: Sequence[ChatMessage], add_generation_prompt: bool) -> str:
    """Write Phi-4: any role anywhere."""
    text = "".join([f"{_PHI4_OPEN[m.role]}{m.content}<|im_end|>" for m in messages])
    return text + _PHI4_OPEN[Role.ASSISTANT] if add_generation_prompt else text


def phi4_first(messages: Sequence[ChatMessage], add_generation_prompt: bool) -> str:
    """Write Phi-4 as first published: the answer is opened right after every user's turn."""
    written = []
    for message in messages:
        opening = "" if message.role is Role.ASSISTANT else _PHI4_OPEN[message.role]
        closing = _PHI4_OPEN[Role.ASSISTANT] if message.role is Role.USER else ""
        written.append(f"{opening}{message.content}<|im_end|>{closing}")
    return "".join(written)


def phi4_mini(messages: Sequence[ChatMessage], add_generation_prompt: bool) -> str:
    """Write Phi-4-mini, which went back to Phi-3's tokens without the newlines."""
    text = "".join([f"<|{m.role.value}|>{m.content}<|end|>" for m in messages])
    return text + ("<|assistant|>" if add_generation_prompt else "<|endoftext|>")


def _zephyr(messages: Sequence[ChatMessage], add_generation_prompt: bool, *, end: str) -> str:
    text = "".join([f"{_PHI3_OPEN[m.role]}{m.content}{end}\n" for m in messages])
    return text + _PHI3_OPEN[Role.ASSISTANT] if add_generation_prompt else text


#: Zephyr: any role anywhere.
zephyr = partial(_zephyr, end="</s>")
#: StableLM Zephyr, whose vocabulary has another EOS.
zephyr_stablelm = partial(_zephyr, end="<|endoftext|>")


def command_r(messages: Sequence[ChatMessage], add_generation_prompt: bool) -> str:
    """Write Command R: the texts of users and assistants are trimmed, the system's is not."""
    system, turns = split_system(messages)
    written = ["<BOS_TOKEN>"]
    if system is not None:
        written.append(f"{_COMMAND_R_OPEN[Role.SYSTEM]}{system}{_COMMAND_R_END}")
    if turns:
        demand_alternation(turns, "Command R")
    for turn in turns:
        written.append(f"{_COMMAND_R_OPEN[turn.role]}{content(turn).strip()}{_COMMAND_R_END}")
    if add_generation_prompt:
        written.append(_COMMAND_R_OPEN[Role.ASSISTANT])
    return "".join(written)
