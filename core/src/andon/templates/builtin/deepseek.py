"""DeepSeek's formats.

Authority: the chat templates that DeepSeek publishes with its models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from andon.messages import ChatMessage, Role
from andon.templates.layout import content

_BOS = "<｜begin▁of▁sentence｜>"  # noqa: RUF001 the token's own characters
_EOS = "<｜end▁of▁sentence｜>"  # noqa: RUF001
_USER = "<｜User｜>"  # noqa: RUF001
_ASSISTANT = "<｜Assistant｜>"  # noqa: RUF001

V2_CONTROL_TOKENS = (_BOS, _EOS)
V3_CONTROL_TOKENS = (_BOS, _EOS, _USER, _ASSISTANT)
R1_CONTROL_TOKENS = (*V3_CONTROL_TOKENS, "<think>", "</think>")
CODER_CONTROL_TOKENS = ("<s>", _BOS, _EOS, "<|EOT|>", "### Instruction:", "### Response:")
EOS = _EOS

_CODER_SYSTEM = (
    "You are an AI programming assistant, utilizing the Deepseek Coder model, developed by "
    "Deepseek Company, and you only answer questions related to computer science. For politically "
    "sensitive questions, security and privacy issues, and other non-computer science questions, "
    "you will refuse to answer\n"
)


def v2(messages: Sequence[ChatMessage], add_generation_prompt: bool) -> str:
    """Write DeepSeek LLM and V2: named turns, any order."""
    written = [_BOS]
    for message in messages:
        if message.role is Role.USER:
            written.append(f"User: {message.content}\n\n")
        elif message.role is Role.ASSISTANT:
            written.append(f"Assistant: {message.content}{_EOS}")
        else:
            written.append(f"{message.content}\n\n")
    if add_generation_prompt:
        written.append("Assistant:")
    return "".join(written)


@dataclass(frozen=True, slots=True)
class DeepSeek3:
    """V3 and its descendants: all system texts go to the front.

    :param answer: what follows the assistant's token where an answer is asked for.
    :param history: what follows it before an answer that was given.
    :param forgets: whether the thoughts of earlier answers are left out.
    :param bare_first: whether only an answer to a user has the assistant's token.
    """

    answer: str = ""
    history: str = ""
    forgets: bool = False
    bare_first: bool = False

    def __call__(self, messages: Sequence[ChatMessage], add_generation_prompt: bool) -> str:
        """Write messages as one prompt."""
        systems = [content(message) for message in messages if message.role is Role.SYSTEM]
        written = [_BOS, "\n\n".join(systems)]
        asked = not self.bare_first
        for message in messages:
            if message.role is Role.USER:
                asked = True
                written.append(f"{_USER}{message.content}")
            elif message.role is Role.ASSISTANT:
                opening = f"{_ASSISTANT}{self.history}" if asked else ""
                written.append(f"{opening}{self._said(message)}{_EOS}")
                asked = not self.bare_first
        if add_generation_prompt and asked:
            written.append(f"{_ASSISTANT}{self.answer}")
        return "".join(written)

    def _said(self, message: ChatMessage) -> str:
        said = content(message)
        return said.rpartition("</think>")[2] if self.forgets else said


v3 = DeepSeek3()
r1 = DeepSeek3(answer="<think>\n", forgets=True)
r1_closed = DeepSeek3(answer="<think>\n</think>", forgets=True)
v31 = DeepSeek3(answer="</think>", history="</think>", forgets=True, bare_first=True)
v31_think = DeepSeek3(answer="<think>", history="</think>", forgets=True, bare_first=True)
v31_closed = DeepSeek3(
    answer="<think></think>", history="<think></think>", forgets=True, bare_first=True
)


def coder(messages: Sequence[ChatMessage], add_generation_prompt: bool) -> str:
    """Write DeepSeek Coder: headings, and a long default system text."""
    written = [_BOS]
    if not any(message.role is Role.SYSTEM for message in messages):
        written.append(_CODER_SYSTEM)
    for message in messages:
        if message.role is Role.USER:
            written.append(f"### Instruction:\n{message.content}\n")
        elif message.role is Role.ASSISTANT:
            written.append(f"### Response:\n{message.content}\n<|EOT|>\n")
        else:
            written.append(content(message))
    if add_generation_prompt:
        written.append("### Response:\n")
    return "".join(written)
