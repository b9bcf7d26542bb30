"""Signature version 4, with which AWS signs calls. A pure function.

How a call becomes the text that is signed is told at docs.aws.amazon.com, "Create a signed AWS API
request"; what is signed is what AWS's own SDK signs (botocore 1.44, ``auth.py``).
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from urllib.parse import SplitResult, quote, urlsplit

_ALGORITHM = "AWS4-HMAC-SHA256"

#: Headers that something on the way may change, so that they are not signed.
_UNSIGNED = frozenset(
    {
        "authorization", "baggage", "connection", "expect", "keep-alive", "proxy-authenticate",
        "proxy-authorization", "te", "traceparent", "tracestate", "trailer", "transfer-encoding",
        "upgrade", "user-agent", "x-amzn-trace-id",
    }
)  # fmt: skip
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What a call is signed with.

    :param access_key_id: the name of the key.
    :param secret_access_key: the key itself.
    :param session_token: what goes with a key that holds for some hours only.
    :param expiry: when it ends, in seconds since 1970; None is never.
    """

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)
    expiry: float | None = None


@dataclass(frozen=True, slots=True)
class Scope:
    """What a signature holds for.

    :param region: the region, as in ``us-east-1``.
    :param service: the service's name, as in ``bedrock``.
    """

    region: str
    service: str


def signed_headers(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    credentials: Credentials,
    scope: Scope,
    moment: datetime,
) -> dict[str, str]:
    """Return the headers that authorise a call, names in lower case.

    :param method: its HTTP method.
    :param url: its address, with path and query as they are sent.
    :param headers: its headers, names in lower case; all of them are signed but for those that
        a proxy may change.
    :param body: the bytes that are sent.
    :param credentials: what to sign with.
    :param scope: what the signature is to hold for.
    :param moment: the time in UTC, which AWS lets be wrong by five minutes.
    """
    added = {"x-amz-date": moment.strftime("%Y%m%dT%H%M%SZ")}
    if credentials.session_token:
        added["x-amz-security-token"] = credentials.session_token
    parts = urlsplit(url)
    signed = {"host": _host(parts), **_signable(headers), **added}
    names = ";".join(sorted(signed))
    date = added["x-amz-date"][:8]
    place = f"{date}/{scope.region}/{scope.service}/aws4_request"
    digest = sha256(_canonical(method, parts, signed, body).encode()).hexdigest()
    text = "\n".join((_ALGORITHM, added["x-amz-date"], place, digest))
    key = f"AWS4{credentials.secret_access_key}".encode()
    for word in (date, scope.region, scope.service, "aws4_request"):
        key = _hmac(key, word)
    signature = _hmac(key, text).hex()
    credential = f"{credentials.access_key_id}/{place}"
    added["authorization"] = (
        f"{_ALGORITHM} Credential={credential}, SignedHeaders={names}, Signature={signature}"
    )
    return added


def _canonical(method: str, parts: SplitResult, headers: Mapping[str, str], body: bytes) -> str:
    lines = [f"{name}:{' '.join(headers[name].split())}" for name in sorted(headers)]
    digest = headers.get("x-amz-content-sha256", sha256(body).hexdigest())
    # What is encoded in the path already is encoded once more.
    path = quote(_normalized(parts.path), safe="/~")
    query = "&".join(f"{name}={value}" for name, value in sorted(_pairs(parts.query)))
    names = ";".join(sorted(headers))
    return "\n".join((method.upper(), path, query, *lines, "", names, digest))


def _signable(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name not in _UNSIGNED}


def _pairs(query: str) -> list[tuple[str, str]]:
    pairs = (pair.partition("=") for pair in query.split("&") if query)
    return [(name, value) for name, _, value in pairs]


def _normalized(path: str) -> str:
    """Return a path without empty segments, ``.`` and ``..``."""
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment not in {"", "."}:
            kept.append(segment)
    end = "/" if kept and path.endswith("/") else ""
    return f"/{'/'.join(kept)}{end}"


def _host(parts: SplitResult) -> str:
    host = parts.hostname or ""
    if ":" in host:
        host = f"[{host}]"
    usual = parts.port is None or parts.port == _PORTS.get(parts.scheme)
    return host if usual else f"{host}:{parts.port}"


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")
