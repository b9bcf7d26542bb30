"""Which addresses are near enough, by their numbers and not by their names."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from urllib.parse import urlsplit

from andon.errors import PrivacyViolation, SettingsError

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

#: Ranges that are never a model server of one's own, whatever an operator lists: links and their
#: metadata services, carriers' networks, multicast, translation to the public internet,
#: documentation and benchmarks. (IANA special-purpose address registries.)
NEVER: tuple[Network, ...] = tuple(
    map(
        ip_network,
        (
            "0.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "192.0.0.0/24", "192.0.2.0/24",
            "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
            "224.0.0.0/4", "240.0.0.0/4",
            "::/128", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32",
            "2002::/16", "fd00:ec2::/32", "fe80::/10", "fec0::/10", "ff00::/8",
        ),
    )
)  # fmt: skip

#: IPv4 addresses in the form of IPv6 that no system routes; the loopback address is not one.
_COMPATIBLE = IPv6Network("::/96")

#: What glibc reads as a number, and no standard does: 127.1, 0x7f000001, 017700000001.
_NUMERIC = re.compile(r"(0[xX][0-9a-fA-F]*|[0-9]+)(\.(0[xX][0-9a-fA-F]*|[0-9]+))*\.?")
_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*")


@dataclass(frozen=True, slots=True)
class EgressPolicy:
    """Where data may go under the tiers that keep it near.

    This machine is always allowed. Networks and names of one's own are what the operator lists.

    :param networks: networks of one's own, as CIDR.
    :param names: names of hosts of one's own; what they resolve to must be in a listed network.
    :param sockets: paths of unix sockets.
    """

    networks: tuple[Network, ...] = ()
    names: frozenset[str] = frozenset()
    sockets: frozenset[str] = field(default_factory=frozenset)

    @classmethod
    def of(
        cls, networks: Iterable[str] = (), names: Iterable[str] = (), sockets: Iterable[str] = ()
    ) -> EgressPolicy:
        """Read a policy from settings.

        :raises SettingsError: a network is none.
        """
        try:
            read = tuple(ip_network(text) for text in networks)
        except ValueError as error:
            raise SettingsError(f"a network must be written as 192.168.1.0/24: {error}") from None
        return cls(read, frozenset(name.lower() for name in names), frozenset(sockets))

    def check_address(self, text: str) -> None:
        """Check an address that is about to be connected to.

        :param text: the address, as a resolver or a URL gives it.
        :raises PrivacyViolation: it is neither this machine nor in a listed network.
        """
        try:
            address = unmapped(ip_address(text))
        except ValueError:
            raise PrivacyViolation(f"{text!r} is no address") from None
        if address.is_loopback:
            return
        for network in NEVER:
            if address in network:
                raise PrivacyViolation(f"{address} lies in {network}, which is never allowed")
        if address in _COMPATIBLE:
            raise PrivacyViolation(f"{address} lies in {_COMPATIBLE}, which is never allowed")
        if not any(address in network for network in self.networks):
            raise PrivacyViolation(
                f"{address} is not this machine, and in none of the listed networks"
            )

    def check_host(self, host: str) -> str:
        """Check a host before anything is asked of a resolver.

        :param host: the host of a URL, without port and brackets.
        :return: the address to connect to, or the listed name, which has to be resolved and its
            addresses checked.
        :raises PrivacyViolation: it is not allowed; no name is looked up for that.
        """
        if not host.isascii() or "%" in host:
            raise PrivacyViolation(f"the host {host!r} has a character that no host has")
        if host.lower() == "localhost":
            return "127.0.0.1"
        try:
            ip_address(host)
        except ValueError:
            pass
        else:
            self.check_address(host)
            return host
        if _NUMERIC.fullmatch(host):
            raise PrivacyViolation(
                f"{host!r} is a number that some systems take for an address; write it as four "
                "decimal numbers"
            )
        if not _NAME.fullmatch(host):
            raise PrivacyViolation(f"the host {host!r} has a character that no host has")
        if host.lower() not in self.names:
            raise PrivacyViolation(
                f"the name {host!r} is neither 'localhost' nor listed, and was not looked up"
            )
        return host

    def check_url(self, url: str) -> None:
        """Check an address of a server, as somebody wrote it.

        :raises PrivacyViolation: data that is sent there does not stay near.
        """
        try:
            parts = urlsplit(url)
            host = parts.hostname or ""
            _ = parts.port
        except ValueError as error:
            raise PrivacyViolation(f"{url!r} is no address: {error}") from None
        if parts.scheme not in {"http", "https"}:
            raise PrivacyViolation(f"{url!r} is neither http nor https")
        if "@" in parts.netloc:
            raise PrivacyViolation("an address with a user name is not allowed")
        if not host:
            raise PrivacyViolation(f"{url!r} names no host")
        self.check_host(host)


def unmapped(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address stands for, or the address itself."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
