"""andon-realizar and the conformance kit, in both of its protocols."""

from __future__ import annotations

import andon_realizar
from andon.testing import Ability, BackendConformance
from andon.testing.providers.realizar import RealizarChatProvider, RealizarProvider


class TestRealizar(BackendConformance):
    plugin = andon_realizar
    backend = "realizar"
    provider = RealizarChatProvider()
    abilities = frozenset({Ability.STOP, Ability.MODEL_LIST, Ability.HEALTH, Ability.RAW_PROMPT})
    key_is_needed = False


class TestRealizarCompletions(BackendConformance):
    plugin = andon_realizar
    backend = "realizar"
    variant = "completions"
    provider = RealizarProvider()
    options = {"api": "completions", "chat_template": "chatml"}  # noqa: RUF012
    abilities = frozenset(
        {
            Ability.STOP, Ability.MODEL_LIST, Ability.HEALTH, Ability.TOKEN_COUNT,
            Ability.CONTINUATION, Ability.RAW_PROMPT,
        }
    )  # fmt: skip
    key_is_needed = False
