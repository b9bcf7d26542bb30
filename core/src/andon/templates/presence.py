"""Making sure that a template which andon does not know wrote every message."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence

from andon.errors import UnsupportedRoleError
from andon.messages import ChatMessage


def demand_presence(messages: Sequence[ChatMessage], text: str, name: str) -> None:
    """Check that the text of every message is in the prompt.

    :raises UnsupportedRoleError: the template left a message out.
    """
    for message in messages:
        if not _present(str(message.content), text):
            raise UnsupportedRoleError(
                f"the chat template {name!r} leaves out a message of {message.role.value!r}; "
                'normalize="merge" may find a place for it'
            )
    calls = Counter(call.name for message in messages for call in message.tool_calls)
    for call, count in calls.items():
        if text.count(call) < count:
            raise UnsupportedRoleError(f"the chat template {name!r} leaves out a call of {call!r}")


def _present(content: str, text: str) -> bool:
    # Thoughts of earlier answers are left out on purpose by the templates of reasoning models.
    said = content.rpartition("</think>")[2].strip()
    return (
        said in text
        or json.dumps(said)[1:-1] in text
        or any(form in text for form in _json_forms(said))
    )


def _json_forms(said: str) -> tuple[str, ...]:
    """Return how a template may write a tool's result, which it can read as JSON."""
    try:
        value = json.loads(said)
    except (ValueError, RecursionError):
        return (json.dumps(said, ensure_ascii=False)[1:-1],)
    return (json.dumps(value, ensure_ascii=False), json.dumps(value), str(value))
