"""andon-replicate and the conformance kit."""

from __future__ import annotations

import pytest

import andon_replicate
from andon import TransportError
from andon.testing import ALL, Ability, BackendConformance
from andon.testing.conformance.wire_stage import WireStage
from andon.testing.providers.replicate import ID, ReplicateProvider
from andon.testing.server import reset

#: What no model of Replicate has an input for, and what it does not tell.
_MISSING = {
    Ability.TOOLS, Ability.PARALLEL_TOOLS, Ability.TOOL_CHOICE, Ability.JSON_SCHEMA,
    Ability.LOGPROBS, Ability.USAGE_DETAILS, Ability.REASONING, Ability.TOKEN_COUNT,
}  # fmt: skip

LONGER = [
    {"role": "user", "content": "Hello"},
    {"role": "assistant", "content": "Ahoy"},
    {"role": "user", "content": "And now?"},
]


class Predictions(BackendConformance):
    """What is different where an answer is a job."""

    plugin = andon_replicate
    backend = "replicate"
    provider = ReplicateProvider()

    @pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
    def test_a_reset_before_the_answer(self, stage: WireStage, streamed: bool) -> None:
        """A prediction may exist although no reply came, so no second one is created."""
        stage.first([reset])
        assert isinstance(stage.failure(streamed=streamed), TransportError)
        stage.check_attempts(1)
        stage.check_usable()

    def test_the_request_id(self, stage: WireStage) -> None:
        """The id is that of the prediction, which a stream itself does not tell."""
        assert [reply.request_id for reply in stage.both()] == [ID, ID]


class TestTemplated(Predictions):
    variant = "template"
    model = "meta/meta-llama-3-8b-instruct"
    abilities = ALL - _MISSING - {Ability.IMAGES, Ability.REASONING_EFFORT}


class TestPrompted(Predictions):
    variant = "prompt"
    model = "sample/sample-model"
    abilities = (
        ALL - _MISSING - {Ability.REASONING_EFFORT, Ability.CONTINUATION, Ability.RAW_PROMPT}
    )

    def test_the_whole_chat_is_sent(self, stage: WireStage) -> None:
        """Its single prompt has no place for a longer chat."""
        stage.check_refused(None, messages=LONGER)


class TestMessages(Predictions):
    variant = "messages"
    model = "openai/sample-model"
    abilities = (
        ALL - _MISSING - {Ability.SEED, Ability.STOP, Ability.CONTINUATION, Ability.RAW_PROMPT}
    )
