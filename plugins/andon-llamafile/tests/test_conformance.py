"""andon-llamafile and the conformance kit, in both of its protocols."""

from __future__ import annotations

import andon_llamafile
from andon.testing import ALL, Ability, BackendConformance
from andon.testing.providers.llama_server import LlamaServerProvider
from andon.testing.providers.openai_chat import OpenAIChatProvider


class TestLlamafile(BackendConformance):
    plugin = andon_llamafile
    backend = "llamafile"
    provider = OpenAIChatProvider()
    abilities = ALL - {Ability.CONTINUATION, Ability.TOKEN_COUNT}
    key_is_needed = False


class TestLlamafileCompletions(BackendConformance):
    plugin = andon_llamafile
    backend = "llamafile"
    variant = "completions"
    provider = LlamaServerProvider()
    options = {"api": "completions", "chat_template": "chatml"}  # noqa: RUF012
    abilities = frozenset(
        {
            Ability.JSON_SCHEMA, Ability.SEED, Ability.STOP, Ability.LOGPROBS, Ability.MODEL_LIST,
            Ability.HEALTH, Ability.TOKEN_COUNT, Ability.CONTINUATION, Ability.RAW_PROMPT,
        }
    )  # fmt: skip
    key_is_needed = False
