"""How servers are asked for the tokens of a prompt: each in its own way. Pure functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from andon.chat import ChatRequest
from andon.specs import ModelProfile
from andon.wire.dialect import HTTPCall, HTTPReply, Query
from andon.wire.json_values import read_json, to_json
from andon.wire.openai_encode import chat_body
from andon.wire.openai_quirks import Quirks

#: What vLLM's ``/tokenize`` takes of a chat; what else it has makes no tokens.
_VLLM_CHAT = ("model", "messages", "tools", "continue_final_message", "add_generation_prompt")


@dataclass(frozen=True, slots=True)
class _Place:
    """Where one question goes.

    :param path: the path.
    :param at_root: whether it stands beside ``/v1``.
    :param count: finds the number in the reply's JSON.
    """

    path: str
    at_root: bool
    count: Callable[[Any], Any]


#: Where chats are counted, the template included.
_CHATS = {
    "vllm": _Place("/tokenize", True, lambda value: value["count"]),
    "llama-server": _Place(
        "/chat/completions/input_tokens", False, lambda value: value["input_tokens"]
    ),
    "tgi": _Place("/chat_tokenize", True, lambda value: len(value["tokenize_response"])),
}

#: Where raw prompts are counted.
_PROMPTS = {
    "vllm": _CHATS["vllm"],
    "llama-server": _Place("/tokenize", True, lambda value: len(value["tokens"])),
    "tgi": _Place("/tokenize", True, len),
    "localai": _Place("/tokenize", False, lambda value: len(value["tokens"])),
    "realizar": _Place("/tokenize", True, lambda value: value["num_tokens"]),
}


def token_question(
    request: ChatRequest, quirks: Quirks, profile: ModelProfile, headers: Mapping[str, str]
) -> Query[int] | None:
    """Return how to ask for the tokens of a request's prompt, or None where one cannot.

    :param request: the request.
    :param quirks: what the server does in its own way; ``counting`` is set.
    :param profile: what is known of the model.
    :param headers: the headers of the call.
    :raises UnsupportedParameterError: the server cannot read such a request.
    """
    kind = quirks.counting or ""
    place = (_CHATS if request.prompt is None else _PROMPTS).get(kind)
    if place is None:
        return None
    if request.prompt is None:
        body = chat_body(replace(request, stream=False), quirks, profile)
        if kind == "vllm":
            body = {name: body[name] for name in _VLLM_CHAT if name in body}
    else:
        body = _prompt(kind, request.model, request.prompt)
    call = HTTPCall(path=place.path, body=to_json(body), headers=headers, at_root=place.at_root)
    return Query(call, lambda reply: _read(reply, place))


def _prompt(kind: str, model: str, prompt: str) -> dict[str, Any]:
    match kind:
        case "vllm":
            return {"model": model, "prompt": prompt}
        case "tgi":
            return {"inputs": prompt}
        case "realizar":
            return {"text": prompt, "model_id": model}
        case "llama-server":
            # Only with its BOS is it the prompt that the model reads.
            return {"content": prompt, "add_special": True}
    return {"model": model, "content": prompt}


def _read(reply: HTTPReply, place: _Place) -> int:
    count = place.count(read_json(reply.body))
    if type(count) is not int or count < 0:
        raise ValueError("the count is no number")
    return count
