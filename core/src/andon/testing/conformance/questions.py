"""Questions besides the chat: which models there are, whether all is well, how long a prompt is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import pytest

from andon import AndonError, AuthenticationError, ConfigurationError
from andon.testing.conformance.abilities import Ability
from andon.testing.conformance.base import Conformance
from andon.testing.conformance.contract import (
    ERRORS,
    PROVIDER,
    QUESTIONS,
    TYPED,
    broken,
    check,
    check_equal,
)
from andon.testing.conformance.samples import QUESTION
from andon.testing.conformance.wire_stage import WireStage
from andon.testing.server import respond, send_reply
from andon.wire.dialect import HTTPReply

T = TypeVar("T")

NAMES = ("first-model", "vendor/second-model")


class QuestionTests(Conformance):
    """A question is answered, or refused before anything is sent."""

    def test_the_model_list(self, stage: WireStage) -> None:
        """The server's models are listed by their names."""
        if not self.claims(Ability.MODEL_LIST):
            _check_unanswerable(stage, stage.list_models)
            return
        stage.first([send_reply(_written(stage, stage.provider.models(NAMES)))])
        names = [card.name for card in _answer(stage.list_models)]
        check_equal(names, list(NAMES), "the names of the models", QUESTIONS)
        _check_failures(stage, stage.list_models)

    def test_health(self, stage: WireStage) -> None:
        """A server that is well raises no error, and one that is not does."""
        if not self.claims(Ability.HEALTH):
            _check_unanswerable(stage, stage.check_health)
            return
        well = stage.provider.health() or stage.provider.models(NAMES)
        stage.first([respond(200, b"{}") if well is None else send_reply(well)])
        _answer(stage.check_health)
        _check_failures(stage, stage.check_health)

    def test_a_token_count(self, stage: WireStage) -> None:
        """The server counts the tokens of a prompt."""
        if not self.claims(Ability.TOKEN_COUNT):
            _check_unanswerable(stage, stage.count_tokens)
            return
        stage.first([send_reply(_written(stage, stage.provider.tokens(37)))])
        check_equal(_answer(stage.count_tokens).tokens, 37, "the number of tokens", QUESTIONS)
        stage.check_sent(QUESTION)
        _check_failures(stage, stage.count_tokens)


def _written(stage: WireStage, reply: HTTPReply | None) -> HTTPReply:
    name = type(stage.provider).__name__
    check(reply is not None, f"claimed, but {name} writes no reply to it", PROVIDER)
    assert reply is not None
    return reply


def _check_unanswerable(stage: WireStage, ask: Callable[[], Any]) -> None:
    error = _error(ask)
    refused = isinstance(error, ConfigurationError)
    check(refused, f"not claimed, yet it was not refused but {error!r}", QUESTIONS)
    check_equal(list(stage.requests), [], "what was sent", QUESTIONS)


def _check_failures(stage: WireStage, ask: Callable[[], Any]) -> None:
    """Check that errors are explained, and what is no answer is not taken for one."""
    stage.first([send_reply(stage.provider.error(401, "Your kéy is void"))])
    error = _error(ask)
    check(isinstance(error, AuthenticationError), f"a 401 became {error!r}", ERRORS)
    check("Your kéy is void" in str(error), f"the message is lost: {error!r}", ERRORS)
    stage.first([respond(200, b"<html>Sign in</html>", "text/html")])
    check(isinstance(_error(ask), AndonError), "a web page was taken for an answer", TYPED)


def _answer(ask: Callable[[], T]) -> T:
    try:
        return ask()
    except AndonError as error:
        problem = f"the question failed: {error!r}"
    pytest.fail(broken(problem, QUESTIONS), pytrace=False)


def _error(ask: Callable[[], Any]) -> AndonError | None:
    try:
        ask()
    except AndonError as error:
        return error
    return None
