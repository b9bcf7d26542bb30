"""Where an address is."""

from types import ModuleType

import pytest

from andon import Client, Locality, PrivacyViolation, TransportError, hookimpl
from andon.backends.http_backend import http_backend_spec
from andon.privacy.location import is_loopback, locality_of
from andon.wire.endpoint import EndpointSpec
from andon.wire.openai_chat import openai_dialect

CLOUD = "https://api.example.com/v1"


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1", "localhost", "LOCALHOST."]
)
def test_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "10.0.0.1",
        "169.254.169.254",
        "0.0.0.0",
        "::",
        "::ffff:8.8.8.8",
        "2130706433",
        "0x7f000001",
        "127.1",
        "localhost.example.com",
        "127.0.0.1.nip.example",
        "api.example.com",
    ],
)
def test_elsewhere(host: str) -> None:
    assert not is_loopback(host)


def test_an_address_on_this_machine_is_local_whatever_is_declared() -> None:
    assert locality_of("http://127.0.0.1:8000/v1", CLOUD, Locality.PUBLIC) is Locality.LOCAL


def test_the_usual_address_is_where_it_is_declared() -> None:
    assert locality_of(CLOUD, CLOUD, Locality.PUBLIC) is Locality.PUBLIC
    assert locality_of(CLOUD, CLOUD, Locality.PRIVATE) is Locality.PRIVATE


def test_a_local_backend_with_another_address_is_public() -> None:
    usual = "http://127.0.0.1:8000/v1"
    assert locality_of("http://gpu.example.com/v1", usual, Locality.LOCAL) is Locality.PUBLIC
    assert locality_of(CLOUD, CLOUD, Locality.LOCAL) is Locality.PUBLIC


def _client(endpoint: EndpointSpec, base_url: str) -> Client:
    spec = http_backend_spec("one", endpoint, openai_dialect())
    module = ModuleType("one")
    vars(module)["andon_register_backends"] = hookimpl(lambda: [spec])
    endpoints = {"one": {"base_url": base_url, "max_retries": 0}}
    return Client(discover=False, plugins=[module], privacy="sovereign", endpoints=endpoints)


def test_sovereign_refuses_a_local_server_that_is_elsewhere() -> None:
    endpoint = EndpointSpec(base_url="http://127.0.0.1:8000/v1", locality=Locality.LOCAL)
    with pytest.raises(PrivacyViolation, match="'one', which is public"):
        _client(endpoint, "https://gpu.example.com/v1").chat("one:m", "a secret")


def test_sovereign_allows_whatever_serves_on_this_machine() -> None:
    endpoint = EndpointSpec(base_url=CLOUD, locality=Locality.PUBLIC)
    with pytest.raises(TransportError, match="no connection"):
        _client(endpoint, "http://127.0.0.1:9/v1").chat("one:m", "a secret")
