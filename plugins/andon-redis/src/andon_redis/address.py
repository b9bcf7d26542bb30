"""Addresses of servers: the URL, and the prefix of the keys."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import redis

from andon.errors import SettingsError


def connect(url: str, what: str, timeout: float) -> tuple[Any, str, str]:
    """Return a client for a server, the prefix of its keys, and the address without a password.

    :param url: ``redis://host:6379/0``, or ``rediss:``, ``valkey:``, ``valkeys:``; ``?prefix=``
        names the keys.
    :param what: what is kept there, for the error.
    :param timeout: seconds to wait for the server.
    :raises SettingsError: it is no such URL.
    """
    parts = urlsplit(url)
    shown = f"{parts.scheme}://{parts.hostname}:{parts.port or 6379}{parts.path}"
    query = dict(pair.split("=", 1) for pair in parts.query.split("&") if "=" in pair)
    # One hash tag, so that a cluster keeps all keys together.
    prefix = "{" + query.pop("prefix", "andon") + "}:"
    address = parts._replace(
        scheme=parts.scheme.replace("valkey", "redis"),
        query="&".join(f"{name}={value}" for name, value in query.items()),
    ).geturl()
    try:
        server: Any = redis.Redis.from_url(
            address,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            decode_responses=True,
        )
    except (ValueError, TypeError):
        # Not the error's own text: it may repeat the password.
        raise SettingsError(
            f"a {what} in Redis is named as redis://host:6379/0, not {shown!r}"
        ) from None
    return server, prefix, shown
