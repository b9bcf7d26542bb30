"""Where an address is: a name says little, and a declaration less."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address
from urllib.parse import urlsplit

from andon.specs import Locality


def locality_of(base_url: str, usual_url: str, declared: Locality) -> Locality:
    """Return where the data goes that is sent to a URL.

    An address on this machine is local, whoever serves there. The endpoint's usual address is
    where its plugin declares it. Any other address is public, whatever its name suggests.

    :param base_url: the URL that is used.
    :param usual_url: the endpoint's usual URL.
    :param declared: where the plugin says that the usual URL is.
    """
    if is_loopback(urlsplit(base_url).hostname or ""):
        return Locality.LOCAL
    if base_url == usual_url and declared in {Locality.PRIVATE, Locality.PUBLIC}:
        return declared
    return Locality.PUBLIC


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine, by its address or as ``localhost``.

    Other names are not looked up, since whoever answers the question may lie; and numbers in
    other than the canonical form are names.

    :param host: the host of a URL, without port and brackets.
    """
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.is_loopback
