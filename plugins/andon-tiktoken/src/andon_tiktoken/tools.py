"""How many tokens OpenAI's models take for the tools of a chat.

The numbers are those of the OpenAI cookbook, "How to count tokens with tiktoken", section 7. They
reproduce what the API reports for functions whose parameters are plain values; what the API makes
of nested ones is not told, and so not counted here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from andon.chat import Tool

#: Tokens of each function's frame, by encoding.
FUNCTION = {"cl100k_base": 10, "o200k_base": 7}

#: Tokens of: the list of parameters, each of them, a list of allowed values (which takes the place
#: of something longer), each of these, and the end of all.
_PARAMETERS, _PARAMETER, _VALUES, _VALUE, _END = 3, 3, -3, 3, 12

#: What is known to be counted; anything else in a parameter is not.
_PLAIN_TYPES = {"string", "number", "integer", "boolean"}
_PLAIN_KEYS = {"type", "description", "enum"}


def count(frame: int, tools: Sequence[Tool], text: Callable[[str], int]) -> int | None:
    """Return the tokens that tools take in a prompt, or None where that is not known.

    :param frame: tokens of each function's frame.
    :param tools: the tools.
    :param text: counts the tokens of a text.
    """
    counts = [_function(frame, tool, text) for tool in tools]
    known = [tokens for tokens in counts if tokens is not None]
    return None if len(known) < len(counts) else sum(known) + _END


def _function(frame: int, tool: Tool, text: Callable[[str], int]) -> int | None:
    tokens = frame + text(f"{tool.name}:{tool.description.removesuffix('.')}")
    parameters = tool.parameters.get("properties") or {}
    if not isinstance(parameters, Mapping) or not all(map(_is_plain, parameters.values())):
        return None
    if parameters:
        tokens += _PARAMETERS
    return tokens + sum(_parameter(name, facts, text) for name, facts in parameters.items())


def _parameter(name: str, facts: Mapping[str, Any], text: Callable[[str], int]) -> int:
    description = facts.get("description", "").removesuffix(".")
    tokens = _PARAMETER + text(f"{name}:{facts['type']}:{description}")
    if "enum" in facts:
        tokens += _VALUES + sum(_VALUE + text(value) for value in facts["enum"])
    return tokens


def _is_plain(facts: Any) -> bool:
    return (
        isinstance(facts, Mapping)
        and facts.keys() <= _PLAIN_KEYS
        and facts.get("type") in _PLAIN_TYPES
        and isinstance(facts.get("description", ""), str)
        and all(isinstance(value, str) for value in facts.get("enum", ()))
    )
