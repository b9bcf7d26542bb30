"""The list of models, at servers of OpenAI's protocols. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from andon.specs import ModelCard
from andon.wire.dialect import HTTPCall, HTTPReply, Query
from andon.wire.json_values import read_json

#: Where servers say how much a model's context window holds: Groq; Together, Fireworks and most
#: routers; vLLM.
_WINDOWS = ("context_window", "context_length", "max_model_len")

#: Where servers say how long an answer may be: Groq; routers.
_OUTPUTS = ("max_completion_tokens", "max_output_tokens")


def models_query(headers: Mapping[str, str], path: str = "/models") -> Query[Sequence[ModelCard]]:
    """Return how to ask which models there are.

    :param headers: the headers of the call.
    :param path: where the list is.
    """
    return Query(HTTPCall(path=path, method="GET", headers=headers), read_models)


def read_models(reply: HTTPReply) -> Sequence[ModelCard]:
    """Return the models of a list, which may stand alone (Together) or in an object.

    :raises ValueError: it is no JSON.
    :raises TypeError: it is no list of models.
    """
    body = read_json(reply.body)
    rows = body if isinstance(body, list) else body["data"]
    if not isinstance(rows, list):
        raise TypeError("a list of models is no list")
    # Groq lists models that it no longer serves.
    return [_card(row) for row in rows if row.get("active") is not False]


def _card(row: Mapping[str, Any]) -> ModelCard:
    name = row["id"]
    if not isinstance(name, str) or not name:
        raise ValueError("the name of a model is no text")
    # llama.cpp's server tells it among the facts of the file.
    window = _first(row, _WINDOWS) or _first(row.get("meta") or {}, ("n_ctx",))
    output = _first(row, _OUTPUTS)
    return ModelCard(name=name, context_window=window, max_output_tokens=output)


def _first(row: Mapping[str, Any], names: Sequence[str]) -> int | None:
    values = (row.get(name) for name in names)
    return next((value for value in values if type(value) is int and value > 0), None)
