"""andon-azure-openai and the conformance kit, over all of Azure's ways to ask."""

from __future__ import annotations

from typing import ClassVar

import andon_azure_openai
from andon.testing import ALL, Ability, BackendConformance
from andon.testing.providers.openai_chat import OpenAIChatProvider
from andon.testing.providers.openai_responses import OpenAIResponsesProvider

CHAT = ALL - {Ability.CONTINUATION, Ability.REASONING, Ability.TOKEN_COUNT}


class TestAzureOpenAI(BackendConformance):
    plugin = andon_azure_openai
    backend = "azure-openai"
    provider = OpenAIChatProvider()
    abilities = CHAT


class TestDeployments(BackendConformance):
    plugin = andon_azure_openai
    backend = "azure-openai"
    variant = "deployments"
    provider = OpenAIChatProvider()
    options: ClassVar = {"api_version": "2024-10-21"}
    abilities = CHAT


class TestAzureResponses(BackendConformance):
    plugin = andon_azure_openai
    backend = "azure-openai"
    variant = "Responses"
    provider = OpenAIResponsesProvider()
    options: ClassVar = {"api": "responses"}
    abilities = ALL - {
        Ability.CONTINUATION, Ability.RAW_PROMPT, Ability.SEED, Ability.STOP, Ability.TOKEN_COUNT
    }  # fmt: skip
