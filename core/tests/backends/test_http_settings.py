"""The settings of a backend over HTTP: what is read, what is refused, and what they do."""

from __future__ import annotations

import asyncio
import logging
import shutil
import ssl
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from andon.backends.http_backend import HTTPBackend
from andon.chat import ChatRequest
from andon.errors import BackendError, MissingKeyError, SettingsError, TransportError
from andon.specs import BackendContext, Locality
from andon.testing.provider import SampleAnswer
from andon.testing.providers.openai_chat import OpenAIChatProvider
from andon.testing.server import ScriptedServer, respond, send_reply
from andon.wire.endpoint import EndpointSpec
from andon.wire.openai_chat import OpenAIChat

KEY = "sk-very-secret-key"
ENDPOINT = EndpointSpec(
    base_url="https://tiny.example/v1",
    locality=Locality.PUBLIC,
    key_variables=("TINY_KEY", "TINY_TOKEN"),
    base_url_variables=("TINY_URL",),
)
REQUEST = ChatRequest(model="m", prompt="p")
REPLY = OpenAIChatProvider().route("POST", "/completions", b"{}", SampleAnswer(text=("hi",)))


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    assert REPLY is not None
    with ScriptedServer(lambda request: [send_reply(REPLY)]) as server:
        yield server


def create(
    environment: dict[str, str] | None = None, endpoint: EndpointSpec = ENDPOINT, **options: Any
) -> HTTPBackend:
    context = BackendContext(
        options=options, environment=environment or {}, offline=False, no_relay=False
    )
    return HTTPBackend("tiny", endpoint, OpenAIChat(), context)


Ask = Callable[[HTTPBackend], str]


def ask_sync(backend: HTTPBackend) -> str:
    try:
        return "".join(delta.text for delta in backend.stream(REQUEST, None))
    finally:
        backend.close()


def ask_async(backend: HTTPBackend) -> str:
    async def run() -> str:
        try:
            return "".join([delta.text async for delta in backend.astream(REQUEST, None)])
        finally:
            await backend.aclose()

    return asyncio.run(run())


@pytest.fixture(params=[ask_sync, ask_async], ids=["sync", "async"])
def ask(request: pytest.FixtureRequest) -> Ask:
    return request.param


def test_a_missing_key_names_every_way_on() -> None:
    with pytest.raises(MissingKeyError) as caught:
        create({"TINY_KEY": ""})
    for part in (
        "TINY_KEY or TINY_TOKEN",
        'endpoints={"tiny": {"api_key": "…"}}',
        "llama-cpp:demo",
    ):
        assert part in str(caught.value)


def test_where_keys_come_from(server: ScriptedServer) -> None:
    def sent(backend: HTTPBackend) -> str | None:
        ask_sync(backend)
        return server.requests[-1].headers.get("authorization")

    environment = {"TINY_TOKEN": "two", "TINY_URL": server.url}
    assert sent(create(environment)) == "Bearer two"
    assert sent(create({"TINY_KEY": "one\n"} | environment)) == "Bearer one"
    assert sent(create(environment, api_key="three")) == "Bearer three"
    keyless = replace(ENDPOINT, key_optional=True)
    assert sent(create({"TINY_URL": server.url}, keyless)) is None


def test_a_proxy_only_by_setting(
    server: ScriptedServer, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(create(api_key=KEY, base_url="http://far.invalid/v1", proxy=server.url))
    assert server.requests[0].target == "http://far.invalid/v1/completions"
    for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    ask(create(api_key=KEY, base_url=server.url))
    assert server.requests[1].target == "/completions"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("makes its certificate with openssl")
    folder = tmp_path_factory.mktemp("ca")
    made, key = str(folder / "ca.pem"), str(folder / "key.pem")
    what = "-subj /CN=localhost -addext subjectAltName=DNS:localhost -days 2"
    command = f"{openssl} req -x509 -newkey rsa:2048 -nodes -keyout {key} -out {made} {what}"
    subprocess.run(command.split(), check=True, capture_output=True)
    return made, key


def test_certificates(server: ScriptedServer, ask: Ask, certificate: tuple[str, str]) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    server.tls = context
    url = server.url.replace("127.0.0.1", "localhost")
    assert ask(create(api_key=KEY, base_url=url, ca_file=certificate[0])) == "hi"
    with pytest.raises(TransportError, match=r"(?i)certificate"):
        ask(create(api_key=KEY, base_url=url, max_retries=0))


def test_headers_of_the_user(server: ScriptedServer, ask: Ask) -> None:
    server.says([respond(400, b"you sent SECRET-HEADER")])
    backend = create(api_key=KEY, base_url=server.url, headers={"X-Team": "SECRET-HEADER"})
    with pytest.raises(BackendError) as caught:
        ask(backend)
    assert server.requests[0].headers["x-team"] == "SECRET-HEADER"
    assert "SECRET-HEADER" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    ["localhost:80", "ftp://h", "https://", "http://h:99999", "http://h/?a=1", "http://u:p@h"],
)
def test_a_wrong_base_url(url: str) -> None:
    with pytest.raises(SettingsError, match="base_url of 'tiny'") as caught:
        create(api_key=KEY, base_url=url)
    assert "u:p" not in str(caught.value)
    with pytest.raises(SettingsError, match="TINY_URL"):
        create({"TINY_URL": url}, api_key=KEY)


@pytest.mark.parametrize(
    "options",
    [
        {"nonsense": 1}, {"api_key": 5}, {"headers": "a"}, {"headers": {"a": "b\r\nc: d"}},
        {"stall_timeout": 0}, {"stall_timeout": "1"}, {"max_retries": -1}, {"max_retries": True},
        {"api_key": "schlüssel-geheim"}, {"api_key": "a\nb"}, {"max_retry_wait": -1},
        {"max_retry_wait": float("nan")}, {"max_retry_wait": "1"},
    ],
)  # fmt: skip
def test_wrong_settings(options: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match="tiny") as caught:
        create(**{"api_key": KEY} | options)
    assert "geheim" not in str(caught.value)


def test_the_key_is_nowhere_to_be_read(
    server: ScriptedServer, caplog: pytest.LogCaptureFixture, ask: Ask
) -> None:
    caplog.set_level(logging.DEBUG)
    backend = create(api_key=KEY, base_url=server.url)
    ask(backend)
    assert KEY not in repr(backend) + repr(backend._facts) + caplog.text


def test_attempts_need_not_wait_for_each_other(
    server: ScriptedServer, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    for sleep in ("time.sleep", "asyncio.sleep"):
        monkeypatch.setattr(sleep, lambda seconds: pytest.fail(f"it waits for {seconds} s"))
    server.says([respond(503, b"busy")], [respond(503, b"busy")])
    assert ask(create(api_key=KEY, base_url=server.url, max_retry_wait=0)) == "hi"
    assert len(server.requests) == 3
