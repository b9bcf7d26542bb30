"""Signing in to Azure: keys, tokens, and tokens of an application, at a server of our own."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any
from urllib.parse import parse_qs

import pytest

import andon_azure_openai
from andon.chat import ChatRequest
from andon.errors import (
    AuthenticationError,
    BackendError,
    MissingKeyError,
    OverloadedError,
    RateLimitError,
    ServerError,
    SettingsError,
    TransportError,
)
from andon.messages import ChatMessage
from andon.specs import BackendContext
from andon.testing.provider import SampleAnswer
from andon.testing.providers.openai_chat import OpenAIChatProvider
from andon.testing.server import ReceivedRequest, Script, ScriptedServer, respond, send_reply
from andon.wire.authorizers import PAUSE
from andon_azure_openai.authorizer import MARGIN, TokenAuthorizer, make_authorizer
from andon_azure_openai.entra import SCOPE, Token, find_application

APPLICATION = {
    "AZURE_TENANT_ID": "my tenant",
    "AZURE_CLIENT_ID": "app-1",
    "AZURE_CLIENT_SECRET": "s3cret/&=value",
}
OWN = {"tenant_id": "t", "client_id": "c", "client_secret": "s"}
SECRET = APPLICATION["AZURE_CLIENT_SECRET"]


def sign(environment: dict[str, str], **options: Any) -> dict[str, str]:
    authorizer = make_authorizer(BackendContext(options=options, environment=environment))
    assert not authorizer.refresh_due()
    return authorizer.sign("POST", "https://x", {}, b"")


@pytest.mark.parametrize(
    ("environment", "options", "header"),
    [
        ({"AZURE_OPENAI_API_KEY": "K"}, {}, {"api-key": "K"}),
        ({"AZURE_OPENAI_AD_TOKEN": "T"}, {}, {"authorization": "Bearer T"}),
        # As in OpenAI's own SDK: a setting before a variable, and there a token before a key.
        ({"AZURE_OPENAI_API_KEY": "K", "AZURE_OPENAI_AD_TOKEN": "T"}, {}, {"authorization": "Bearer T"}),
        ({"AZURE_OPENAI_AD_TOKEN": "T"}, {"api_key": " K "}, {"api-key": "K"}),
        ({"AZURE_OPENAI_API_KEY": "K"}, {"ad_token": "T"}, {"authorization": "Bearer T"}),
        ({"AZURE_OPENAI_API_KEY": "K"} | APPLICATION, {}, {"api-key": "K"}),
        ({"AZURE_OPENAI_API_KEY": "K"}, {"headers": {"Authorization": "Mine"}}, {}),
    ],
)  # fmt: skip
def test_which_key_is_taken(
    environment: dict[str, str], options: dict[str, Any], header: dict[str, str]
) -> None:
    assert sign(environment, **options) == header


@pytest.mark.parametrize(
    ("environment", "options"),
    [(APPLICATION, {}), ({"AZURE_OPENAI_API_KEY": "K"}, OWN), (APPLICATION, {"client_id": "mine"})],
)
def test_an_application_is_taken(environment: dict[str, str], options: dict[str, str]) -> None:
    context = BackendContext(options=options, environment=environment)
    authorizer = make_authorizer(context)
    assert authorizer.refresh_due()  # its token is not there yet
    application = find_application(context)
    assert application is not None
    assert application.client == options.get("client_id", environment.get("AZURE_CLIENT_ID"))
    assert application.url.startswith("https://login.microsoftonline.com/")


def test_without_anything_the_error_says_how_to_go_on() -> None:
    with pytest.raises(MissingKeyError) as caught:
        sign({"AZURE_TENANT_ID": "t"})
    for word in ("AZURE_OPENAI_API_KEY", "AZURE_CLIENT_SECRET", "api_key", "llama-cpp:demo"):
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("environment", "options", "said"),
    [
        ({}, {"api_key": "K", "ad_token": "T"}, "not both"),
        ({"AZURE_OPENAI_API_KEY": "K\n\N{EM DASH}"}, {}, "AZURE_OPENAI_API_KEY.*no key has"),
        ({}, {"client_id": "c"}, "lacks tenant_id and client_secret.*AZURE_TENANT_ID"),
        (APPLICATION | {"AZURE_AUTHORITY_HOST": "http://login.test"}, {}, "reached over https"),
        (APPLICATION | {"AZURE_AUTHORITY_HOST": "https://"}, {}, "must be a host"),
        (APPLICATION | {"AZURE_AUTHORITY_HOST": "https://u@x.test"}, {}, "must be a host"),
    ],
)
def test_wrong_settings(environment: dict[str, str], options: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError, match=said) as caught:
        sign(environment, **options)
    assert "s3cret" not in str(caught.value)


# -- Tokens of an application ----------------------------------------------------------------------


def granted(token: str = "token-1", life: Any = 3599) -> bytes:
    body = {"token_type": "Bearer", "expires_in": life, "access_token": token}
    return respond(200, json.dumps(body).encode())


@pytest.fixture
def azure() -> Iterator[ScriptedServer]:
    def reply(request: ReceivedRequest) -> Script:
        if request.target.endswith("/oauth2/v2.0/token"):
            return [granted()]
        return [send_reply(OpenAIChatProvider().whole(SampleAnswer()))]

    with ScriptedServer(reply) as server:
        yield server


def ask(server: ScriptedServer, times: int = 1) -> None:
    [spec] = andon_azure_openai.andon_register_backends()
    environment = APPLICATION | {"AZURE_AUTHORITY_HOST": server.url}
    options = {"azure_endpoint": server.url, "max_retries": 0}
    request = ChatRequest(model="m", messages=(ChatMessage.user("Hello"),))
    backend: Any = spec.create(BackendContext(options=options, environment=environment))
    with closing(backend):
        for _ in range(times):
            assert list(backend.stream(request, 10))


def test_a_token_is_fetched_once_and_signs_every_call(azure: ScriptedServer) -> None:
    ask(azure, times=2)
    token, *chats = azure.requests
    assert (token.method, token.target) == ("POST", "/my%20tenant/oauth2/v2.0/token")
    assert token.headers["content-type"] == "application/x-www-form-urlencoded"
    assert parse_qs(token.body.decode()) == {
        "grant_type": ["client_credentials"],
        "client_id": ["app-1"],
        "client_secret": [SECRET],
        "scope": [SCOPE],
    }
    assert [chat.headers["authorization"] for chat in chats] == ["Bearer token-1"] * 2
    assert all("api-key" not in chat.headers for chat in chats)


REFUSED = {
    "error": "invalid_client",
    "error_description": f"AADSTS7000215: Invalid client secret provided: {SECRET}\r\nTrace ID: 1",
    "error_codes": [7000215],
}


@pytest.mark.parametrize(
    ("status", "body", "kind", "said"),
    [
        (401, REFUSED, AuthenticationError, "AADSTS7000215.*Invalid client secret"),
        (400, {"error": "unauthorized_client"}, AuthenticationError, "unauthorized_client"),
        (429, {"error": "temporarily_unavailable"}, RateLimitError, "gives no token"),
        (503, b"<html>away</html>", OverloadedError, "no token; is AZURE_AUTHORITY_HOST right"),
        (302, b"", BackendError, "no token"),
        (200, b"<html>Sign in</html>", ServerError, "no token"),
        (200, {"access_token": "t"}, ServerError, "no token"),
        (200, {"access_token": 5, "expires_in": 9}, BackendError, "cannot be used"),
        (200, {"access_token": "t\r\nx: y", "expires_in": 9}, BackendError, "cannot be used"),
        (200, {"access_token": "t", "expires_in": 0}, BackendError, "cannot be used"),
        (200, [1], ServerError, "no token"),
    ],
)
def test_no_token(
    azure: ScriptedServer, status: int, body: Any, kind: type[BackendError], said: str
) -> None:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    azure.says([respond(status, data)])
    with pytest.raises(kind, match=said) as caught:
        ask(azure)
    assert type(caught.value) is kind
    assert (caught.value.backend, SECRET in str(caught.value)) == ("azure-openai", False)
    assert len(azure.requests) == 1  # the model was not asked


def test_no_authority() -> None:
    with ScriptedServer() as gone:
        url = gone.url
    environment = APPLICATION | {"AZURE_AUTHORITY_HOST": url}
    authorizer = make_authorizer(BackendContext(environment=environment))
    with pytest.raises(TransportError):
        authorizer.refresh()


# -- In time ---------------------------------------------------------------------------------------


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def made(fetch: Callable[[], Token]) -> tuple[TokenAuthorizer, Clock]:
    clock = Clock()
    return TokenAuthorizer(fetch, (SECRET,), clock), clock


def test_a_token_is_replaced_before_it_expires() -> None:
    tokens = iter(Token(f"token-{number}", 3600) for number in range(9))
    authorizer, clock = made(lambda: next(tokens))
    authorizer.refresh()
    clock.now += 3600 - MARGIN - 1
    assert not authorizer.refresh_due()
    clock.now += 1
    assert authorizer.refresh_due()
    authorizer.refresh()
    assert authorizer.sign("POST", "u", {}, b"") == {"authorization": "Bearer token-1"}
    assert authorizer.secrets() == (SECRET, "token-1")


def test_a_short_token_is_used_up_to_its_half() -> None:
    authorizer, clock = made(lambda: Token("t", 60))
    authorizer.refresh()
    clock.now += 29
    assert not authorizer.refresh_due()
    clock.now += 1
    assert authorizer.refresh_due()


def test_while_the_old_token_holds_a_failure_is_no_error() -> None:
    replies: list[Any] = [Token("old", 3600)]

    def fetch() -> Token:
        if not replies:
            raise ServerError("away")
        token: Token = replies.pop()
        return token

    authorizer, clock = made(fetch)
    authorizer.refresh()
    clock.now += 3600 - MARGIN
    authorizer.refresh()
    assert authorizer.sign("POST", "u", {}, b"") == {"authorization": "Bearer old"}
    assert not authorizer.refresh_due()
    clock.now += PAUSE
    assert authorizer.refresh_due()
    clock.now += MARGIN
    with pytest.raises(ServerError, match="away"):
        authorizer.refresh()


def test_one_thread_fetches_and_the_others_wait() -> None:
    begun, go, fetched = threading.Event(), threading.Event(), list[int]()

    def fetch() -> Token:
        fetched.append(1)
        begun.set()
        assert go.wait(10)
        return Token("t", 3600)

    authorizer, _ = made(fetch)
    with ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(authorizer.refresh) for _ in range(4)]
        assert begun.wait(10)
        go.set()
        for future in futures:
            future.result(10)
    assert fetched == [1]


def test_nothing_shows_a_secret() -> None:
    context = BackendContext(environment=APPLICATION)
    application = find_application(context)
    assert SECRET not in repr(application)
    assert "token-1" not in repr(Token("token-1", 1))
    assert SECRET in make_authorizer(context).secrets()
