"""Fitting messages into a template that demands another order, as mistral-common does.

Texts are joined with a blank line. Nothing is left out, and every step says what it did.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from andon.errors import ControlTokenError, TemplateError, UnsafeTemplateError
from andon.messages import ChatMessage, Role

_MERGEABLE = frozenset({Role.SYSTEM, Role.USER, Role.ASSISTANT})


def render_folded(
    render: Callable[[Sequence[ChatMessage]], str], messages: Sequence[ChatMessage]
) -> tuple[str, tuple[str, ...]]:
    """Render messages, folding them as little as the template needs.

    :param render: the template.
    :param messages: the messages.
    :return: the text, and what was folded.
    :raises TemplateError: the template cannot express them even folded; the first error.
    """
    try:
        return render(messages), ()
    except (UnsafeTemplateError, ControlTokenError):
        raise
    except TemplateError as error:
        first = error
    for folded, done in _foldings(tuple(messages)):
        try:
            return render(folded), done
        except (UnsafeTemplateError, ControlTokenError):
            raise
        except TemplateError:
            continue
    raise first


def _foldings(
    messages: tuple[ChatMessage, ...],
) -> Iterator[tuple[tuple[ChatMessage, ...], tuple[str, ...]]]:
    """Yield foldings from the smallest to the largest, without repeating one."""
    seen = {messages}
    for steps in (
        (_merge_runs,),
        (_merge_runs, _open_with_user),
        (_merge_runs, _later_systems),
        (_merge_runs, _later_systems, _open_with_user),
        (_merge_runs, _later_systems, _leading_system),
        (_merge_runs, _later_systems, _leading_system, _open_with_user),
    ):
        folded, done = messages, []
        for step in steps:
            folded, said = step(folded)
            done += [said] if said else []
        if folded not in seen:
            seen.add(folded)
            yield folded, tuple(done)


def _merge_runs(messages: tuple[ChatMessage, ...]) -> tuple[tuple[ChatMessage, ...], str]:
    merged: list[ChatMessage] = []
    roles = set()
    for message in messages:
        if merged and message.role is merged[-1].role and message.role in _MERGEABLE:
            roles.add(message.role)
            merged[-1] = _joined(merged[-1], message)
        else:
            merged.append(message)
    said = f"merged consecutive messages of {_listed(roles)} with a blank line" if roles else ""
    return tuple(merged), said


def _later_systems(messages: tuple[ChatMessage, ...]) -> tuple[tuple[ChatMessage, ...], str]:
    leading = 0
    while leading < len(messages) and messages[leading].role is Role.SYSTEM:
        leading += 1
    folded, count = _into_users(messages[leading:])
    said = "put a later system message into the user's message after it" if count else ""
    return messages[:leading] + folded, said


def _leading_system(messages: tuple[ChatMessage, ...]) -> tuple[tuple[ChatMessage, ...], str]:
    folded, count = _into_users(messages)
    said = "put the system message into the first user's message" if count else ""
    return folded, said


def _open_with_user(messages: tuple[ChatMessage, ...]) -> tuple[tuple[ChatMessage, ...], str]:
    at = 1 if messages[0].role is Role.SYSTEM else 0
    if at < len(messages) and messages[at].role is Role.ASSISTANT:
        opened = (*messages[:at], ChatMessage.user(""), *messages[at:])
        return opened, "put an empty user's message before the assistant's first"
    return messages, ""


def _into_users(messages: Sequence[ChatMessage]) -> tuple[tuple[ChatMessage, ...], int]:
    """Turn every system message into the beginning of the next user's, or into a user's own."""
    folded = tuple(
        replace(message, role=Role.USER) if message.role is Role.SYSTEM else message
        for message in messages
    )
    merged, _ = _merge_runs(folded)
    return merged, sum(message.role is Role.SYSTEM for message in messages)


def _joined(first: ChatMessage, second: ChatMessage) -> ChatMessage:
    texts = [str(part.content) for part in (first, second) if part.content]
    thoughts = [part.reasoning for part in (first, second) if part.reasoning]
    return replace(
        first,
        content="\n\n".join(texts),
        tool_calls=first.tool_calls + second.tool_calls,
        reasoning="\n\n".join(thoughts) or None,
    )


def _listed(roles: set[Role]) -> str:
    return " and ".join(sorted(role.value for role in roles))
