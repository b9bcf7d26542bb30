"""What a backend can be asked for besides text: what it claims is proved, the rest is refused."""

from __future__ import annotations

from enum import StrEnum


class Ability(StrEnum):
    """Something that not every backend can do.

    An ability that is asked for with an option is refused by a backend that does not claim it,
    with :class:`andon.UnsupportedParameterError`, before anything is sent.
    """

    TOOLS = "tools"
    PARALLEL_TOOLS = "parallel_tools"
    TOOL_CHOICE = "tool_choice"
    IMAGES = "images"
    JSON_SCHEMA = "json_schema"
    REASONING = "reasoning"
    REASONING_EFFORT = "reasoning_effort"
    SEED = "seed"
    STOP = "stop"
    LOGPROBS = "logprobs"
    USAGE_DETAILS = "usage_details"
    MODEL_LIST = "model_list"
    HEALTH = "health"
    TOKEN_COUNT = "token_count"  # noqa: S105  no password
    CONTINUATION = "continuation"
    RAW_PROMPT = "raw_prompt"


#: Every ability, to subtract from: ``ALL - {Ability.SEED}``.
ALL = frozenset(Ability)
