"""Llama 2 and Llama 3.

Authorities: Meta's ``llama/generation.py`` (``chat_completion``) and ``llama3/llama/tokenizer.py``
(``ChatFormat``); for 3.1 and later the chat templates that Meta publishes with the models.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Sequence
from functools import partial

from andon.errors import UnsupportedRoleError
from andon.messages import ChatMessage, Role
from andon.templates.layout import (
    RenderContext,
    WithContext,
    arguments_json,
    content,
    demand_alternation,
    demand_open_end,
    split_system,
    tools_json,
)

LLAMA2_CONTROL_TOKENS = ("<s>", "</s>", "[INST]", "[/INST]", "<<SYS>>", "<</SYS>>")
LLAMA3_CONTROL_TOKENS = (
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|python_tag|>",
    "<|finetune_right_pad_id|>",
)

#: The date that 3.1 and 3.3 print, whatever the clock says, unless the caller changes the template.
_FIXED_DATE = "26 Jul 2024"
_HEADER = {role: f"<|start_header_id|>{role.value}<|end_header_id|>\n\n" for role in Role}
# English names, since strftime would write them in the language of the process.
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def llama2(messages: Sequence[ChatMessage], add_generation_prompt: bool) -> str:
    """Write Llama 2's dialogue: every pair of turns has its own BOS and EOS."""
    return _llama2(messages, add_generation_prompt, str.strip)


def llama2_verbatim(messages: Sequence[ChatMessage], add_generation_prompt: bool) -> str:
    """Write Llama 2's dialogue with untrimmed texts, as FastChat and several ports do."""
    return _llama2(messages, add_generation_prompt, str)


def _llama2(
    messages: Sequence[ChatMessage], add_generation_prompt: bool, trim: Callable[[str], str]
) -> str:
    system, turns = split_system(messages)
    demand_alternation(turns, "Llama 2")
    demand_open_end(turns, add_generation_prompt, "Llama 2")
    written = []
    for turn in turns:
        if turn.role is Role.ASSISTANT:
            written.append(f" {trim(content(turn))} </s>")
            continue
        text = content(turn)
        if system is not None:
            text, system = f"<<SYS>>\n{system}\n<</SYS>>\n\n{text}", None
        written.append(f"<s>[INST] {trim(text)} [/INST]")
    return "".join(written)


def llama3(messages: Sequence[ChatMessage], add_generation_prompt: bool) -> str:
    """Write Llama 3's dialogue: a header, the trimmed text and an end for every message."""
    text = "".join([f"{_HEADER[m.role]}{content(m).strip()}<|eot_id|>" for m in messages])
    closing = _HEADER[Role.ASSISTANT] if add_generation_prompt else ""
    return f"<|begin_of_text|>{text}{closing}"


def _llama31(
    messages: Sequence[ChatMessage],
    add_generation_prompt: bool,
    context: RenderContext,
    *,
    clock: bool,
) -> str:
    """Write Llama 3.1's dialogue: a system turn with dates always comes first."""
    system, turns = split_system(messages)
    ipython = "Environment: ipython\n" if context.tools else ""
    date = _date(context) if clock else _FIXED_DATE
    head = (
        f"<|begin_of_text|>{_HEADER[Role.SYSTEM]}{ipython}Cutting Knowledge Date: December 2023\n"
        f"Today Date: {date}\n\n{(system or '').strip()}<|eot_id|>"
    )
    written = [head]
    if context.tools:
        written.append(_tools_turn(turns, context))
        turns = turns[1:]
    written += map(_llama31_turn, turns)
    if add_generation_prompt:
        written.append(_HEADER[Role.ASSISTANT])
    return "".join(written)


llama31 = WithContext(partial(_llama31, clock=False))
llama32 = WithContext(partial(_llama31, clock=True))


def _date(context: RenderContext) -> str:
    today = context.today or datetime.date.today()
    return f"{today.day:02d} {_MONTHS[today.month - 1]} {today.year}"


def _tools_turn(turns: Sequence[ChatMessage], context: RenderContext) -> str:
    if not turns or turns[0].role is not Role.USER:
        raise UnsupportedRoleError(
            "Llama 3.1 puts tools into the first user's message, and here no user begins"
        )
    tools = "".join(
        f"{json.dumps(t, ensure_ascii=False, indent=4)}\n\n" for t in tools_json(context.tools)
    )
    return (
        f"{_HEADER[Role.USER]}Given the following functions, please respond with a JSON for a "
        "function call with its proper arguments that best answers the given prompt.\n\n"
        'Respond in the format {"name": function name, "parameters": dictionary of argument name '
        f"and its value}}.Do not use variables.\n\n{tools}{content(turns[0]).strip()}<|eot_id|>"
    )


def _llama31_turn(message: ChatMessage) -> str:
    if message.role is Role.TOOL:
        result = json.dumps(content(message), ensure_ascii=False)
        return f"<|start_header_id|>ipython<|end_header_id|>\n\n{result}<|eot_id|>"
    if not message.tool_calls:
        return f"{_HEADER[message.role]}{content(message).strip()}<|eot_id|>"
    if len(message.tool_calls) > 1 or message.content:
        raise UnsupportedRoleError(
            "Llama 3.1 has place for one tool call in a message, and for no text beside it"
        )
    (call,) = message.tool_calls
    arguments = arguments_json(call.arguments)
    return (
        f'{_HEADER[Role.ASSISTANT]}{{"name": "{call.name}", "parameters": {arguments}}}<|eot_id|>'
    )
