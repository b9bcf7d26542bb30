"""What a server near by is asked before it is sent a chat that may be too long for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from andon.backends import AnswersQuestions, Backend
from andon.chat import ChatRequest
from andon.errors import AndonError
from andon.specs import ModelCard

#: What servers said of their models, by the backend's identity: a server is asked once, since its
#: windows stay as they are while it runs.
Cards: TypeAlias = dict[int, dict[str, ModelCard]]


def learn_card(backend: Backend, model: str, cards: Cards) -> ModelCard | None:
    """Return what a server says of a model, or None where it says nothing.

    :param backend: the server, which lives at least as long as ``cards``.
    :param model: the model's name there.
    :param cards: what was learnt before.
    """
    known = cards.get(id(backend))
    if known is None and isinstance(backend, AnswersQuestions):
        try:
            known = cards[id(backend)] = _named(backend.list_models())
        except AndonError:
            return None
    return _of(known, model)


async def alearn_card(backend: Backend, model: str, cards: Cards) -> ModelCard | None:
    """Return what a server says of a model; see :func:`learn_card`."""
    known = cards.get(id(backend))
    if known is None and isinstance(backend, AnswersQuestions):
        try:
            known = cards[id(backend)] = _named(await backend.alist_models())
        except AndonError:
            return None
    return _of(known, model)


def count_there(backend: Backend, request: ChatRequest) -> int | None:
    """Return the tokens of a prompt, as its server counts them, or None where it does not."""
    if not isinstance(backend, AnswersQuestions):
        return None
    try:
        return backend.count_tokens(request)
    except AndonError:
        # Not to be asked, or not now: the chat itself is still sent.
        return None


async def acount_there(backend: Backend, request: ChatRequest) -> int | None:
    """Return the tokens of a prompt, as its server counts them; see :func:`count_there`."""
    if not isinstance(backend, AnswersQuestions):
        return None
    try:
        return await backend.acount_tokens(request)
    except AndonError:
        return None


def _named(cards: Sequence[ModelCard]) -> dict[str, ModelCard]:
    return {card.name: card for card in cards}


def _of(known: dict[str, ModelCard] | None, model: str) -> ModelCard | None:
    if not known:
        return None
    # A server of one model often answers to any name.
    return known.get(model) or (next(iter(known.values())) if len(known) == 1 else None)
