"""andon-tgi and the conformance kit, in both of its protocols."""

from __future__ import annotations

import andon_tgi
from andon.testing import ALL, Ability, BackendConformance
from andon.testing.providers.tgi import TGIChatProvider, TGIProvider


class TestTGI(BackendConformance):
    plugin = andon_tgi
    backend = "tgi"
    provider = TGIChatProvider()
    abilities = ALL - {Ability.REASONING, Ability.REASONING_EFFORT, Ability.USAGE_DETAILS}
    key_is_needed = False


class TestTGICompletions(BackendConformance):
    plugin = andon_tgi
    backend = "tgi"
    variant = "completions"
    provider = TGIProvider()
    options = {"api": "completions", "chat_template": "chatml"}  # noqa: RUF012
    abilities = frozenset(
        {
            Ability.JSON_SCHEMA, Ability.SEED, Ability.STOP, Ability.LOGPROBS, Ability.MODEL_LIST,
            Ability.HEALTH, Ability.TOKEN_COUNT, Ability.CONTINUATION, Ability.RAW_PROMPT,
        }
    )  # fmt: skip
    key_is_needed = False
