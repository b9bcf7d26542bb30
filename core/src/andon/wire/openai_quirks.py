"""Where servers that speak OpenAI's Chat Completions differ from OpenAI."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


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
    :param reasoning_field: the field in which an assistant's thoughts go back to the server;
        None keeps them here. In answers every known field is read.
    :param tools: whether the server can call tools.
    :param json_schema: whether the server can keep an answer to a JSON schema.
    :param seed: whether the server takes a seed.
    :param reasoning_effort: whether the server takes a reasoning effort.
    :param completions: whether the server completes raw prompts.
    :param extra: members that every request body has besides.
    """

    max_tokens_field: str = "max_completion_tokens"
    stream_options: bool = True
    done_required: bool = True
    continuation: bool = False
    reasoning_field: str | None = None
    tools: bool = True
    json_schema: bool = True
    seed: bool = True
    reasoning_effort: bool = True
    completions: bool = True
    extra: Mapping[str, Any] = field(default_factory=dict)


#: OpenAI itself.
OPENAI = Quirks()
