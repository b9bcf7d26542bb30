"""Who serves: where an endpoint is, and how one signs in there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from andon.specs import BackendContext, Locality


class Authorizer(Protocol):
    """Signs calls, where that takes more than one header with a fixed key."""

    def refresh_due(self) -> bool:
        """Whether :meth:`refresh` must be called before the next :meth:`sign`."""
        ...

    def refresh(self) -> None:
        """Fetch credentials; may wait for the network. Safe in many threads at once.

        :raises MissingKeyError: there are none.
        :raises BackendError: they could not be had.
        """
        ...

    def sign(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> dict[str, str]:
        """Return the headers that authorise exactly this call; never waits."""
        ...

    def secrets(self) -> tuple[str, ...]:
        """Return what must not appear in a message."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointSpec:
    """What is known of an endpoint before anybody asks for it.

    :param base_url: its usual address, without a trailing slash; empty where every user has
        another one.
    :param locality: where the data goes if that address is used.
    :param key_variables: environment variables that may hold the API key, the first that is set
        counts; empty where no key is needed.
    :param key_optional: whether it also answers without a key.
    :param base_url_variables: environment variables that may hold another base URL.
    :param find_base_url: works the address out of other settings, a region say, where no base URL
        is given; it raises :class:`andon.errors.SettingsError` where they do not suffice.
    :param auth_header: the header that carries the key.
    :param auth_prefix: what stands before the key in that header.
    :param authorizer: makes what signs calls, in place of key and header.
    :param headers: headers that go with every call, names in lower case.
    :param own_hosts: suffixes of the provider's hosts, each with its leading dot, where every user
        has another address; what is declared of the locality holds for them.
    :param options: further settings that the backend takes, all texts.
    :param switches: further settings that it takes, each true or false.
    :param trusted_hosts: other hosts to which the provider may send us on, with our credentials.
    :param see_other: whether a 303 to the same host is followed: a long call goes on there.
    :param docs: where the provider documents its API.
    """

    base_url: str
    locality: Locality
    key_variables: tuple[str, ...] = ()
    key_optional: bool = False
    base_url_variables: tuple[str, ...] = ()
    find_base_url: Callable[[BackendContext], str] | None = None
    auth_header: str = "authorization"
    auth_prefix: str = "Bearer "
    authorizer: Callable[[BackendContext], Authorizer] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    own_hosts: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    switches: tuple[str, ...] = ()
    trusted_hosts: tuple[str, ...] = ()
    see_other: bool = False
    docs: str = ""
