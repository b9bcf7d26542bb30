"""andon-llama-cpp over HTTP and the conformance kit, in both of the server's protocols."""

from __future__ import annotations

import andon_llama_cpp
from andon.testing import ALL, Ability, BackendConformance
from andon.testing.providers.llama_server import LlamaServerProvider
from andon.testing.providers.openai_chat import OpenAIChatProvider


class TestLlamaServer(BackendConformance):
    plugin = andon_llama_cpp
    backend = "llama-cpp"
    variant = "server"
    provider = OpenAIChatProvider(token_count="input_tokens")
    abilities = ALL
    key_is_needed = False


class TestLlamaServerResumable(TestLlamaServer):
    """Where the server has forgotten every stream, nothing is otherwise."""

    options = {"resumable": True}  # noqa: RUF012


class TestLlamaServerCompletions(BackendConformance):
    plugin = andon_llama_cpp
    backend = "llama-cpp"
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
