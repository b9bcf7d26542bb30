"""Failover as a class that stands alone."""

from __future__ import annotations

import pytest

from andon import ChatDelta, ChatMessage, ChatRequest, FailoverManager, FailoverPolicy, FinishReason
from andon.errors import ContentFilterError, InvalidRequestError, TransportError


def test_a_broken_stream_goes_on_from_its_last_whole_word() -> None:
    manager = FailoverManager.with_defaults()
    manager.start_tracking("a", "What is the capital of France?")
    for token in ["The", " cap", "ital", " of", " Fr"]:
        manager.append_tokens("a", token)
    assert manager.should_failover("a", TransportError("cut"))
    way = manager.prepare_failover("a")
    assert way.request.messages[-1] == ChatMessage.assistant("The capital of")
    assert way.request.continue_final_message
    seam = way.seam()
    assert seam.feed(ChatDelta(text=" France")) == ChatDelta(text="ance")
    manager.complete("a")
    with pytest.raises(InvalidRequestError, match="start_tracking"):
        manager.delivered("a")


def test_each_call_without_progress_is_another_way() -> None:
    manager = FailoverManager.with_defaults()
    request = ChatRequest(model="m", prompt="Once", stream=True)
    manager.start_tracking("a", request)
    manager.append_tokens("a", " upon a ti")
    prompts = [manager.prepare_failover("a").request.prompt for _ in range(3)]
    assert prompts == ["Once upon a", "Once upon a ti", "Once"]
    with pytest.raises(InvalidRequestError, match="any other way"):
        manager.prepare_failover("a")
    manager.append_tokens("a", "me")
    assert manager.prepare_failover("a").request.prompt == "Once upon a"


def test_before_the_first_token_the_request_is_asked_anew() -> None:
    manager = FailoverManager.with_defaults()
    manager.start_tracking("a", "hi")
    assert manager.should_failover("a")
    way = manager.prepare_failover("a")
    assert way.request.messages == (ChatMessage.user("hi"),)
    assert not way.request.continue_final_message


def test_when_nobody_else_is_to_be_asked() -> None:
    manager = FailoverManager(FailoverPolicy(max_attempts=2))
    manager.start_tracking("a", "hi")
    assert not manager.should_failover("a", ContentFilterError("no", status=400))
    manager.append("a", ChatDelta(text="yes", finish_reason=FinishReason.STOP))
    assert not manager.should_failover("a")
    manager.start_tracking("b", "hi")
    manager.append_tokens("b", "y")
    manager.prepare_failover("b")
    assert not manager.should_failover("b")


def test_one_name_is_one_stream() -> None:
    manager = FailoverManager.with_defaults()
    manager.start_tracking("a", "hi")
    with pytest.raises(InvalidRequestError, match="followed already"):
        manager.start_tracking("a", "hi")
    manager.complete("a")
    manager.complete("a")
    manager.start_tracking("a", "hi")
