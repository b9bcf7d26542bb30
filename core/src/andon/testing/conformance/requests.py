"""What is asked goes over the wire, or is refused before anything does."""

from __future__ import annotations

from typing import Any

from andon import ChatMessage
from andon.testing.conformance.abilities import Ability
from andon.testing.conformance.base import Conformance
from andon.testing.conformance.contract import ANSWER, ENCODING, check, check_equal
from andon.testing.conformance.samples import (
    MAX_TOKENS,
    PICTURE,
    PIXEL,
    QUESTION,
    SCHEMA,
    SEED,
    STOP_TEXT,
    TEXT,
)
from andon.testing.conformance.wire_stage import WireStage, mentions


class RequestTests(Conformance):
    """A claimed ability changes the request; one that is not claimed is refused."""

    def test_the_whole_chat_is_sent(self, stage: WireStage) -> None:
        """Instructions, questions and earlier answers arrive, whatever letters they have."""
        chat = [
            ChatMessage.system("Speak like a pîrate."),
            ChatMessage.user("Ahoy 🦜"),
            ChatMessage.assistant("Arr, “matey”"),
            ChatMessage.user(QUESTION),
        ]
        for streamed in (False, True):
            stage.ask(streamed=streamed, messages=chat)
            for message in chat:
                stage.check_sent(message.text)

    def test_max_tokens(self, stage: WireStage) -> None:
        """The length of an answer can be limited."""
        stage.both(max_tokens=MAX_TOKENS)
        stage.check_sent(MAX_TOKENS)

    def test_seed(self, stage: WireStage) -> None:
        """A seed is sent."""
        self._sent_or_refused(stage, Ability.SEED, "seed", SEED, seed=SEED)

    def test_stop(self, stage: WireStage) -> None:
        """Texts at which the answer ends are sent."""
        self._sent_or_refused(stage, Ability.STOP, "stop", STOP_TEXT, stop=[STOP_TEXT, "END"])

    def test_a_json_schema(self, stage: WireStage) -> None:
        """An answer can be kept to a JSON schema."""
        self._sent_or_refused(
            stage,
            Ability.JSON_SCHEMA,
            "response_format",
            "conformance_verdict",
            response_format=SCHEMA,
        )

    def test_a_reasoning_effort(self, stage: WireStage) -> None:
        """The effort of a model's thoughts can be chosen."""
        if not self.claims(Ability.REASONING_EFFORT):
            stage.check_refused("reasoning_effort", reasoning_effort="high")
            return
        stage.chat()
        plain = stage.requests[-1].body
        for reply in stage.both(reasoning_effort="high"):
            check_equal(reply.text, TEXT, "the text", ANSWER)
            check(stage.requests[-1].body != plain, "reasoning_effort is not sent", ENCODING)

    def test_images(self, stage: WireStage) -> None:
        """A message can have images."""
        messages = [ChatMessage.user(PICTURE)]
        if not self.claims(Ability.IMAGES):
            stage.check_refused(None, messages=messages)
            return
        for reply in stage.both(messages=messages):
            check_equal(reply.text, TEXT, "the text", ANSWER)
        stage.check_sent(PIXEL)
        stage.check_sent("What is this?")

    def test_a_continuation(self, stage: WireStage) -> None:
        """An assistant's last message is continued, and not repeated."""
        messages = [ChatMessage.user(QUESTION), ChatMessage.assistant("Well then:")]
        if not self.claims(Ability.CONTINUATION):
            stage.check_refused(None, messages=messages, continue_final_message=True)
            return
        for reply in stage.both(messages=messages, continue_final_message=True):
            check_equal(reply.text, TEXT, "the continuation", ANSWER)
        stage.check_sent("Well then:")

    def test_a_raw_prompt(self, stage: WireStage) -> None:
        """A raw prompt is completed as it stands."""
        prompt = "Once upon a tîme"
        if not self.claims(Ability.RAW_PROMPT):
            stage.check_refused(None, prompt=prompt)
            return
        check_equal(stage.complete(prompt).text, TEXT, "the completion", ANSWER)
        streamed = stage.stream(prompt=prompt).whole
        check_equal(streamed.text, TEXT, "the streamed completion", ANSWER)
        stage.check_sent(prompt)

    def _sent_or_refused(
        self, stage: WireStage, ability: Ability, parameter: str, value: str | int, **options: Any
    ) -> None:
        if not self.claims(ability):
            stage.check_refused(parameter, **options)
            return
        for reply in stage.both(**options):
            check_equal(reply.text, TEXT, "the text", ANSWER)
        for request in stage.asked:
            check(mentions(request, value), f"{parameter} is not in {request}", ENCODING)
