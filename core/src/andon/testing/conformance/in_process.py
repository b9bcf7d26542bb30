"""The conformance class for engines in this process, which no server can tell what to say."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import aclosing
from typing import Any, ClassVar

import pytest

from andon import (
    AndonError,
    BackendError,
    ChatMessage,
    ChatResponse,
    ConfigurationError,
    FinishReason,
    RequestTimeout,
    StreamInterrupted,
    UnsupportedParameterError,
)
from andon.testing.conformance.abilities import Ability
from andon.testing.conformance.base import COLOURS, Conformance
from andon.testing.conformance.contract import (
    ANSWER,
    CALLS,
    CLOSING,
    ENCODING,
    ENDING,
    LOOP,
    QUESTIONS,
    REFUSAL,
    SHARING,
    TIMEOUTS,
    TYPED,
    USABLE,
    USAGE,
    check,
    check_equal,
    fail,
)
from andon.testing.conformance.samples import PICTURE, SCHEMA, WEATHER
from andon.testing.conformance.stage import Stage

#: What these tests can show with any small model of text.
SHOWN = frozenset(
    {
        Ability.TOOLS, Ability.TOOL_CHOICE, Ability.JSON_SCHEMA, Ability.SEED, Ability.STOP,
        Ability.USAGE_DETAILS, Ability.MODEL_LIST, Ability.HEALTH, Ability.TOKEN_COUNT,
        Ability.CONTINUATION, Ability.RAW_PROMPT,
    }
)  # fmt: skip


#: A form that the smallest model comes to the end of.
_SHORT = {"type": "string", "maxLength": 8}
_VERDICT = {**SCHEMA, "properties": {"conformance_verdict": _SHORT}}


class InProcessConformance(Conformance):
    """What every engine in this process must do, shown on a real model.

    Subclass it, give the facts, and run pytest. The model must be one that answers
    :attr:`question` in several tokens, and the same each time at the temperature 0.
    """

    #: What the model is asked.
    question: ClassVar[str] = "What is the capital of France?"
    #: Seconds, where the test waits until they are over.
    short: ClassVar[float] = 0.1

    @pytest.fixture(scope="class", params=COLOURS)
    @classmethod
    def colour(cls, request: pytest.FixtureRequest) -> str:
        """Return which client is used; each test runs with both."""
        colour: str = request.param
        return colour

    @pytest.fixture(scope="class")
    @classmethod
    def stage(cls, colour: str) -> Iterator[Stage]:
        """Return the backend and a client of one colour; the model is loaded once for each."""
        caller = cls.make_caller(colour, cls.options)
        yield Stage(caller, cls.backend, cls.model, key="-")
        caller.close()

    def ask(self, stage: Stage, *, streamed: bool = False, **options: Any) -> ChatResponse:
        """Return the model's surest answer."""
        asked = {"messages": self.question, "temperature": 0, **options}
        return stage.ask(streamed=streamed, **asked).whole

    def both(self, stage: Stage, **options: Any) -> tuple[ChatResponse, ChatResponse]:
        """Return the model's surest answer, asked for whole and as a stream."""
        return self.ask(stage, **options), self.ask(stage, streamed=True, **options)

    # -- What goes well -----------------------------------------------------------------------

    def test_an_answer(self, stage: Stage) -> None:
        """A whole answer and a stream have the same text, and the same end."""
        whole, streamed = self.both(stage)
        check(whole.text.strip(), "the answer has no text", ANSWER)
        check_equal(streamed.text, whole.text, "the text of a streamed answer", ANSWER)
        counts = [(one.usage.input_tokens, one.usage.output_tokens) for one in (whole, streamed)]
        check_equal(counts[1], counts[0], "the usage of a streamed answer", USAGE)
        check_equal(whole.finish_reason, FinishReason.STOP, "the finish reason", ENDING)
        check(whole.raw_finish_reason, "the raw finish reason is missing", ENDING)

    def test_an_answer_in_pieces(self, stage: Stage) -> None:
        """A stream comes in pieces; only the last one ends it."""
        outcome = stage.stream(self.question, temperature=0)
        texts = [delta.text for delta in outcome.deltas if delta.text]
        check(len(texts) > 1, f"the answer came in one piece: {texts}", ANSWER)
        ends = [delta.finish_reason is not None for delta in outcome.deltas]
        check(ends == [False] * (len(ends) - 1) + [True], "the last piece is not the end", ENDING)
        check_equal(outcome.text, outcome.whole.text, "the text of all pieces", ANSWER)

    def test_usage(self, stage: Stage) -> None:
        """Tokens of the prompt and of the answer are counted."""
        usage = self.ask(stage).usage
        check(usage.input_tokens > 0 and usage.output_tokens > 1, f"it is {usage}", USAGE)
        check(not usage.estimated, "an engine need not estimate", USAGE)
        if self.claims(Ability.USAGE_DETAILS):
            again = self.ask(stage).usage
            check(again.cached_input_tokens > 0, "a prompt twice is not cached", USAGE)

    def test_max_tokens(self, stage: Stage) -> None:
        """An answer that meets its limit says so."""
        full = self.ask(stage).text
        for reply in self.both(stage, max_tokens=2):
            check_equal(reply.finish_reason, FinishReason.LENGTH, "the finish reason", ENDING)
            check(full.startswith(reply.text), f"{reply.text!r} is no beginning of it", ANSWER)
            check(reply.usage.output_tokens <= 2, f"it has {reply.usage.output_tokens}", ENCODING)

    def test_several_turns(self, stage: Stage) -> None:
        """A chat goes on with what was said."""
        first = self.ask(stage)
        chat = [ChatMessage.user(self.question), first.message, ChatMessage.user(self.question)]
        second = self.ask(stage, messages=chat)
        more = second.usage.input_tokens > first.usage.input_tokens
        check(more, "the longer chat has no more tokens", USAGE)

    # -- What is asked for --------------------------------------------------------------------

    def test_stop(self, stage: Stage) -> None:
        """An answer ends before a stop text."""
        if not self.claims(Ability.STOP):
            self._check_refused(stage, "stop", stop=["x"])
            return
        full = self.ask(stage).text
        word = full.split()[len(full.split()) // 2]
        for reply in self.both(stage, stop=[word, "⟂"]):
            check_equal(reply.text, full[: full.index(word)], "the text before the stop", ENCODING)
            check_equal(reply.finish_reason, FinishReason.STOP, "the finish reason", ENDING)

    def test_seed(self, stage: Stage) -> None:
        """A seed makes a hot answer repeatable."""
        if not self.claims(Ability.SEED):
            self._check_refused(stage, "seed", seed=1)
            return
        hot: dict[str, Any] = {"temperature": 1.5, "max_tokens": 12}
        texts = [self.ask(stage, seed=7, **hot).text for _ in range(2)]
        check_equal(texts[1], texts[0], "the second answer with one seed", ENCODING)

    def test_a_json_schema(self, stage: Stage) -> None:
        """An answer keeps to a JSON schema."""
        if not self.claims(Ability.JSON_SCHEMA):
            self._check_refused(stage, "response_format", response_format=SCHEMA)
            return
        reply = self.ask(stage, response_format=_VERDICT, max_tokens=100)
        kept = reply.finish_reason is FinishReason.STOP and _has_verdict(reply.text)
        check(kept, f"the answer is {reply.text!r}", ENCODING)

    def test_a_json_schema_that_goes_on(self, stage: Stage) -> None:
        """An answer that was begun keeps to its JSON schema as a whole, or is refused."""
        if not (self.claims(Ability.JSON_SCHEMA) and self.claims(Ability.CONTINUATION)):
            return
        full = self.ask(stage, response_format=_VERDICT, max_tokens=100).text
        begin = full[: len(full) // 2].rstrip()
        chat = [ChatMessage.user(self.question), ChatMessage.assistant(begin)]
        form: dict[str, Any] = {
            "response_format": _VERDICT,
            "continue_final_message": True,
            "max_tokens": 100,
        }
        try:
            reply = self.ask(stage, messages=chat, **form)
        except UnsupportedParameterError:
            return
        check(_has_verdict(begin + reply.text), f"it is {begin + reply.text!r}", ENCODING)

    def test_a_tool_call(self, stage: Stage) -> None:
        """A tool can be called, and its answer goes back."""
        if not self.claims(Ability.TOOLS):
            self._check_refused(stage, "tools", tools=[WEATHER])
            return
        check(self.claims(Ability.TOOL_CHOICE), "claim tool_choice with tools", CALLS)
        forced = {"tools": [WEATHER], "tool_choice": "get_weather", "max_tokens": 200}
        for reply in self.both(stage, **forced):
            [call] = reply.tool_calls
            check_equal(call.name, "get_weather", "the tool's name", CALLS)
            check(call.id and "city" in json.loads(call.arguments), f"it is {call}", CALLS)
            check_equal(reply.finish_reason, FinishReason.TOOL_CALLS, "the finish reason", ENDING)
            result = ChatMessage.tool('{"sky":"clear"}', call.id)
            chat = [ChatMessage.user(self.question), reply.message, result]
            self.ask(stage, messages=chat, tools=[WEATHER], max_tokens=20)

    def test_a_continuation(self, stage: Stage) -> None:
        """An assistant's last message is continued, and not repeated."""
        full = self.ask(stage).text
        words = full.split()
        begin = " ".join(words[: len(words) // 2])
        chat = [ChatMessage.user(self.question), ChatMessage.assistant(begin)]
        if not self.claims(Ability.CONTINUATION):
            self._check_refused(stage, None, messages=chat, continue_final_message=True)
            return
        for reply in self.both(stage, messages=chat, continue_final_message=True):
            check_equal(begin + reply.text, full, "beginning and continuation", ANSWER)

    def test_a_raw_prompt(self, stage: Stage) -> None:
        """A raw prompt is completed."""
        options = {"prompt": "Once upon a time", "temperature": 0, "max_tokens": 4}
        if not self.claims(Ability.RAW_PROMPT):
            self._check_refused(stage, None, **options)
            return
        whole = stage.ask(streamed=False, **options).whole
        streamed = stage.ask(streamed=True, **options).whole
        check_equal(streamed.text, whole.text, "the streamed completion", ANSWER)

    def test_what_else_is_not_claimed(self, stage: Stage) -> None:
        """What an engine cannot do is refused, by the option's name."""
        asked: dict[Ability, tuple[str | None, dict[str, Any]]] = {
            Ability.LOGPROBS: ("top_logprobs", {"top_logprobs": 1}),
            Ability.REASONING_EFFORT: ("reasoning_effort", {"reasoning_effort": "high"}),
            Ability.IMAGES: (None, {"messages": [ChatMessage.user(PICTURE)]}),
        }
        for ability, (parameter, options) in asked.items():
            if not self.claims(ability):
                self._check_refused(stage, parameter, **options)

    def test_every_claim_is_shown(self) -> None:
        """What is claimed is shown by a test; for more, override this one and add yours."""
        more = sorted(self.abilities - SHOWN)
        check(not more, f"no test of {type(self).__name__} shows {more}", ENCODING)

    def _check_refused(self, stage: Stage, parameter: str | None, **options: Any) -> None:
        for streamed in (False, True):
            asked = {} if "prompt" in options else {"messages": self.question}
            error = stage.ask(streamed=streamed, **{**asked, **options}).error
            refused = isinstance(error, UnsupportedParameterError)
            check(refused, f"{options} is not claimed, yet it became {error!r}", REFUSAL)
            found = getattr(error, "parameter", None)
            check(parameter in {None, found}, f"the error names {found!r}", REFUSAL)

    # -- Questions ----------------------------------------------------------------------------

    def test_questions(self, stage: Stage) -> None:
        """Models are listed, and tokens counted, as the answer's usage counts them."""
        if self.claims(Ability.MODEL_LIST):
            names = [card.name for card in stage.list_models()]
            check(self.model in names, f"{self.model!r} is not among {names}", QUESTIONS)
        if self.claims(Ability.HEALTH):
            stage.check_health()
        if self.claims(Ability.TOKEN_COUNT):
            stage_count = stage.count_tokens(self.question).tokens
            used = self.ask(stage).usage.input_tokens
            check_equal(stage_count, used, "the number of the prompt's tokens", QUESTIONS)

    # -- What goes wrong ----------------------------------------------------------------------

    def test_an_unknown_model(self, stage: Stage) -> None:
        """A model that is not there is an error that names it."""
        other = Stage(stage.caller, self.backend, "no-such-model", key="-")
        error = other.ask(streamed=False).error
        known = isinstance(error, ConfigurationError | BackendError)
        check(known and "no-such-model" in str(error), f"it became {error!r}", TYPED)

    def test_a_timeout(self, stage: Stage, colour: str) -> None:
        """An answer that takes too long is given up, and the next one comes."""
        error = stage.ask(streamed=False, messages=self.question, timeout=1e-6).error
        check(isinstance(error, RequestTimeout), f"it became {error!r}", TIMEOUTS)
        if colour == "sync":
            # The engine goes on when the reader does, so it cannot have finished in time.
            late = time.monotonic() + self.short
            outcome = stage.stream(
                self.question, timeout=self.short, seen=lambda delta: _wait_until(late)
            )
            given_up = isinstance(outcome.error, StreamInterrupted | RequestTimeout)
            check(given_up, f"the timeout passed, and it became {outcome.error!r}", TIMEOUTS)
        self._check_usable(stage)

    def test_closing_a_stream(self, stage: Stage) -> None:
        """A stream that is closed frees the engine for the next answer."""
        check(stage.leave(self.question), "no text came", CLOSING)
        self._check_usable(stage)

    def test_the_event_loop_goes_on(self, stage: Stage, colour: str) -> None:
        """While the engine computes, other tasks of the event loop go on."""
        if colour == "sync":
            pytest.skip("a thread that waits holds nobody up")
        # On a busy machine pieces may come in a bunch. What blocks the loop is never outrun.
        pieces = ticks = 0
        for _ in range(5):
            pieces, ticks = stage.caller.run(_beside(stage, self.question))
            if ticks > pieces:
                return
        fail(f"{ticks} steps were made beside {pieces} pieces", LOOP)

    def test_answers_at_once(self, stage: Stage, colour: str) -> None:
        """Several tasks may ask at the same time."""
        if colour == "sync":
            pytest.skip("threads of one test would hide their errors")
        texts = stage.caller.run(_at_once(stage, self.question))
        check_equal(texts, [self.ask(stage).text] * 3, "the answers of three tasks", SHARING)

    def _check_usable(self, stage: Stage) -> None:
        try:
            check(self.ask(stage).text, "the next answer is empty", USABLE)
        except AndonError as error:
            check(False, f"the next request failed: {error!r}", USABLE)


def _wait_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))


def _has_verdict(text: str) -> bool:
    try:
        return isinstance(json.loads(text)["conformance_verdict"], str)
    except (ValueError, KeyError, TypeError):
        return False


async def _beside(stage: Stage, question: str) -> tuple[int, int]:
    """Read a stream while another task counts its own steps; return pieces and steps."""
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0)
            ticks += 1

    ticking = asyncio.create_task(tick())
    pieces = 0
    async with aclosing(stage.caller.client.stream(stage.name, question)) as stream:
        async for _ in stream:
            pieces += 1
    ticking.cancel()
    return pieces, ticks


async def _at_once(stage: Stage, question: str) -> list[str]:
    ask = stage.caller.client.chat
    replies = await asyncio.gather(*(ask(stage.name, question, temperature=0) for _ in range(3)))
    return [reply.text for reply in replies]
