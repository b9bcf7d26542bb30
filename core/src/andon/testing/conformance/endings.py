"""How answers end: tool calls, usage, finish reasons, and who keeps the request's id."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from andon import ChatMessage, ChatResponse, FinishReason, TokenLogprob, ToolCall, Usage
from andon.testing.conformance.abilities import Ability
from andon.testing.conformance.base import Conformance
from andon.testing.conformance.contract import (
    ANSWER,
    CALLS,
    ENCODING,
    ENDING,
    USAGE,
    check,
    check_equal,
)
from andon.testing.conformance.samples import CALL, CLOCK, OTHER_CALL, QUESTION, SAMPLE, WEATHER
from andon.testing.conformance.wire_stage import WireStage
from andon.testing.provider import SampleAnswer
from andon.wire.dialect import HTTPReply

#: The parts of a usage, by the ability of the provider that writes them.
DETAILS: dict[str, Callable[[Usage], Usage]] = {
    "cached_usage": lambda usage: replace(usage, cached_input_tokens=30),
    "cache_write_usage": lambda usage: replace(usage, cache_write_tokens=20),
    "reasoning_usage": lambda usage: replace(usage, reasoning_tokens=10),
}


class EndingTests(Conformance):
    """An answer ends with everything that is known of it."""

    @pytest.mark.parametrize("reason", FinishReason)
    def test_finish_reasons(self, stage: WireStage, reason: FinishReason) -> None:
        """The finish reason is one of andon's words, and the provider's own is kept."""
        if reason not in stage.provider.finish_reasons:
            pytest.skip("the protocol has no word for it")
        calls = reason is FinishReason.TOOL_CALLS
        if calls:
            self.need(Ability.TOOLS)
        called = (CALL,) if calls else ()
        stage.sample = replace(SAMPLE, finish_reason=reason, tool_calls=called)
        tools = {"tools": [WEATHER]} if calls else {}
        for reply in stage.both(**tools):
            check_equal(reply.finish_reason, reason, "the finish reason", ENDING)
            check(reply.raw_finish_reason, "the provider's own finish reason is lost", ENDING)

    def test_usage(self, stage: WireStage) -> None:
        """Tokens are counted, at the latest with the last piece."""
        stage.sample = replace(SAMPLE, usage=Usage(123, 45))
        for reply in stage.both():
            check_equal(reply.usage, Usage(123, 45), "the usage", USAGE)

    def test_usage_details(self, stage: WireStage) -> None:
        """Cached, cache-write and reasoning tokens are parts of their wholes."""
        written = [part for name, part in DETAILS.items() if name in stage.provider.abilities]
        claimed = self.claims(Ability.USAGE_DETAILS)
        check(
            bool(written) or not claimed,
            f"{type(stage.provider).__name__} writes no details of usage; do not claim them",
            USAGE,
        )
        usage = Usage(120, 50)
        for part in written if claimed else ():
            usage = part(usage)
        stage.sample = replace(SAMPLE, usage=usage)
        for reply in stage.both():
            check_equal(reply.usage, stage.sample.usage, "the usage", USAGE)

    def test_the_request_id(self, stage: WireStage) -> None:
        """The provider's id of the request is kept."""
        replies = stage.both()
        stream = stage.provider.stream(SAMPLE)
        whole = stage.provider.whole(SAMPLE)
        stage.check_request_id(replies[0].request_id, whole)
        streamed = HTTPReply(status=200, headers=stream.headers, body=stream.body)
        stage.check_request_id(replies[1].request_id, streamed)

    def test_logprobs(self, stage: WireStage) -> None:
        """Log probabilities come with the tokens, where they were asked for."""
        if not self.claims(Ability.LOGPROBS):
            stage.check_refused("top_logprobs", top_logprobs=2)
            return
        stage.check_writes("logprobs")
        logprobs = tuple(
            TokenLogprob(piece, -0.5 * place, ((piece, -0.5 * place), ("x", -9.5)))
            for place, piece in enumerate(SAMPLE.text, 1)
        )
        stage.sample = replace(SAMPLE, logprobs=logprobs)
        for reply in stage.both(top_logprobs=2):
            check_equal(reply.logprobs, logprobs, "the log probabilities", ANSWER)


class ToolTests(Conformance):
    """Tools can be called, and answer."""

    def test_a_tool_call(self, stage: WireStage) -> None:
        """A call has an id, the tool's name, and the arguments to the last character."""
        if not self.claims(Ability.TOOLS):
            stage.check_refused("tools", tools=[WEATHER])
            return
        stage.check_writes("tools")
        stage.sample = _calling(CALL)
        for reply in stage.both(tools=[WEATHER]):
            _check_calls(reply, (CALL,))
        for name in ("get_weather", "Tell the weather of a city.", "city"):
            stage.check_sent(name)

    def test_parallel_tool_calls(self, stage: WireStage) -> None:
        """Several calls in one answer stay apart."""
        self.need(Ability.PARALLEL_TOOLS)
        stage.check_writes("parallel_tools")
        again = replace(CALL, id="call_c3", arguments='{"city":"東京"}')
        stage.sample = _calling(CALL, OTHER_CALL, again)
        for reply in stage.both(tools=[WEATHER, CLOCK]):
            _check_calls(reply, (CALL, OTHER_CALL, again))

    def test_the_result_of_a_tool(self, stage: WireStage) -> None:
        """The assistant's message and the tool's answer go back to the server."""
        self.need(Ability.TOOLS)
        for streamed in (False, True):
            stage.sample = replace(_calling(CALL), text=())
            asked = stage.ask(streamed=streamed, tools=[WEATHER]).whole
            answer = ChatMessage.tool('{"sky":"wölkig"}', asked.tool_calls[0].id)
            stage.sample = SAMPLE
            reply = stage.chat([ChatMessage.user(QUESTION), asked.message, answer], tools=[WEATHER])
            check_equal(reply.text, "".join(SAMPLE.text), "the answer to a result", ANSWER)
            for value in ("get_weather", "Zürich", "wölkig"):
                stage.check_sent(value)

    def test_a_forced_call(self, stage: WireStage) -> None:
        """A call of one tool can be demanded."""
        choice = {"tools": [WEATHER, CLOCK], "tool_choice": "get_weather"}
        if not self.claims(Ability.TOOL_CHOICE):
            stage.check_refused(None, **choice)
            return
        stage.sample = _calling(CALL)
        stage.chat(tools=[WEATHER, CLOCK])
        free = stage.requests[-1].body
        for reply in stage.both(**choice):
            check_equal(reply.finish_reason, FinishReason.TOOL_CALLS, "the finish reason", ENDING)
            check(stage.requests[-1].body != free, "tool_choice is not in the request", ENCODING)


def _calling(*calls: ToolCall) -> SampleAnswer:
    return replace(SAMPLE, tool_calls=calls, finish_reason=FinishReason.TOOL_CALLS)


def _check_calls(reply: ChatResponse, calls: tuple[ToolCall, ...]) -> None:
    check_equal(reply.finish_reason, FinishReason.TOOL_CALLS, "the finish reason", ENDING)
    found = [(call.name, _read(call)) for call in reply.tool_calls]
    check_equal(found, [(call.name, _read(call)) for call in calls], "the tool calls", CALLS)
    ids = {call.id for call in reply.tool_calls}
    check(all(ids) and len(ids) == len(calls), f"the calls have the ids {ids}", CALLS)


def _read(call: ToolCall) -> object:
    try:
        return json.loads(call.arguments)
    except ValueError:
        return call.arguments
