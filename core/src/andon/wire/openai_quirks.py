"""Where servers that speak OpenAI's Chat Completions differ from OpenAI."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Quirks:
    """What a server of this protocol does in its own way. The defaults are OpenAI's own.

    :param max_tokens_field: the name of ``max_tokens``; most servers but OpenAI keep the old one,
        and some ignore the other.
    :param stream_options: whether usage in a stream is to be asked for; a server that does not
        know the field may refuse it, and most of those send usage anyway.
    :param done_required: whether only ``[DONE]`` ends a stream. Where it is not, a finish reason
        is an end as well.
    :param continuation: whether the server continues an assistant's last message, told by
        ``continue_final_message`` and ``add_generation_prompt``.
    :param continuation_flags: whether it has to be told so; other servers continue every last
        message of an assistant.
    :param prefix_echoed: whether an answer that comes whole begins with the message that it
        continues.
    :param reasoning_field: the field in which an assistant's thoughts go back to the server;
        None keeps them here. In answers every known field is read.
    :param tools: whether the server can call tools.
    :param named_tool: whether a choice may name the tool; elsewhere that one alone is offered, and
        a call required.
    :param json_schema: whether the server can keep an answer to a JSON schema.
    :param json_object: whether the server can keep an answer to any JSON object.
    :param schema_form: how a JSON schema is written: as OpenAI's ``json_schema``, or as the
        ``value`` of a JSON object (TGI).
    :param text_only: whether the content of a message must be one text.
    :param full_top_p: whether a ``top_p`` of 1 may be sent, which says no more than none at all.
    :param stop_echoed: whether an answer that a stop text ends has that text at its end.
    :param seed: whether the server takes a seed.
    :param reasoning_effort: whether the server takes a reasoning effort.
    :param completions: whether the server completes raw prompts.
    :param raw_response_format: whether it keeps those answers to a form, too.
    :param raw_below_v1: whether raw prompts are completed below ``/v1`` alone, wherever the base
        URL ends.
    :param raw_special_tokens: whether a raw prompt may say that it brings its own BOS.
    :param logprobs: how a chat asks for log probabilities: with a switch and the number of
        alternatives (``"top"``), or with that number alone (``"number"``); None where the server
        has none. Raw prompts always ask with the number.
    :param health_path: where the server tells whether it can serve, beside ``/v1``; None where it
        does not.
    :param counting: whose way of counting tokens the server has; None where it has none.
    :param slots: whose way of telling how many requests it serves at a time the server has; None
        where it does not tell.
    :param kept_streams: whose way of keeping a stream whose connection broke the server has, for
        the setting ``resumable``; None where it has none.
    :param input_tokens: whether the server counts a chat's tokens at ``/responses/input_tokens``.
    :param extra: members that every request body has besides.
    """

    max_tokens_field: str = "max_completion_tokens"
    stream_options: bool = True
    done_required: bool = True
    continuation: bool = False
    continuation_flags: bool = True
    prefix_echoed: bool = False
    reasoning_field: str | None = None
    tools: bool = True
    named_tool: bool = True
    json_schema: bool = True
    json_object: bool = True
    schema_form: Literal["json_schema", "value"] = "json_schema"
    text_only: bool = False
    full_top_p: bool = True
    stop_echoed: bool = False
    seed: bool = True
    reasoning_effort: bool = True
    completions: bool = True
    raw_response_format: bool = False
    raw_below_v1: bool = False
    raw_special_tokens: bool = False
    logprobs: Literal["top", "number"] | None = "top"
    health_path: str | None = None
    counting: Literal["vllm", "llama-server", "tgi", "localai", "realizar"] | None = None
    slots: Literal["llama-server", "vllm"] | None = None
    kept_streams: Literal["llama-server"] | None = None
    input_tokens: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict)


#: OpenAI itself.
OPENAI = Quirks()

#: vLLM, which many providers run.
VLLM = Quirks(
    continuation=True,
    reasoning_field="reasoning",
    raw_response_format=True,
    raw_special_tokens=True,
    health_path="/health",
    counting="vllm",
    slots="vllm",
)

#: llama.cpp's own server. Its ``/completions`` beside ``/v1`` is another protocol.
LLAMA_SERVER = Quirks(
    max_tokens_field="max_tokens",
    continuation=True,
    prefix_echoed=True,
    named_tool=False,  # it takes such a choice for "auto"
    reasoning_field="reasoning_content",
    raw_below_v1=True,
    health_path="/health",
    counting="llama-server",
    slots="llama-server",
    kept_streams="llama-server",
)
