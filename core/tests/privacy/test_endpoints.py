"""Settings of near endpoints, refused before anything is opened."""

from __future__ import annotations

from typing import Any

import pytest

from andon import Client, Locality, PrivacyTier, PrivacyViolation, TransportError
from andon.privacy.egress import EgressPolicy
from andon.privacy.endpoints import check_endpoint
from andon.testing import ScriptedBackend, plugin_with
from andon.testing.server import ScriptedServer, respond

NEAR = "http://127.0.0.1:8000/v1"


def refuse(tier: PrivacyTier, why: str, policy: EgressPolicy | None = None, **options: Any) -> None:
    with pytest.raises(PrivacyViolation, match=why):
        check_endpoint(tier, policy or EgressPolicy(), "one", options)


@pytest.mark.parametrize(
    "header",
    ["Host", "host", " HOST", "Forwarded", "X-Forwarded-Host", "x-original-url", "X-Rewrite-URL",
     "Proxy-Authorization", "Via", "x-envoy-original-dst-host", ":authority"],
)  # fmt: skip
def test_headers_that_send_a_request_on(header: str) -> None:
    for tier in (PrivacyTier.SOVEREIGN, PrivacyTier.PRIVATE):
        refuse(tier, "another host", headers={header: "api.example.com"})
    check_endpoint(PrivacyTier.STANDARD, EgressPolicy(), "one", {"headers": {header: "x"}})


def test_headers_whose_value_is_an_address_elsewhere() -> None:
    refuse(PrivacyTier.SOVEREIGN, "elsewhere", headers={"gateway-target": "https://example.com"})
    headers = {"referer": NEAR, "authorization": "Bearer x", "user-agent": "me", "x-user": "ada"}
    check_endpoint(PrivacyTier.SOVEREIGN, EgressPolicy(), "one", {"headers": headers})


def test_a_proxy() -> None:
    for proxy in ("http://127.0.0.1:3128", "socks5://198.51.100.1:1080", ""):
        refuse(PrivacyTier.SOVEREIGN, "proxy", proxy=proxy)
    refuse(PrivacyTier.PRIVATE, "not looked up", proxy="http://proxy.corp:3128")
    refuse(PrivacyTier.PRIVATE, "proxy", proxy="http://[::1")
    own = EgressPolicy.of(["10.0.0.0/8"], ["proxy.corp"])
    for proxy in ("http://proxy.corp:3128", "http://10.1.2.3:3128"):
        check_endpoint(PrivacyTier.PRIVATE, own, "one", {"proxy": proxy})
    check_endpoint(PrivacyTier.STANDARD, EgressPolicy(), "one", {"proxy": "http://8.8.8.8"})


@pytest.mark.parametrize(
    "option", [{"download": True}, {"trust_remote_code": True}, {"offline": False}]
)
def test_options_that_fetch(option: dict[str, bool]) -> None:
    refuse(PrivacyTier.SOVEREIGN, "nothing is fetched", **option)
    [(name, value)] = option.items()
    check_endpoint(PrivacyTier.SOVEREIGN, EgressPolicy(), "one", {name: not value})
    check_endpoint(PrivacyTier.PRIVATE, EgressPolicy(), "one", option)


def test_a_near_endpoint_is_checked_when_the_client_is_made() -> None:
    endpoints = {"one": {"base_url": NEAR, "proxy": "http://127.0.0.1:3128"}}
    with pytest.raises(PrivacyViolation, match="the proxy of 'one'"):
        Client(discover=False, privacy="sovereign", endpoints=endpoints)


def test_a_distant_endpoint_may_have_what_it_needs_and_is_not_used() -> None:
    endpoints = {
        "far": {"base_url": "https://api.example.com", "proxy": "http://proxy.corp:3128"},
        "unknown": {"proxy": "http://proxy.corp:3128"},
    }
    plugin = plugin_with(one=ScriptedBackend(["hello"]))
    with Client(
        discover=False, privacy="sovereign", endpoints=endpoints, plugins=[plugin]
    ) as client:
        assert client.chat("one:m", "hi").text == "hello"


def test_an_endpoint_without_an_address_is_checked_when_it_is_used() -> None:
    backend = ScriptedBackend()
    plugin = plugin_with(one=backend, locality=Locality.LOCAL)
    endpoints = {"one": {"proxy": "http://127.0.0.1:3128"}}
    with (
        Client(
            discover=False, privacy="sovereign", endpoints=endpoints, plugins=[plugin]
        ) as client,
        pytest.raises(PrivacyViolation, match="the proxy of 'one'"),
    ):
        client.chat("one:m", "hi")
    assert backend.requests == []


def test_proxies_in_the_environment_are_never_read(monkeypatch: pytest.MonkeyPatch) -> None:
    from andon.wire.http import ConnectionSettings, HTTPConnection
    from andon.wire.waits import Timeouts

    with ScriptedServer() as proxy, ScriptedServer() as server:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            for variable in (name, name.lower()):
                monkeypatch.setenv(variable, proxy.url)
        monkeypatch.setenv("NO_PROXY", "localhost")
        server.says([respond(200, b"here")])
        address = f"{server.url}/"
        connection = HTTPConnection(ConnectionSettings(tls=False))
        with connection.send("GET", address, {}, b"", Timeouts()) as reply:
            assert reply.read() == b"here"
        connection.close()
        assert proxy.connections == 0
    with pytest.raises(TransportError):
        HTTPConnection(ConnectionSettings(tls=False)).send("GET", address, {}, b"", Timeouts())
