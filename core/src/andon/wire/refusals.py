"""What a protocol cannot carry, refused in the same words whoever it is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from andon.chat import ChatRequest
from andon.errors import InvalidRequestError, UnsupportedParameterError
from andon.messages import ChatMessage, ImagePart, ToolCall
from andon.wire.json_values import object_of


def refuse_raw_prompt(request: ChatRequest, provider: str) -> None:
    """Refuse a prompt that is no chat.

    :raises UnsupportedParameterError: the request has one.
    """
    if request.prompt is not None:
        raise UnsupportedParameterError(
            f"{provider} completes no raw prompt; send messages, or take another backend"
        )


def refuse_parameters(found: Iterable[tuple[str, bool, str]], provider: str) -> None:
    """Refuse the first parameter that is set and not taken.

    :param found: for each parameter its name, whether it is set, and what it is in words.
    :raises UnsupportedParameterError: one is set.
    """
    for parameter, is_set, what in found:
        if is_set:
            raise UnsupportedParameterError(
                f"{provider} does not take {what}; leave it out or take another backend",
                parameter=parameter,
            )


def refuse_unmeant_end(request: ChatRequest, provider: str) -> None:
    """Refuse a chat that ends with the assistant's message, where that is not said to be meant.

    :raises UnsupportedParameterError: it is not.
    """
    if not request.continue_final_message:
        raise UnsupportedParameterError(
            f"the chat ends with the assistant's message, which {provider} would continue; set "
            "continue_final_message=True if that is meant, or end with a user's message"
        )


def refuse_images(message: ChatMessage, provider: str) -> None:
    """Refuse images where only a user may show them.

    :raises UnsupportedParameterError: the message has one.
    """
    if any(isinstance(part, ImagePart) for part in message.content):
        raise UnsupportedParameterError(
            f"{provider} takes no image in a message of role {message.role.value!r}; put it into a "
            "user's message"
        )


def arguments_of(call: ToolCall, provider: str) -> dict[str, Any]:
    """Return the arguments of a tool call as the JSON object that a protocol demands.

    :raises InvalidRequestError: they are none.
    """
    arguments = object_of(call.arguments or "{}")
    if arguments is None:
        raise InvalidRequestError(
            f"the arguments of the tool call {call.id!r} of {call.name!r} are no JSON object, "
            f"which {provider} demands: {call.arguments[:80]!r}; correct or leave out the call and "
            "its result"
        )
    return arguments


def answered_call(message: ChatMessage) -> str:
    """Return the id of the call that a tool's message answers.

    :raises InvalidRequestError: it names none.
    """
    if message.tool_call_id is None:
        raise InvalidRequestError("a tool's message needs the tool_call_id of the call it answers")
    return message.tool_call_id
