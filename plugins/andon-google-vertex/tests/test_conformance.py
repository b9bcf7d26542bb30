"""andon-google-vertex and the conformance kit."""

from __future__ import annotations

import andon_google_vertex
from andon.testing import ALL, Ability, BackendConformance
from andon.testing.providers.gemini import GeminiProvider


class TestGoogleVertex(BackendConformance):
    plugin = andon_google_vertex
    backend = "google-vertex"
    provider = GeminiProvider()
    abilities = ALL - {Ability.RAW_PROMPT}
