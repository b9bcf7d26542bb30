"""A server on this machine that answers as OpenAI does, and keeps what it is sent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from andon.testing.provider import Provider, SampleAnswer
from andon.testing.providers.openai_chat import OpenAIChatProvider
from andon.testing.providers.openai_responses import OpenAIResponsesProvider
from andon.testing.server import (  # fmt: skip
    LAST_CHUNK,
    ReceivedRequest,
    Script,
    ScriptedServer,
    chunk,
    send_reply,
    stream_head,
)

CHAT = OpenAIChatProvider()
RESPONSES = OpenAIResponsesProvider()


@dataclass
class Server:
    """What the server says, and what it was sent.

    :param url: its address; with a status in its path, every answer is that error.
    :param seen: the requests so far.
    :param answer: what it answers.
    :param broken: whether streams end with an error.
    """

    url: str = ""
    seen: list[ReceivedRequest] = field(default_factory=list)
    answer: SampleAnswer = field(default_factory=SampleAnswer)
    broken: bool = False

    def reply(self, request: ReceivedRequest) -> Script:
        path = request.target.partition("?")[0]
        first = path.split("/")[1]
        if first.isdigit():
            return [send_reply(CHAT.error(int(first), "Because"))]
        if path.endswith("/models"):
            reply = CHAT.models(["first", "second"])
        elif path.endswith("/input_tokens"):
            reply = RESPONSES.tokens(12)
        elif not path.endswith("/chat/completions") and path.endswith("/completions"):
            reply = CHAT.route("POST", path, request.body, self.answer)
        else:
            provider: Provider = RESPONSES if path.endswith("/responses") else CHAT
            if request.json().get("stream"):
                return self.stream(provider)
            reply = provider.whole(self.answer)
        assert reply is not None
        return [send_reply(reply)]

    def stream(self, provider: Provider) -> Script:
        stream = provider.stream(self.answer)
        end = provider.stream_error("Busy") if self.broken else stream.end
        body = b"".join(stream.events) + end
        return [stream_head(stream.headers), chunk(body), LAST_CHUNK]


@pytest.fixture
def server() -> Iterator[Server]:
    played = Server()
    with ScriptedServer(played.reply) as listening:
        played.url, played.seen = listening.url, listening.requests
        yield played
