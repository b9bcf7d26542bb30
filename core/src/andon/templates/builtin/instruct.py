"""Formats that frame turns with words instead of control tokens.

Authorities: Stanford's ``alpaca/train.py`` (``PROMPT_DICT``); FastChat's ``conversation.py`` for
Vicuna, which is what Vicuna was trained with; the model cards of the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from andon.messages import ChatMessage, Role
from andon.templates.layout import content, demand_alternation, demand_open_end, split_system

EOS_TOKENS = ("<s>", "</s>")
ALPACA_RESERVED = (*EOS_TOKENS, "### Instruction:", "### Response:")
HASH_RESERVED = (*EOS_TOKENS, "### Human:", "### Assistant:")
PHIND_RESERVED = (*EOS_TOKENS, "### System Prompt", "### User Message", "### Assistant")
OPENCHAT_CONTROL_TOKENS = (*EOS_TOKENS, "<|end_of_turn|>")
FALCON_CONTROL_TOKENS = ("<|endoftext|>",)

_ALPACA_PREAMBLE = (
    "Below is an instruction that describes a task. "
    "Write a response that appropriately completes the request."
)
_VICUNA_SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions."
)


def raw(messages: Sequence[ChatMessage], add_generation_prompt: bool) -> str:
    """Write the texts one after the other, with nothing between them."""
    return "".join([content(message) for message in messages])


def raw_lines(messages: Sequence[ChatMessage], add_generation_prompt: bool) -> str:
    """Write the texts one on a line."""
    return "\n".join([content(message) for message in messages])


def alpaca(messages: Sequence[ChatMessage], add_generation_prompt: bool) -> str:
    """Write Stanford's prompt; a system text takes the place of its preamble.

    Stanford defines one turn only. Later turns repeat the frame after the end of the answer.
    """
    system, turns = split_system(messages)
    demand_alternation(turns, "Alpaca")
    demand_open_end(turns, add_generation_prompt, "Alpaca")
    written = [_ALPACA_PREAMBLE if system is None else system]
    for turn in turns:
        if turn.role is Role.USER:
            written.append(f"\n\n### Instruction:\n{turn.content}\n\n### Response:")
        else:
            written.append(f"{turn.content}</s>")
    return "".join(written)


def alpaca_lines(messages: Sequence[ChatMessage], add_generation_prompt: bool) -> str:
    """Write the multi-turn Alpaca that fine-tunes use: trimmed, each part on its own line."""
    system, turns = split_system(messages)
    demand_alternation(turns, "Alpaca")
    written = ["<s>" if system is None else f"<s>{system.strip()}\n\n"]
    for turn in turns:
        if turn.role is Role.USER:
            written.append(f"### Instruction:\n{content(turn).strip()}\n\n")
        else:
            written.append(f"### Response:\n{content(turn).strip()}</s>\n\n")
    if add_generation_prompt:
        written.append("### Response:\n")
    return "".join(written)


def alpaca_fastchat(messages: Sequence[ChatMessage], add_generation_prompt: bool) -> str:
    """Write FastChat's Alpaca, which has the instruction on the line of its heading."""
    system, turns = split_system(messages)
    demand_alternation(turns, "Alpaca")
    demand_open_end(turns, add_generation_prompt, "Alpaca")
    written = [f"{_ALPACA_PREAMBLE if system is None else system}\n\n"]
    for turn in turns:
        if turn.role is Role.USER:
            written.append(f"### Instruction: {turn.content}\n\n")
        else:
            written.append(f"### Response: {turn.content}</s>")
    if add_generation_prompt:
        written.append("### Response:")
    return "".join(written)


def vicuna(messages: Sequence[ChatMessage], add_generation_prompt: bool) -> str:
    """Write Vicuna v1.1 as FastChat trains it: everything on one line."""
    system, turns = split_system(messages)
    demand_alternation(turns, "Vicuna")
    demand_open_end(turns, add_generation_prompt, "Vicuna")
    written = [f"{_VICUNA_SYSTEM if system is None else system} "]
    for turn in turns:
        if turn.role is Role.ASSISTANT:
            written.append(f"ASSISTANT: {turn.content}</s>")
        else:
            # FastChat writes the bare name of a speaker who says nothing.
            written.append(f"USER: {turn.content} " if turn.content else "USER:")
    if add_generation_prompt:
        written.append("ASSISTANT:")
    return "".join(written)


def _vicuna_lines(
    messages: Sequence[ChatMessage], add_generation_prompt: bool, *, system: str
) -> str:
    written = []
    for message in messages:
        if message.role is Role.USER:
            written.append(f"USER: {message.content}\n")
        elif message.role is Role.ASSISTANT:
            written.append(f"ASSISTANT: {message.content}</s>\n")
        else:
            written.append(system.format(message.content))
    if add_generation_prompt:
        written.append("ASSISTANT:")
    return "".join(written)


#: Vicuna with a turn on a line, as the chat templates on model hubs have it.
vicuna_lines = partial(_vicuna_lines, system="{}\n\n")
#: The same with a named system turn, as Orca-Vicuna has it.
vicuna_orca = partial(_vicuna_lines, system="SYSTEM: {}\n")


def guanaco(messages: Sequence[ChatMessage], add_generation_prompt: bool) -> str:
    """Write Guanaco's headings, which Vicuna v0 and StableVicuna share."""
    system, turns = split_system(messages)
    demand_alternation(turns, "Guanaco")
    names = {Role.USER: "### Human:", Role.ASSISTANT: "### Assistant:"}
    written = [] if system is None else [f"{system}\n"]
    written += [f"{names[turn.role]} {turn.content}\n" for turn in turns]
    if add_generation_prompt:
        written.append("### Assistant:")
    return "".join(written)


def falcon(messages: Sequence[ChatMessage], add_generation_prompt: bool) -> str:
    """Write Falcon-instruct's named turns."""
    names = {Role.USER: "User: ", Role.ASSISTANT: "Assistant: ", Role.SYSTEM: ""}
    text = "\n\n".join([f"{names[message.role]}{message.content}" for message in messages])
    return f"{text}\n\nAssistant:" if add_generation_prompt else text


def phind(messages: Sequence[ChatMessage], add_generation_prompt: bool) -> str:
    """Write the headings of Phind-CodeLlama."""
    headings = {
        Role.SYSTEM: "### System Prompt",
        Role.USER: "### User Message",
        Role.ASSISTANT: "### Assistant",
    }
    text = "".join([f"{headings[message.role]}\n{message.content}\n\n" for message in messages])
    return f"{text}### Assistant\n" if add_generation_prompt else text


def openchat(messages: Sequence[ChatMessage], add_generation_prompt: bool) -> str:
    """Write OpenChat 3.5's turns."""
    names = {Role.SYSTEM: "System", Role.USER: "User", Role.ASSISTANT: "Assistant"}
    text = "".join([f"GPT4 Correct {names[m.role]}: {m.content}<|end_of_turn|>" for m in messages])
    return f"<s>{text}GPT4 Correct Assistant:" if add_generation_prompt else f"<s>{text}"
