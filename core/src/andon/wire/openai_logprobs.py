"""Log probabilities, in every form that servers of OpenAI's protocols give them. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from andon.chat import TokenLogprob


def logprobs_of(choice: Mapping[str, Any], text: str) -> tuple[TokenLogprob, ...]:
    """Return how likely the tokens of a choice were, or of a piece of one.

    :param choice: the choice; its ``logprobs`` are a list of tokens (chats), parallel lists (raw
        completions, and chats at Together), or one number for the piece's only token (Together's
        streams).
    :param text: the text of the piece.
    """
    value = choice.get("logprobs")
    if value is None:
        return ()
    if not isinstance(value, Mapping):
        # In a stream the number 0.0 is a certainty.
        alone = _number(value) if text else None
        top = choice.get("top_logprobs")
        pairs = top.items() if isinstance(top, Mapping) else ()
        return () if alone is None else (TokenLogprob(text, alone, _ranked(pairs)),)
    if "content" in value or "refusal" in value:
        return read_rows([*(value.get("content") or ()), *(value.get("refusal") or ())])
    return _from_lists(value)


def read_rows(rows: Iterable[Mapping[str, Any]]) -> tuple[TokenLogprob, ...]:
    """Return the tokens of a list in which each is an object.

    :param rows: objects with ``token``, ``logprob`` and ``top_logprobs``.
    """
    return tuple(
        TokenLogprob(str(row["token"]), logprob, _ranked(map(_pair, row.get("top_logprobs") or ())))
        for row in rows
        if (logprob := _number(row.get("logprob"))) is not None
    )


def _from_lists(value: Mapping[str, Any]) -> tuple[TokenLogprob, ...]:
    tokens, logprobs = value.get("tokens") or (), value.get("token_logprobs") or ()
    tops = value.get("top_logprobs")
    # One mapping for all tokens says nothing of any of them.
    alternatives = tops if isinstance(tops, list) else [None] * len(tokens)
    # The first token of an echoed prompt has no probability.
    return tuple(
        TokenLogprob(str(token), number, _ranked((top or {}).items()))
        for token, logprob, top in zip(tokens, logprobs, alternatives, strict=False)
        if (number := _number(logprob)) is not None
    )


def _pair(row: Mapping[str, Any]) -> tuple[Any, Any]:
    return row.get("token"), row.get("logprob")


def _ranked(pairs: Iterable[tuple[Any, Any]]) -> tuple[tuple[str, float], ...]:
    known = [
        (str(token), number)
        for token, logprob in pairs
        if token is not None and (number := _number(logprob)) is not None
    ]
    return tuple(sorted(known, key=lambda pair: -pair[1]))


def _number(value: Any) -> float | None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if number else None
