"""andon-openai and the conformance kit, over both of OpenAI's protocols."""

from __future__ import annotations

from typing import ClassVar

import andon_openai
from andon.testing import ALL, Ability, BackendConformance
from andon.testing.providers.openai_chat import OpenAIChatProvider
from andon.testing.providers.openai_responses import OpenAIResponsesProvider
from andon.wire.dialect import HTTPReply


class OpenAI(OpenAIChatProvider):
    """Counts tokens as its newer protocol does."""

    def tokens(self, count: int) -> HTTPReply | None:
        return OpenAIResponsesProvider().tokens(count)


class TestOpenAI(BackendConformance):
    plugin = andon_openai
    backend = "openai"
    provider = OpenAI()
    abilities = ALL - {Ability.CONTINUATION, Ability.REASONING}


class TestOpenAIResponses(BackendConformance):
    plugin = andon_openai
    backend = "openai"
    variant = "Responses"
    provider = OpenAIResponsesProvider()
    options: ClassVar = {"api": "responses"}
    abilities = ALL - {Ability.CONTINUATION, Ability.RAW_PROMPT, Ability.SEED, Ability.STOP}
