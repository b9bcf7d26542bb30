"""A server on this machine that answers as Bedrock does, and keeps what it is sent."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from andon.testing.provider import SampleAnswer
from andon.testing.providers.bedrock import BedrockProvider
from andon.testing.server import ReceivedRequest, Script, ScriptedServer, respond, send_reply
from andon.wire.dialect import HTTPReply

PROVIDER = BedrockProvider()


@dataclass
class Bedrock:
    """What the server says, and what it was sent.

    :param server: the server.
    :param answer: what it answers.
    :param broken: whether streams end with an error.
    """

    server: ScriptedServer
    answer: SampleAnswer = field(default_factory=SampleAnswer)
    broken: bool = False

    @property
    def url(self) -> str:
        """Its address; with a status as its path, every answer is that error."""
        return self.server.url

    @property
    def seen(self) -> list[ReceivedRequest]:
        """The requests so far."""
        return self.server.requests

    def script(self, request: ReceivedRequest) -> Script:
        """Return the reply to a request."""
        first, operation = request.target.split("/")[1], request.target.rpartition("/")[2]
        json.loads(request.body)
        if first.isdigit():
            return [send_reply(PROVIDER.error(int(first), "Because"))]
        if operation == "count-tokens":
            return [send_reply(PROVIDER.tokens(12))]
        if operation == "converse":
            return [send_reply(PROVIDER.whole(self.answer))]
        if operation != "converse-stream":
            return [respond(404, b"<UnknownOperationException/>")]
        stream = PROVIDER.stream(self.answer)
        body = stream.body
        if self.broken:
            body = b"".join(stream.events) + PROVIDER.stream_error("Busy")
        return [send_reply(HTTPReply(status=200, headers=stream.headers, body=body))]


@pytest.fixture(autouse=True)
def nobody_signed_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the credentials that this machine may have from AWS's SDK."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def bedrock() -> Iterator[Bedrock]:
    with ScriptedServer() as server:
        played = Bedrock(server)
        server.otherwise = played.script
        yield played
