"""Addresses are judged by their numbers, in every disguise that they are known to take."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon import PrivacyViolation, SettingsError
from andon.privacy.egress import NEVER, EgressPolicy

NEAR = [
    "http://127.0.0.1:8080/v1",
    "http://127.8.9.10",
    "http://[::1]:8080",
    "http://[::ffff:127.0.0.1]/",
    "http://localhost:11434",
    "https://LOCALHOST/",
]

FAR = [
    ("https://api.example.com/v1", "not looked up"),
    ("https://8.8.8.8/v1", "8.8.8.8"),
    ("http://127.1/", "four decimal numbers"),
    ("http://0x7f000001/", "four decimal numbers"),
    ("http://017700000001/", "four decimal numbers"),
    ("http://127.0.0.01/", "four decimal numbers"),
    ("http://2130706433/", "four decimal numbers"),
    ("http://0x08080808/", "four decimal numbers"),
    ("http://8.8.2056/", "four decimal numbers"),
    ("http://127.0.0.1./", "four decimal numbers"),
    ("http://0.0.0.0:11434", "never allowed"),
    ("http://[::]/", "never allowed"),
    ("http://[::127.0.0.1]/", "never allowed"),
    ("http://[64:ff9b::8.8.8.8]/", "never allowed"),
    ("http://[2002:808:808::1]/", "never allowed"),
    ("http://[::ffff:8.8.8.8]/", "8.8.8.8"),
    ("http://[fd00:ec2::254]/", "never allowed"),
    ("http://[fe80::1]/", "never allowed"),
    ("http://[::1%25lo]/", "character"),
    ("http://foo.localhost/", "not looked up"),
    ("http://localhost./", "character"),
    ("http://localhost.example.com/", "not looked up"),
    ("http://host.docker.internal:11434/", "not looked up"),
    ("http://ollama:11434/", "not looked up"),
    ("http://127.0.0.1@8.8.8.8/", "user name"),
    ("http://127.0.0.1:80@8.8.8.8/", "user name"),
    ("http://8.8.8.8?@127.0.0.1/", "8.8.8.8"),
    ("http://8.8.8.8#@127.0.0.1/", "8.8.8.8"),
    ("http://8.8.8.8\\@127.0.0.1/", "user name"),
    ("http://127.0.0.1%00.evil.com/", "character"),
    ("http://8\u30028\u30028\u30028/", "character"),
    ("http://\uff11\uff12\uff17.0.0.1/", "character"),
    ("file:///etc/passwd", "neither http"),
    ("ftp://127.0.0.1/", "neither http"),
    ("gopher://127.0.0.1:70/_x", "neither http"),
    ("ws://127.0.0.1/", "neither http"),
    ("data:text/plain,hi", "neither http"),
    ("//127.0.0.1/", "neither http"),
    ("http://", "no host"),
    ("http://127.0.0.1:99999/", "no address"),
    ("http://[::1", "no address"),
    ("http://169.254.169.254/", "never allowed"),
    ("http://100.100.100.200/", "never allowed"),
    ("http://168.63.129.16/", "listed"),
    ("http://10.0.0.5/", "listed"),
    ("http://192.168.1.7/", "listed"),
    ("http://[fd12:3456::1]/", "listed"),
    ("http://198.18.0.1/", "never allowed"),
    ("http://224.0.0.1/", "never allowed"),
    ("http://255.255.255.255/", "never allowed"),
]


@pytest.mark.parametrize("url", NEAR)
def test_this_machine(url: str) -> None:
    EgressPolicy().check_url(url)


@pytest.mark.parametrize(("url", "why"), FAR)
def test_everything_else_is_refused_and_nothing_is_looked_up(
    url: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a name was looked up")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    with pytest.raises(PrivacyViolation, match=why):
        EgressPolicy().check_url(url)


def test_what_the_operator_lists() -> None:
    policy = EgressPolicy.of(["192.168.1.0/24", "fd12:3456::/32"], ["GPU.lan"])
    policy.check_url("http://192.168.1.7:8000")
    policy.check_url("http://[fd12:3456::7]:8000")
    policy.check_url("http://gpu.lan:8000")
    with pytest.raises(PrivacyViolation):
        policy.check_url("http://192.168.2.7")
    with pytest.raises(PrivacyViolation):
        policy.check_url("http://other.lan")


@pytest.mark.parametrize("address", ["169.254.169.254", "100.64.0.1", "224.0.0.1", "fe80::1", "::"])
def test_some_ranges_are_never_allowed_whatever_is_listed(address: str) -> None:
    with pytest.raises(PrivacyViolation, match="never"):
        EgressPolicy.of(["0.0.0.0/0", "::/0"]).check_address(address)


@given(st.ip_addresses())
def test_an_address_is_allowed_only_on_this_machine(address: IPv4Address | IPv6Address) -> None:
    mapped = getattr(address, "ipv4_mapped", None) or address
    if mapped.is_loopback:
        EgressPolicy().check_address(str(address))
    else:
        with pytest.raises(PrivacyViolation):
            EgressPolicy().check_address(str(address))


@given(st.ip_addresses())
def test_everything_listed_is_still_not_everything(address: IPv4Address | IPv6Address) -> None:
    everything = EgressPolicy.of(["0.0.0.0/0", "::/0"])
    mapped = getattr(address, "ipv4_mapped", None) or address
    if any(mapped in network for network in NEVER):
        with pytest.raises(PrivacyViolation):
            everything.check_address(str(address))


@given(st.text(max_size=40))
def test_no_text_is_too_odd(text: str) -> None:
    for url in (text, f"http://{text}", f"http://127.0.0.1{text}"):
        try:
            EgressPolicy().check_url(url)
        except PrivacyViolation:
            continue
        assert url.startswith(("http://127.0.0.1", "http://localhost", "http://[::1]"))


def test_a_network_that_is_none() -> None:
    with pytest.raises(SettingsError, match=r"192\.168\.1\.0/24"):
        EgressPolicy.of(["192.168.1.7/24"])
