"""Mistral's instruct format in its versions.

Authority: mistral-common, the tokenizer that Mistral publishes, version by version. ``SPM`` and
``tekken`` are its two kinds of vocabulary; the first writes a space after a control token.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from operator import attrgetter, is_
from typing import Literal

from andon.chat import Tool
from andon.errors import RoleOrderError, UnsupportedRoleError
from andon.messages import ChatMessage, Role
from andon.templates.layout import (
    NO_CONTEXT,
    ContextRenderer,
    RenderContext,
    arguments_json,
    content,
    demand_open_end,
    json_text,
    split_system,
    tools_json,
)

V1_CONTROL_TOKENS = ("<s>", "</s>", "[INST]", "[/INST]")
V3_CONTROL_TOKENS = (
    *V1_CONTROL_TOKENS,
    "[AVAILABLE_TOOLS]",
    "[/AVAILABLE_TOOLS]",
    "[TOOL_CALLS]",
    "[TOOL_RESULTS]",
    "[/TOOL_RESULTS]",
)
V7_CONTROL_TOKENS = (
    *V3_CONTROL_TOKENS,
    "[SYSTEM_PROMPT]",
    "[/SYSTEM_PROMPT]",
    "[TOOL_CONTENT]",
    "[IMG]",
    "[PREFIX]",
    "[MIDDLE]",
    "[SUFFIX]",
)
V13_CONTROL_TOKENS = (
    *V7_CONTROL_TOKENS,
    "[ARGS]",
    "[CALL_ID]",
    "[THINK]",
    "[/THINK]",
    "[MODEL_SETTINGS]",
    "[/MODEL_SETTINGS]",
)


@dataclass(frozen=True, slots=True)
class MistralPairs(ContextRenderer):
    """Versions without a system turn: the system text goes into a user's turn.

    :param opening: what opens a user's turn.
    :param closing: what closes it.
    :param gap: what stands before an assistant's text and a control token's argument.
    :param system: the user's turn that takes the system text; None has no place for it.
    :param trims: whether spaces at the end of an assistant's text, and the space before an empty
        user's text, are left out.
    :param places_tools: whether the version has tools.
    """

    opening: str
    closing: str
    gap: str = ""
    system: Literal["first", "last"] | None = "last"
    trims: bool = True
    places_tools: bool = False

    def __call__(
        self,
        messages: Sequence[ChatMessage],
        add_generation_prompt: bool,
        context: RenderContext = NO_CONTEXT,
    ) -> str:
        """Write messages as one prompt."""
        system, turns = split_system(messages)
        if system is not None and self.system is None:
            raise UnsupportedRoleError("this version of Mistral's format has no system message")
        if not turns:
            # mistral-common makes the same empty turn, so that the text has somewhere to go.
            turns = (ChatMessage.user(""),)
        _demand_order(turns)
        demand_open_end(turns, add_generation_prompt, "Mistral")
        texts = list(map(content, turns))
        if system is not None:
            at = 0 if self.system == "first" else _last_user(turns)
            texts[at] = f"{system}\n\n{texts[at]}"
        written = self._turns(turns, texts)
        if context.tools:
            written.insert(_last_user(turns), _available_tools(context.tools, self.gap))
        return f"<s>{''.join(written)}"

    def _turns(self, turns: Sequence[ChatMessage], texts: Sequence[str]) -> list[str]:
        opening, closing, gap, trims = self.opening, self.closing, self.gap, self.trims
        empty = f"{opening.rstrip(' ') if trims else opening}{closing}"
        # Members of an enum are slow to look up in a loop.
        user, assistant, written = Role.USER, Role.ASSISTANT, []
        for turn, text in zip(turns, texts, strict=True):
            if turn.role is user:
                written.append(f"{opening}{text}{closing}" if text else empty)
            elif turn.role is assistant and not turn.tool_calls:
                written.append(f"{gap}{text.rstrip(' ') if trims else text}</s>")
            else:
                written.append(self._tool_turn(turn))
        return written

    def _tool_turn(self, turn: ChatMessage) -> str:
        if turn.role is Role.TOOL:
            result = {"content": _parsed(content(turn)), "call_id": turn.tool_call_id}
            return f"[TOOL_RESULTS]{self.gap}{json_text(result)}[/TOOL_RESULTS]"
        if turn.content:
            raise UnsupportedRoleError(
                "this version of Mistral's format has text or calls, not both"
            )
        return f"[TOOL_CALLS]{self.gap}{_calls_list(turn)}</s>"


@dataclass(frozen=True, slots=True)
class MistralTurns(ContextRenderer):
    """Versions with a system turn: v7 and later.

    :param gap: what stands after a control token: a space with SPM.
    :param calls: how calls and results are written: as a list with ids, by name with ids, or by
        name alone.
    """

    gap: str = ""
    calls: Literal["list", "named", "bare"] = "list"

    def __call__(
        self,
        messages: Sequence[ChatMessage],
        add_generation_prompt: bool,
        context: RenderContext = NO_CONTEXT,
    ) -> str:
        """Write messages as one prompt."""
        _demand_turns(messages)
        demand_open_end(messages, add_generation_prompt, "Mistral")
        gap, user, assistant = self.gap, Role.USER, Role.ASSISTANT
        written = []
        for message in messages:
            text = content(message)
            if message.role is user:
                written.append(f"[INST]{gap}{text}[/INST]" if text else "[INST][/INST]")
            elif message.role is assistant and not message.tool_calls:
                written.append(f"{gap}{text.rstrip(' ')}</s>")
            else:
                written.append(self._other(message))
        if context.tools:
            written.insert(self._tools_before(messages), _available_tools(context.tools, gap))
        return f"<s>{''.join(written)}"

    def _tools_before(self, messages: Sequence[ChatMessage]) -> int:
        if self.calls != "bare":
            return _last_user(messages)
        return next((i for i, m in enumerate(messages) if m.role is Role.USER), 0)

    def _other(self, message: ChatMessage) -> str:
        if message.role is Role.SYSTEM:
            return f"[SYSTEM_PROMPT]{self.gap}{message.content}[/SYSTEM_PROMPT]"
        if message.role is Role.TOOL:
            return self._result(message)
        text = content(message).rstrip(" ")
        spoken = f"{self.gap}{text}" if text else ""
        return f"{spoken}{self._called(message)}</s>"

    def _called(self, message: ChatMessage) -> str:
        if self.calls == "list":
            return f"[TOOL_CALLS]{self.gap}{_calls_list(message)}"
        return "".join(
            f"[TOOL_CALLS]{call.name}{f'[CALL_ID]{call.id}' if self.calls == 'named' else ''}"
            f"[ARGS]{arguments_json(call.arguments)}"
            for call in message.tool_calls
        )

    def _result(self, message: ChatMessage) -> str:
        if self.calls == "bare":
            return f"[TOOL_RESULTS]{message.content}[/TOOL_RESULTS]"
        call_id = f"{self.gap}{message.tool_call_id or ''}"
        return f"[TOOL_RESULTS]{call_id}[TOOL_CONTENT]{self.gap}{message.content}[/TOOL_RESULTS]"


legacy = MistralPairs("[INST] ", " [/INST]", system=None, trims=False)
v1 = MistralPairs(" [INST] ", " [/INST]", gap=" ", system="first", trims=False)
v2 = MistralPairs("[INST] ", "[/INST]", gap=" ")
v3 = MistralPairs("[INST] ", "[/INST]", gap=" ", places_tools=True)
v3_tekken = MistralPairs("[INST]", "[/INST]", places_tools=True)
v7 = MistralTurns(gap=" ")
v7_tekken = MistralTurns()
v11 = MistralTurns(calls="named")
v13 = MistralTurns(calls="bare")


_role = attrgetter("role")


def _last_user(turns: Sequence[ChatMessage]) -> int:
    for index in range(len(turns) - 1, -1, -1):
        if turns[index].role is Role.USER:
            return index
    return 0


def _alternate(turns: Sequence[ChatMessage]) -> bool:
    return all(map(is_, map(_role, turns), cycle((Role.USER, Role.ASSISTANT))))


def _demand_order(turns: Sequence[ChatMessage]) -> None:
    if _alternate(turns):
        return
    before = Role.ASSISTANT
    for turn in turns:
        if turn.role is not _DUE[before] and not _tool_step(before, turn):
            raise _order_error(before if turn is not turns[0] else None, turn.role)
        before = turn.role


_DUE = {Role.USER: Role.ASSISTANT, Role.ASSISTANT: Role.USER, Role.TOOL: Role.ASSISTANT}


def _tool_step(before: Role, turn: ChatMessage) -> bool:
    return turn.role is Role.TOOL and before in (Role.ASSISTANT, Role.TOOL)


_AFTER = {
    None: {Role.SYSTEM, Role.USER, Role.ASSISTANT},
    Role.SYSTEM: {Role.SYSTEM, Role.USER, Role.ASSISTANT},
    Role.USER: {Role.SYSTEM, Role.ASSISTANT},
    Role.ASSISTANT: {Role.USER, Role.TOOL},
    Role.TOOL: {Role.ASSISTANT, Role.TOOL},
}


def _demand_turns(messages: Sequence[ChatMessage]) -> None:
    if _alternate(split_system(messages)[1]):
        return
    before: Role | None = None
    for message in messages:
        if message.role not in _AFTER[before]:
            raise _order_error(before, message.role)
        before = message.role


def _order_error(before: Role | None, role: Role) -> RoleOrderError:
    place = "first" if before is None else f"after {before.value!r}"
    return RoleOrderError(
        f'Mistral has no place for {role.value!r} {place}; normalize="merge" folds the messages'
    )


def _available_tools(tools: Sequence[Tool], gap: str) -> str:
    return f"[AVAILABLE_TOOLS]{gap}{json_text(tools_json(tools))}[/AVAILABLE_TOOLS]"


def _calls_list(message: ChatMessage) -> str:
    calls = (
        f'{{"name": {json_text(call.name)}, "arguments": {arguments_json(call.arguments)}, '
        f'"id": {json_text(call.id)}}}'
        for call in message.tool_calls
    )
    return f"[{', '.join(calls)}]"


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text
