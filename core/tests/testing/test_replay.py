"""Exchanges are recorded without secrets, and said again as they were."""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon import BackendSpec, Client, ConfigurationError, Locality, Price, hookimpl
from andon.backends.http_backend import http_backend_spec
from andon.testing import ExchangeRecorder, Replayer
from andon.testing.conformance.samples import SAMPLE, TEXT
from andon.testing.exchanges import (
    REDACTED,
    Exchange,
    read_exchanges,
    redacted,
    same_request,
    write_exchanges,
)
from andon.testing.providers.openai_chat import OpenAIChatProvider
from andon.testing.server import (
    LAST_CHUNK,
    ReceivedRequest,
    Script,
    ScriptedServer,
    chunk,
    respond,
    send_reply,
    stream_head,
)
from andon.wire.endpoint import EndpointSpec
from andon.wire.openai_chat import openai_dialect

KEY = "a-key.that/looks+like=nothing_known"
PROVIDER = OpenAIChatProvider()


class Example:
    """A plugin."""

    @hookimpl
    def andon_register_backends(self) -> Sequence[BackendSpec]:
        endpoint = EndpointSpec(
            base_url="https://api.example.com/v1", locality=Locality.PUBLIC, key_variables=("K",)
        )
        return [http_backend_spec("example", endpoint, openai_dialect())]


def client(url: str, key: str = KEY) -> Client:
    return Client(
        discover=False,
        plugins=[Example()],
        endpoints={"example": {"base_url": url, "api_key": key, "max_retries": 0}},
        prices={"example:m": Price(input=0, output=0)},  # type: ignore[arg-type]
    )


def reply(request: ReceivedRequest) -> Script:
    if not request.json().get("stream"):
        answer = send_reply(
            PROVIDER.whole(SAMPLE), set_cookie="session=cookie-of-the-provider; Path=/"
        )
        return [answer]
    stream = PROVIDER.stream(SAMPLE)
    return [stream_head(stream.headers), *map(chunk, stream.events), chunk(stream.end), LAST_CHUNK]


@pytest.fixture
def provider() -> Iterator[ScriptedServer]:
    with ScriptedServer(reply) as server:
        yield server


def recorded(provider: ScriptedServer, file: Path, ask: Callable[[Client], Any]) -> str:
    with (
        ExchangeRecorder(f"{provider.url}/v1", secrets=["the mayor's name"]) as recorder,
        client(recorder.url) as asking,
    ):
        ask(asking)
    recorder.write(file)
    return file.read_text(encoding="utf-8")


def test_what_is_recorded_is_said_again(provider: ScriptedServer, tmp_path: Path) -> None:
    file = tmp_path / "hello.json"

    def ask(asking: Client) -> tuple[str, list[str]]:
        whole = asking.chat("example:m", "Hello").text
        return whole, [delta.text for delta in asking.stream("example:m", "Hello") if delta.text]

    answers: list[Any] = []
    recorded(provider, file, lambda asking: answers.append(ask(asking)))
    assert len(provider.requests) == 2
    with Replayer(file) as replayer, client(f"{replayer.url}/v1", key="another key") as asking:
        assert ask(asking) == answers[0] == (TEXT, list(SAMPLE.text))
        assert (list(replayer.left), replayer.strangers) == ([], [])
    assert len(provider.requests) == 2


def test_a_file_holds_no_secret(provider: ScriptedServer, tmp_path: Path) -> None:
    text = recorded(
        provider,
        tmp_path / "a.json",
        lambda asking: asking.chat(
            "example:m", f"My key is {KEY}, and not {quote(KEY)}; the mayor's name"
        ),
    )
    assert "My key is REDACTED" in text
    for secret in (KEY, quote(KEY, safe=""), "Bearer", "cookie-of-the-provider", "mayor"):
        assert secret not in text
    # The provider itself got all of it.
    assert provider.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert KEY in provider.requests[0].json()["messages"][0]["content"]


def test_nothing_is_kept_in_memory_either(provider: ScriptedServer) -> None:
    with ExchangeRecorder(f"{provider.url}/v1") as recorder, client(recorder.url) as asking:
        asking.chat("example:m", f"say {KEY}")
        assert KEY not in repr(recorder.exchanges)
        assert KEY not in repr(vars(recorder._server))


def exchange(**changes: Any) -> Exchange:
    facts: dict[str, Any] = {
        "method": "POST",
        "target": "/v1/chat",
        "request_headers": {"content-type": "application/json"},
        "request_body": b"{}",
        "status": 200,
        "reply_headers": {},
        "pieces": (b"{}",),
    }
    return Exchange(**facts | changes)


SECRET = "hush0123"


@pytest.mark.parametrize(
    "leak",
    [
        {"request_headers": {"Authorization": f"Bearer {SECRET}"}},
        {"request_headers": {"x-api-key": SECRET}},
        {"request_headers": {"x-goog-api-key": SECRET}},
        {"request_headers": {"x-amz-security-token": SECRET}},
        {
            "request_headers": {
                "authorization": "Basic " + base64.b64encode(b"me:hush0123").decode()
            }
        },
        {"request_headers": {"cookie": f"a=1; session={SECRET}"}},
        {"reply_headers": {"set-cookie": f"session={SECRET}; HttpOnly"}},
        {"target": f"/v1/chat?key={SECRET}"},
        {"target": f"/v1/chat?alt=sse&access_token={SECRET}"},
        {"request_body": json.dumps({"deep": [{"api_key": SECRET}]}).encode()},
        {"pieces": (json.dumps({"access_token": SECRET}).encode(),)},
    ],
    ids=lambda leak: str(next(iter(leak.items())))[:50],
)
def test_every_place_of_a_secret(leak: dict[str, Any]) -> None:
    """What stands in one place is struck out of all, in every form."""
    forms = [SECRET, base64.b64encode(SECRET.encode()).decode()]
    # A reply that tells the key again, cut in the middle of it.
    said = f"you sent {forms} and no more".encode()
    pieces = (*leak.get("pieces", ()), said[:14], said[14:])
    clean = redacted(exchange(**leak | {"pieces": pieces}))
    for form in forms:
        assert form not in repr(clean)
        assert form.encode() not in b"".join(clean.pieces)
    assert REDACTED in repr(clean)
    assert redacted(clean) == clean


@given(
    secret=st.text(st.characters(min_codepoint=33, exclude_categories=["C", "Z"]), min_size=6),
    before=st.text(max_size=20),
    cut=st.integers(0, 60),
)
def test_no_secret_survives_wherever_the_reply_is_cut(secret: str, before: str, cut: int) -> None:
    said = f"{before}{secret} {quote(secret, safe='')} {json.dumps(secret)}".encode(
        "utf-8", "replace"
    )
    headers = {"authorization": f"Bearer {secret}"}
    clean = redacted(exchange(request_headers=headers, pieces=(said[:cut], said[cut:])))
    whole = b"".join(clean.pieces)
    assert secret.encode() not in whole.replace(REDACTED.encode(), b"")
    assert clean.request_headers == {}


@pytest.mark.parametrize(
    "text",
    [
        "sk-proj-0123456789abcdefgh",
        "gsk_0123456789abcdefgh",
        "hf_0123456789abcdefgh",
        "AIza0123456789012345678901234567890",
        "AKIAIOSFODNN7EXAMPLE",
        "Bearer abcdefgh0123",
        "eyJhbGciOiJIUzI1.eyJzdWIiOiIxMjM0.c2lnbmF0dXJl",
    ],
)
def test_keys_of_known_makes_are_struck_out_wherever_they_stand(text: str) -> None:
    clean = redacted(exchange(pieces=(f'{{"say": "{text}"}}'.encode(),)))
    assert clean.pieces == (b'{"say": "REDACTED"}',)


def test_what_is_no_secret_stays() -> None:
    kept = exchange(
        target="/v1/chat?alt=sse&limit=3",
        request_body='{"model":"gpt-4o","messages":[{"content":"grüß Gott"}],"max_tokens":7}'.encode(),
        reply_headers={"content-type": "text/event-stream", "x-request-id": "req_1"},
        pieces=(b"\xff\x00binary", b"data: {}\n\n"),
    )
    assert redacted(kept) == kept
    limits = exchange(reply_headers={"x-ratelimit-remaining-tokens": "149984"}, pieces=(b"149984",))
    assert redacted(limits).pieces == (b"149984",)


def test_files(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    both = [exchange(pieces=(b"\xff\x00", b"")), exchange(target="/other")]
    write_exchanges(both, file)
    assert [same_request(a, b) for a, b in zip(read_exchanges(file), both, strict=True)] == [
        True
    ] * 2
    assert read_exchanges(file)[0].pieces == [b"\xff\x00", b""]
    for wrong in ("", "[]", "{}", '{"version": 1}', '{"version": 2, "exchanges": []}'):
        file.write_text(wrong)
        with pytest.raises(ConfigurationError, match=r"a\.json"):
            read_exchanges(file)
    with pytest.raises(ConfigurationError, match="no recorded exchanges"):
        read_exchanges(tmp_path / "nowhere.json")


def test_what_nobody_recorded_is_told(provider: ScriptedServer, tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    recorded(provider, file, lambda asking: asking.chat("example:m", "Hello"))
    with Replayer(file) as replayer, client(f"{replayer.url}/v1") as asking:
        with pytest.raises(
            Exception, match=r"nobody recorded POST /v1/chat/completions.*Good night"
        ):
            asking.chat("example:m", "Good night")
        assert KEY not in repr(replayer.left)
        [stranger] = replayer.strangers
        assert stranger.json()["messages"][0]["content"] == "Good night"
        assert asking.chat("example:m", "Hello").text == TEXT


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    with ExchangeRecorder(f"http://127.0.0.1:{port}") as recorder, client(recorder.url) as asking:
        with pytest.raises(Exception, match="the real server cannot be asked"):
            asking.chat("example:m", "Hello")
        assert recorder.exchanges == []
    with pytest.raises(ConfigurationError, match="base URL"):
        ExchangeRecorder("api.example.com")


def test_errors_are_recorded_too(tmp_path: Path) -> None:
    with ScriptedServer(
        lambda request: [respond(429, b'{"error":{"message":"slowly"}}')]
    ) as server:
        file = tmp_path / "a.json"

        def ask(asking: Client) -> None:
            with pytest.raises(Exception, match="slowly"):
                asking.chat("example:m", "Hello")

        recorded(server, file, ask)
    with Replayer(file) as replayer, client(f"{replayer.url}/v1") as asking:
        ask(asking)
        assert replayer.strangers == []
