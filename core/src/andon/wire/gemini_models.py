"""What a Gemini model's name tells of the form in which it wants to be asked."""

from __future__ import annotations

import re
from typing import Any

from andon.errors import InvalidRequestError, UnsupportedParameterError

_NAME = re.compile(r"[\w.@:~-]+(?:/[\w.@:~-]+)*", re.ASCII)

#: Models from before thinking levels. Later names, and names that say nothing of a version, are
#: asked as the newest ones are.
_EARLY = re.compile(r"(?:^|/)gemini-(?:[12](?![0-9])|pro(?:-vision)?$)")
_BUDGETED = re.compile(r"(?:^|/)gemini-2\.5(?![0-9])")
_ALWAYS_THINKING = re.compile(r"(?:^|/)gemini-2\.5-pro")
_GEMINI = re.compile(r"(?:^|/)gemini-")

#: The levels of Gemini 3 and later (google-genai 3.4, types.ThinkingLevel; which model takes which
#: is written at docs.cloud.google.com/gemini-enterprise-agent-platform/models/thinking).
_LEVELS = ("minimal", "low", "medium", "high", "xhigh")

#: Tokens for Gemini 2.5, which has budgets instead: Google's own numbers for the same words
#: (ai.google.dev/gemini-api/docs/openai, section on thinking).
_BUDGETS = {"minimal": 1_024, "low": 1_024, "medium": 8_192, "high": 24_576}


def model_path(model: str) -> str:
    """Return the path of a model, as Google's SDK makes it of a name.

    :param model: a name of Google's, ``publisher/name``, or a path that begins with
        ``publishers/``, ``models/`` or ``projects/``.
    :raises InvalidRequestError: no model has such a name.
    """
    if not _NAME.fullmatch(model) or ".." in model:
        raise InvalidRequestError(
            f"{model!r:.80} is no name of a model; name one like gemini-3.5-flash, "
            "publishers/google/models/gemini-3.5-flash or projects/…/locations/…/endpoints/…"
        )
    if model.startswith(("projects/", "models/", "publishers/")):
        return model
    publisher, slash, name = model.partition("/")
    return f"publishers/{publisher}/models/{name}" if slash else f"publishers/google/models/{model}"


def demands_signatures(model: str) -> bool:
    """Return whether a model refuses calls of tools in the chat that nobody signed."""
    name = model.lower()
    return bool(_GEMINI.search(name)) and not _EARLY.search(name)


def thinking_config(model: str, effort: str) -> dict[str, Any]:
    """Return how much a model is to think, in the form that its generation takes.

    :param model: the model's name.
    :param effort: the effort that is asked for.
    :raises UnsupportedParameterError: the model cannot think so.
    """
    name = model.lower()
    if _BUDGETED.search(name):
        return _budget(name, effort)
    if _EARLY.search(name):
        raise _refused(model, effort, "nothing, for it does not think")
    if effort not in _LEVELS:
        raise _refused(model, effort, f"{', '.join(_LEVELS)}; it cannot stop thinking altogether")
    return {"thinkingLevel": effort.upper(), "includeThoughts": True}


def _budget(name: str, effort: str) -> dict[str, Any]:
    if effort == "none" and not _ALWAYS_THINKING.search(name):
        return {"thinkingBudget": 0}
    if effort in _BUDGETS:
        return {"thinkingBudget": _BUDGETS[effort], "includeThoughts": True}
    also = "" if _ALWAYS_THINKING.search(name) else " or none"
    raise _refused(name, effort, f"{', '.join(_BUDGETS)}{also}")


def _refused(model: str, effort: str, instead: str) -> UnsupportedParameterError:
    return UnsupportedParameterError(
        f"{model} does not take the reasoning_effort {effort!r}; it takes {instead}",
        parameter="reasoning_effort",
    )
