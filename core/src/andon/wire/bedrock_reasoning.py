"""How much a model is to think, as its family wants to be told through Bedrock's Converse."""

from __future__ import annotations

import re
from typing import Any

from andon.chat import ChatRequest
from andon.errors import UnsupportedParameterError

#: Claude 4.5 and older think up to a number of tokens that they are told; later models decide for
#: themselves (platform.claude.com, Troubleshooting thinking, 2026-10). The numbers are ours.
_BUDGETED = re.compile(r"claude-(?:3-7|(?:opus|sonnet|haiku)-4-(?:[0-5](?!\d)|2\d{7}))")
_BUDGETS = {"low": 2_048, "medium": 8_192, "high": 24_576}
_LEAST_BUDGET = 1_024

#: Amazon's Nova 2 (docs.aws.amazon.com, Nova 2, Extended thinking, 2026).
_NOVA = re.compile(r"amazon\.nova-[2-9]")
_NOVA_EFFORTS = ("low", "medium", "high")

#: Models with a field of their own, flat with the open ones and nested with OpenAI's later ones
#: (langchain-aws, pull requests 1188 and 1266, 2026-07 and 2026-09).
_FLAT = re.compile(r"openai\.gpt-oss|moonshot(?:ai)?\.kimi")
_NESTED = re.compile(r"(?:^|[./])openai\.")

#: The values of Converse's own field (botocore 1.44, service model of bedrock-runtime).
_EFFORTS = ("low", "medium", "high", "xhigh", "max")


def reasoning_fields(request: ChatRequest, limit: int | None) -> dict[str, Any]:
    """Return the members of the body that say how much to think.

    :param request: what to ask.
    :param limit: most tokens of the answer, where that is known.
    :raises UnsupportedParameterError: the model cannot be told so.
    """
    effort, model = request.reasoning_effort, request.model.lower()
    if effort is None:
        return {}
    if _FLAT.search(model):
        return _additional({"reasoning_effort": effort})
    if _NESTED.search(model):
        return _additional({"reasoning": {"effort": effort}})
    if _NOVA.search(model):
        return _additional({"reasoningConfig": _nova(effort)})
    if "claude" in model and effort == "none":
        return _additional({"thinking": {"type": "disabled"}})
    if _BUDGETED.search(model):
        budget = _budget(effort, limit)
        return _additional({"thinking": {"type": "enabled", "budget_tokens": budget}})
    return _own_field(effort, claude="claude" in model)


def _own_field(effort: str, *, claude: bool) -> dict[str, Any]:
    if effort not in _EFFORTS:
        raise _unsupported(effort, _EFFORTS)
    fields: dict[str, Any] = {"outputConfig": {"effort": effort}}
    if claude:
        # From 4.7 on thoughts come back empty unless they are asked for.
        fields |= _additional({"thinking": {"type": "adaptive", "display": "summarized"}})
    return fields


def _additional(fields: dict[str, Any]) -> dict[str, Any]:
    return {"additionalModelRequestFields": fields}


def _nova(effort: str) -> dict[str, str]:
    if effort == "none":
        return {"type": "disabled"}
    if effort not in _NOVA_EFFORTS:
        raise _unsupported(effort, (*_NOVA_EFFORTS, "none"))
    return {"type": "enabled", "maxReasoningEffort": effort}


def _budget(effort: str, limit: int | None) -> int:
    if effort not in _BUDGETS:
        raise _unsupported(effort, (*_BUDGETS, "none"))
    # Half of the answer is left for what is no thought.
    budget = _BUDGETS[effort] if limit is None else min(_BUDGETS[effort], limit // 2)
    if budget >= _LEAST_BUDGET:
        return budget
    raise UnsupportedParameterError(
        f"Claude 4.5 and older need max_tokens of at least {2 * _LEAST_BUDGET} to think, "
        f"not {limit}",
        parameter="reasoning_effort",
    )


def _unsupported(effort: str, known: tuple[str, ...]) -> UnsupportedParameterError:
    return UnsupportedParameterError(
        f"this model on Bedrock takes reasoning_effort {', '.join(known)}, not {effort!r}",
        parameter="reasoning_effort",
    )
