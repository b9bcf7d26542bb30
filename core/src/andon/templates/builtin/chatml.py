"""ChatML, and Qwen's use of it.

Authorities: OpenAI's ChatML note for the frame; the chat templates that Qwen2.5 and Qwen3 publish
for default system text, tools and thoughts.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from andon.messages import ChatMessage, Role
from andon.templates.layout import (
    RenderContext,
    WithContext,
    arguments_json,
    content,
    json_text,
    tools_json,
)

CONTROL_TOKENS = ("<|im_start|>", "<|im_end|>", "<|endoftext|>")
QWEN_CONTROL_TOKENS = (
    *CONTROL_TOKENS,
    "<tool_call>",
    "</tool_call>",
    "<tool_response>",
    "</tool_response>",
)
QWEN3_CONTROL_TOKENS = (*QWEN_CONTROL_TOKENS, "<think>", "</think>")

_END = "<|im_end|>\n"
_OPEN = {role: f"<|im_start|>{role.value}\n" for role in Role}
_QWEN_SYSTEM = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."


def chatml(messages: Sequence[ChatMessage], add_generation_prompt: bool) -> str:
    """Write ChatML: any role anywhere, content as it stands."""
    text = "".join([f"{_OPEN[m.role]}{m.content}{_END}" for m in messages])
    return f"{text}<|im_start|>assistant\n" if add_generation_prompt else text


def _qwen25(
    messages: Sequence[ChatMessage],
    add_generation_prompt: bool,
    context: RenderContext,
    *,
    default: str,
) -> str:
    """Write Qwen2.5's ChatML: a default system text, tools in XML tags."""
    written = [_head(messages, default, context)]
    for index, message in enumerate(messages):
        if message.role is Role.TOOL:
            written.append(_result(messages, index))
        elif message.tool_calls:
            written.append(f"<|im_start|>assistant{_spoken(message)}{_calls(message)}{_END}")
        elif index or message.role is not Role.SYSTEM:
            written.append(f"{_OPEN[message.role]}{message.content}{_END}")
    if add_generation_prompt:
        written.append("<|im_start|>assistant\n")
    return "".join(written)


def _qwen3(
    messages: Sequence[ChatMessage], add_generation_prompt: bool, context: RenderContext
) -> str:
    """Write Qwen3's ChatML: no default system text, thoughts only after the last query."""
    written = [_head(messages, None, context)]
    query, user = _last_query(messages), Role.USER
    for index, message in enumerate(messages):
        if message.role is user:
            written.append(f"<|im_start|>user\n{message.content}{_END}")
        elif message.role is Role.TOOL:
            written.append(_result(messages, index))
        elif index < query and _is_plain(message):
            written.append(f"<|im_start|>assistant\n{message.content}{_END}")
        elif message.role is Role.ASSISTANT:
            last = index == len(messages) - 1
            written.append(_qwen3_answer(message, thoughtful=index > query, last=last))
        elif index:
            written.append(f"{_OPEN[message.role]}{message.content}{_END}")
    if add_generation_prompt:
        written.append("<|im_start|>assistant\n")
    return "".join(written)


#: Qwen 1.5 and 2 have a plainer default.
qwen2 = WithContext(partial(_qwen25, default="You are a helpful assistant."))
qwen25 = WithContext(partial(_qwen25, default=_QWEN_SYSTEM))
qwen3 = WithContext(_qwen3)


def _head(messages: Sequence[ChatMessage], default: str | None, context: RenderContext) -> str:
    given = content(messages[0]) if messages[0].role is Role.SYSTEM else None
    system = default if given is None else given
    if not context.tools:
        return "" if system is None else f"{_OPEN[Role.SYSTEM]}{system}{_END}"
    before = "" if system is None else f"{system}\n\n"
    return f"{_OPEN[Role.SYSTEM]}{before}{_tools(context)}{_END}"


def _tools(context: RenderContext) -> str:
    signatures = "".join(f"\n{json_text(tool)}" for tool in tools_json(context.tools))
    return (
        "# Tools\n\nYou may call one or more functions to assist with the user query.\n\n"
        "You are provided with function signatures within <tools></tools> XML tags:\n"
        f"<tools>{signatures}\n</tools>\n\n"
        "For each function call, return a json object with function name and arguments within "
        "<tool_call></tool_call> XML tags:\n<tool_call>\n"
        '{"name": <function-name>, "arguments": <args-json-object>}\n</tool_call>'
    )


def _spoken(message: ChatMessage) -> str:
    return f"\n{message.content}" if message.content else ""


def _calls(message: ChatMessage) -> str:
    if not message.tool_calls:
        return ""
    return "".join(
        f'\n<tool_call>\n{{"name": "{call.name}", "arguments": {arguments_json(call.arguments)}}}'
        "\n</tool_call>"
        for call in message.tool_calls
    )


def _result(messages: Sequence[ChatMessage], index: int) -> str:
    # Results that follow each other share one turn of the user.
    first = index == 0 or messages[index - 1].role is not Role.TOOL
    last = index == len(messages) - 1 or messages[index + 1].role is not Role.TOOL
    opening = "<|im_start|>user" if first else ""
    closing = _END if last else ""
    return f"{opening}\n<tool_response>\n{messages[index].content}\n</tool_response>{closing}"


def _is_plain(message: ChatMessage) -> bool:
    """Return whether an answer has neither calls nor thoughts to treat."""
    if message.role is not Role.ASSISTANT or message.tool_calls:
        return False
    return "</think>" not in content(message)


def _last_query(messages: Sequence[ChatMessage]) -> int:
    for index in range(len(messages) - 1, -1, -1):
        if messages[index].role is Role.USER:
            return index
    return len(messages) - 1


def _qwen3_answer(message: ChatMessage, *, thoughtful: bool, last: bool) -> str:
    thoughts, said = _thoughts(message)
    calls = _calls(message)
    if not said:
        calls = calls[1:]
    if thoughtful and (last or thoughts):
        thoughts = thoughts.strip("\n")
        said = "<think>\n" + thoughts + "\n</think>\n\n" + said.lstrip("\n")
    return f"<|im_start|>assistant\n{said}{calls}{_END}"


def _thoughts(message: ChatMessage) -> tuple[str, str]:
    said = content(message)
    if message.reasoning is None and "</think>" not in said:
        return "", said
    if message.reasoning is not None:
        return message.reasoning, said
    before = said.partition("</think>")[0].rstrip("\n").rpartition("<think>")[2]
    return before.lstrip("\n"), said.rpartition("</think>")[2].lstrip("\n")
