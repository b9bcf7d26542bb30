"""Who serves: where an endpoint is, and how one signs in there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from andon.specs import Locality


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointSpec:
    """What is known of an endpoint before anybody asks for it.

    :param base_url: its usual address, without a trailing slash.
    :param locality: where the data goes if that address is used.
    :param key_variables: environment variables that may hold the API key, the first that is set
        counts; empty where no key is needed.
    :param key_optional: whether it also answers without a key.
    :param base_url_variables: environment variables that may hold another base URL.
    :param auth_header: the header that carries the key.
    :param auth_prefix: what stands before the key in that header.
    :param headers: headers that go with every call, names in lower case.
    :param docs: where the provider documents its API.
    """

    base_url: str
    locality: Locality
    key_variables: tuple[str, ...] = ()
    key_optional: bool = False
    base_url_variables: tuple[str, ...] = ()
    auth_header: str = "authorization"
    auth_prefix: str = "Bearer "
    headers: Mapping[str, str] = field(default_factory=dict)
    docs: str = ""
