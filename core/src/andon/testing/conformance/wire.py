"""The conformance class for backends over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

import pytest

from andon.testing.conformance.answers import AnswerTests
from andon.testing.conformance.base import COLOURS
from andon.testing.conformance.callers import Caller
from andon.testing.conformance.endings import EndingTests, ToolTests
from andon.testing.conformance.failures import FailureTests
from andon.testing.conformance.keys import KeyTests
from andon.testing.conformance.questions import QuestionTests
from andon.testing.conformance.replies import ReplyTests
from andon.testing.conformance.requests import RequestTests
from andon.testing.conformance.streams import (
    BrokenStreamTests,
    DamagedStreamTests,
    LeavingTests,
    TimeTests,
)
from andon.testing.conformance.wire_stage import WireStage
from andon.testing.provider import Provider
from andon.testing.server import ScriptedServer


class BackendConformance(
    AnswerTests,
    EndingTests,
    ToolTests,
    RequestTests,
    QuestionTests,
    FailureTests,
    ReplyTests,
    BrokenStreamTests,
    DamagedStreamTests,
    TimeTests,
    LeavingTests,
    KeyTests,
):
    """What every backend over HTTP must do. Subclass it, give the facts, and run pytest.

    ::

        class TestExample(BackendConformance):
            plugin = andon_example
            backend = "example"
            provider = OpenAIChatProvider()
            abilities = ALL - {Ability.TOKEN_COUNT, Ability.CONTINUATION}
    """

    #: Writes what the server says.
    provider: ClassVar[Provider]
    #: The API key that the backend is given.
    key: ClassVar[str] = "sk-conformance-0123456789abcdef"
    #: Seconds that the server waits for what a sound backend does at once.
    patience: ClassVar[float] = 2.0

    def settings_for(self, url: str) -> dict[str, Any]:
        """Return the backend's settings, as under ``[endpoints.NAME]``.

        :param url: where the server is.
        """
        settings = {"base_url": url, "max_retries": self.retries, "max_retry_wait": 0}
        if self.key_option is not None:
            settings[self.key_option] = self.key
        return settings | dict(self.options)

    @pytest.fixture(params=COLOURS)
    def colour(self, request: pytest.FixtureRequest) -> str:
        """Return which client is used; each test runs with both."""
        colour: str = request.param
        return colour

    @pytest.fixture
    def call_with(self, colour: str) -> Iterator[Callable[[Mapping[str, Any]], Caller]]:
        """Return what makes clients, which are closed after the test."""
        made: list[Caller] = []

        def make(settings: Mapping[str, Any]) -> Caller:
            made.append(self.make_caller(colour, settings))
            return made[-1]

        yield make
        for caller in made:
            caller.close()

    @pytest.fixture
    def server(self) -> Iterator[ScriptedServer]:
        """Return a server on this machine."""
        with ScriptedServer(patience=self.patience) as server:
            yield server

    @pytest.fixture
    def settings(self, server: ScriptedServer) -> Mapping[str, Any]:
        """Return the backend's settings."""
        return self.settings_for(server.url)

    @pytest.fixture
    def stage(
        self,
        server: ScriptedServer,
        settings: Mapping[str, Any],
        call_with: Callable[[Mapping[str, Any]], Caller],
    ) -> WireStage:
        """Return the backend, a client of one colour, and the server, ready to be asked."""
        caller, provider = call_with(settings), self.provider
        return WireStage(
            caller, self.backend, self.model, self.key, server=server, provider=provider
        )
