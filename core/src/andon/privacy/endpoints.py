"""What the settings of a near endpoint may say: nothing that would take its requests further."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from andon.errors import PrivacyViolation
from andon.privacy import PrivacyTier
from andon.privacy.egress import EgressPolicy

#: Headers by which a proxy or gateway in front of a server learns where a request is to go.
_ROUTING = re.compile(
    r"host|:authority|forwarded|via|(x-)?(forwarded|original|rewrite|proxy|envoy|target)-.*"
)

#: Options of engines that would fetch a model, or code, and the value that does so.
_FETCHING: Mapping[str, bool] = {
    "download": True,
    "allow_download": True,
    "trust_remote_code": True,
    "offline": False,
    "local_files_only": False,
}


def check_endpoint(
    tier: PrivacyTier, policy: EgressPolicy, name: str, options: Mapping[str, Any]
) -> None:
    """Check the settings of an endpoint that a tier allows, before anything is opened.

    A near address is of no use if what is sent there goes on through a proxy, or to the host that
    a header names. Proxies in the environment need no check: they are never read.

    :param tier: where data may go; ``STANDARD`` allows everything.
    :param policy: what the operator lists as near.
    :param name: the endpoint's name.
    :param options: its settings.
    :raises PrivacyViolation: a setting would take data further than the tier allows.
    """
    if tier is PrivacyTier.STANDARD:
        return
    where = f"the privacy tier {tier} does not allow"
    if (proxy := options.get("proxy")) is not None:
        _check_proxy(tier, policy, f"{where} the proxy of {name!r}", proxy)
    headers = options.get("headers")
    for header, value in headers.items() if isinstance(headers, Mapping) else ():
        if _ROUTING.fullmatch(str(header).strip().lower()):
            raise PrivacyViolation(
                f"{where} the header {header!r} of {name!r}, which can send a request on to "
                "another host; take it out, and name the server itself in base_url"
            )
        _check_value(policy, f"{where} the header {header!r} of {name!r}", value)
    for option, value in _FETCHING.items() if tier is PrivacyTier.SOVEREIGN else ():
        if options.get(option) is value:
            raise PrivacyViolation(
                f"{where} {option} = {str(value).lower()} of {name!r}: nothing is fetched; put "
                "the model's files on this machine beforehand"
            )


def _check_proxy(tier: PrivacyTier, policy: EgressPolicy, what: str, proxy: object) -> None:
    """A private endpoint may lie behind a proxy of one's own; a sovereign one needs none."""
    if tier is PrivacyTier.SOVEREIGN:
        raise PrivacyViolation(f"{what}: it could send requests on to anywhere; take it out")
    try:
        policy.check_host(urlsplit(str(proxy)).hostname or "")
    except (PrivacyViolation, ValueError) as error:
        raise PrivacyViolation(f"{what}: {error}; list it in [network] if it is yours") from None


def _check_value(policy: EgressPolicy, what: str, value: object) -> None:
    if not isinstance(value, str) or not re.match(r"\s*https?:", value, re.IGNORECASE):
        return
    try:
        policy.check_url(value.strip())
    except PrivacyViolation as error:
        raise PrivacyViolation(f"{what}, whose value is an address elsewhere: {error}") from None
