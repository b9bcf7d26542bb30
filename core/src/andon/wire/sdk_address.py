"""Base URLs in the variables of official SDKs, which hold them without the path of the API."""

from __future__ import annotations

from collections.abc import Callable

from andon.specs import BackendContext


def address_in(variable: str, usual: str, path: str) -> Callable[[BackendContext], str]:
    """Return what finds a base URL in a variable that an SDK reads.

    :param variable: the variable's name.
    :param usual: the base URL where it is not set.
    :param path: what the SDK appends; it may stand there already.
    """

    def find_base_url(context: BackendContext) -> str:
        address = context.environment.get(variable, "").strip().rstrip("/")
        return address.removesuffix(path) + path if address else usual

    return find_base_url
