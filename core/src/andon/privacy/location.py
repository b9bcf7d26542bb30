"""Where an address is: a name says little, and a declaration less."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from andon.errors import PrivacyViolation
from andon.privacy.egress import EgressPolicy
from andon.specs import Locality


def locality_of(
    base_url: str,
    usual_url: str,
    declared: Locality,
    policy: EgressPolicy | None = None,
    own_hosts: tuple[str, ...] = (),
) -> Locality:
    """Return where the data goes that is sent to a URL.

    An address on this machine or in a network that the operator lists is local, whoever serves
    there; a listed name is private. The endpoint's usual address is where its plugin declares it,
    and never nearer than private. Any other address is public, whatever its name suggests.

    :param base_url: the URL that is used.
    :param usual_url: the endpoint's usual URL.
    :param declared: where the plugin says that the usual URL is.
    :param policy: what the operator lists; nothing where None.
    :param own_hosts: suffixes of hosts for which the declaration holds as well.
    """
    try:
        (policy or EgressPolicy()).check_url(base_url)
    except PrivacyViolation:
        host = urlsplit(base_url).hostname or ""
        usual = base_url == usual_url or host.endswith(own_hosts)
        if usual and declared in {Locality.PRIVATE, Locality.PUBLIC}:
            return declared
        return Locality.PUBLIC
    host = urlsplit(base_url).hostname or ""
    return Locality.LOCAL if host.lower() == "localhost" or _is_address(host) else Locality.PRIVATE


def is_near(base_url: str, policy: EgressPolicy) -> bool:
    """Return whether a URL is on this machine, or where the operator lists it."""
    try:
        policy.check_url(base_url)
    except PrivacyViolation:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine, by its address or as ``localhost``.

    :param host: the host of a URL, without port and brackets.
    """
    try:
        EgressPolicy().check_host(host)
    except PrivacyViolation:
        return False
    return True


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
