"""andon-llamafile and the conformance kit."""

from __future__ import annotations

import andon_llamafile
from andon.testing import ALL, Ability, BackendConformance
from andon.testing.providers.openai_chat import OpenAIChatProvider


class TestLlamafile(BackendConformance):
    plugin = andon_llamafile
    backend = "llamafile"
    provider = OpenAIChatProvider()
    abilities = ALL - {Ability.CONTINUATION, Ability.TOKEN_COUNT}
    key_is_needed = False
