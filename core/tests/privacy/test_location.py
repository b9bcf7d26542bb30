"""Where an address is."""

from types import ModuleType

import pytest

from andon import Client, Locality, PrivacyViolation, TransportError, hookimpl
from andon.backends.http_backend import http_backend_spec
from andon.privacy.egress import EgressPolicy
from andon.privacy.location import locality_of
from andon.wire.endpoint import EndpointSpec
from andon.wire.openai_chat import openai_dialect

CLOUD = "https://api.example.com/v1"


def test_an_address_on_this_machine_is_local_whatever_is_declared() -> None:
    assert locality_of("http://127.0.0.1:8000/v1", CLOUD, Locality.PUBLIC) is Locality.LOCAL


def test_the_usual_address_is_where_it_is_declared() -> None:
    assert locality_of(CLOUD, CLOUD, Locality.PUBLIC) is Locality.PUBLIC
    assert locality_of(CLOUD, CLOUD, Locality.PRIVATE) is Locality.PRIVATE


def test_a_local_backend_with_another_address_is_public() -> None:
    usual = "http://127.0.0.1:8000/v1"
    assert locality_of("http://gpu.example.com/v1", usual, Locality.LOCAL) is Locality.PUBLIC
    assert locality_of(CLOUD, CLOUD, Locality.LOCAL) is Locality.PUBLIC


def test_a_network_that_the_operator_lists_is_local_and_a_name_private() -> None:
    policy = EgressPolicy.of(["192.168.1.0/24"], ["gpu.lan"])
    usual = "http://127.0.0.1:8000/v1"
    near = locality_of("http://192.168.1.7/v1", usual, Locality.LOCAL, policy)
    assert near is Locality.LOCAL
    assert locality_of("http://gpu.lan/v1", usual, Locality.LOCAL, policy) is Locality.PRIVATE
    assert locality_of("http://192.168.2.7/v1", usual, Locality.LOCAL, policy) is Locality.PUBLIC


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
