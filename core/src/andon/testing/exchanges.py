"""Exchanges with a server, on paper: what was asked and what came back, without any secret.

A secret is what signs a call in: a key, a token, a cookie. Of headers and query parameters only
those are kept that are known to hold none; whatever the others held is looked for in all that is
kept, in every form in which it may stand there, and struck out. The words of a chat are no secret
in this sense: record with made-up ones.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from andon.errors import ConfigurationError

#: What stands where something was struck out.
REDACTED = "REDACTED"

#: Headers that are kept; all others may hold a secret, and are left out.
KEPT_HEADERS = frozenset(
    {
        "accept", "anthropic-beta", "anthropic-version", "api-version", "content-type",
        "openai-beta", "request-id", "retry-after", "retry-after-ms", "x-amzn-errortype",
        "x-amzn-requestid", "x-request-id", "x-should-retry",
    }
)  # fmt: skip
#: Query parameters whose values are kept.
KEPT_PARAMETERS = frozenset({"after", "alt", "api-version", "limit", "order", "page", "stream"})
#: Names of request headers and query parameters that sign a call in. Replies tell limits in headers
#: of such names.
_SECRET_PLACE = re.compile(r"auth|key|token|secret|signature|credential|sig$", re.IGNORECASE)
#: Members of JSON, anywhere in a body, that are secrets by their names.
_MEMBER = re.compile(
    rb'"((?:[^"\\]*[_-])?(?:api[_-]?key|authorization|credentials?|passw(?:or)?d|secret'
    rb'|(?:access|auth|bearer|id|refresh|session)[_-]?token))"(\s*:\s*)"((?:[^"\\]|\\.)*)"',
    re.IGNORECASE,
)
#: What secrets of known makes look like, wherever they stand.
_SECRET_TEXT = re.compile(
    rb"\b(?:sk|pk|rk|gsk|hf|r8|xai|key|fw|nvapi|ghp|gho)[-_][A-Za-z0-9_-]{16,}"
    rb"|\bAIza[A-Za-z0-9_-]{30,}|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bBearer\s+[A-Za-z0-9._~+/-]{8,}=*"
    rb"|\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]*"
)
#: Shorter texts than this are words, and no secrets that could be looked for.
_SHORTEST = 6
_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A request and its reply, as they were, but for secrets.

    :param method: the HTTP method.
    :param target: the path with the query.
    :param request_headers: the request's headers, names in lower case.
    :param request_body: the bytes of its body.
    :param status: the reply's HTTP status.
    :param reply_headers: the reply's headers, names in lower case.
    :param pieces: the bytes of its body, as they came.
    """

    method: str
    target: str
    request_headers: Mapping[str, str]
    request_body: bytes
    status: int
    reply_headers: Mapping[str, str]
    pieces: Sequence[bytes]


def redacted(exchange: Exchange, secrets: Iterable[str] = ()) -> Exchange:
    """Return an exchange without its secrets.

    :param exchange: the exchange as it was.
    :param secrets: further texts to strike out.
    """
    struck = _forms({*_secrets_of(exchange), *secrets})
    return Exchange(
        method=exchange.method,
        target=_without(_clean_target(exchange.target).encode(), struck).decode(),
        request_headers=_clean_headers(exchange.request_headers, struck),
        request_body=_clean_body(exchange.request_body, struck),
        status=exchange.status,
        reply_headers=_clean_headers(exchange.reply_headers, struck),
        pieces=_clean_pieces(exchange.pieces, struck),
    )


def same_request(one: Exchange, other: Exchange) -> bool:
    """Return whether two redacted exchanges ask the same."""
    return (one.method, one.target, _read(one.request_body)) == (
        other.method, other.target, _read(other.request_body)
    )  # fmt: skip


# -- Files -------------------------------------------------------------------------------------


def write_exchanges(exchanges: Iterable[Exchange], file: Path) -> None:
    """Write exchanges as JSON; bodies that are text can be read, and compared in a diff.

    :param exchanges: the exchanges; secrets are struck out once more.
    :param file: the file.
    """
    rows = [_as_row(redacted(exchange)) for exchange in exchanges]
    content = {"version": _VERSION, "exchanges": rows}
    file.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def read_exchanges(file: Path) -> list[Exchange]:
    """Return the exchanges of a file.

    :raises ConfigurationError: it is none of these files.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if content["version"] == _VERSION:
            return [_from_row(row) for row in content["exchanges"]]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ConfigurationError(f"{file} holds no recorded exchanges: {error!r}") from error
    raise ConfigurationError(f"{file} is of version {content['version']!r}, and not {_VERSION}")


def _as_row(exchange: Exchange) -> dict[str, Any]:
    return {
        "request": {
            "method": exchange.method,
            "target": exchange.target,
            "headers": dict(exchange.request_headers),
            "body": _as_text(exchange.request_body),
        },
        "reply": {
            "status": exchange.status,
            "headers": dict(exchange.reply_headers),
            "pieces": [_as_text(piece) for piece in exchange.pieces],
        },
    }


def _from_row(row: Mapping[str, Any]) -> Exchange:
    request, reply = row["request"], row["reply"]
    return Exchange(
        method=request["method"],
        target=request["target"],
        request_headers=request["headers"],
        request_body=_as_bytes(request["body"]),
        status=reply["status"],
        reply_headers=reply["headers"],
        pieces=[_as_bytes(piece) for piece in reply["pieces"]],
    )


def _as_text(data: bytes) -> Any:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}


def _as_bytes(text: Any) -> bytes:
    return text.encode() if isinstance(text, str) else base64.b64decode(text["base64"])


# -- Striking out ------------------------------------------------------------------------------


def _secrets_of(exchange: Exchange) -> set[str]:
    """Return every text of an exchange that stands where a secret may stand."""
    found = {*_crumbs(exchange.request_headers), *_crumbs(exchange.reply_headers)}
    for name, value in exchange.request_headers.items():
        if _SECRET_PLACE.search(name):
            found |= {value, value.partition(" ")[2], value.rpartition(" ")[2], *_unpacked(value)}
    query = parse_qsl(urlsplit(exchange.target).query)
    found |= {value for name, value in query if _SECRET_PLACE.search(name)}
    for body in (exchange.request_body, b"".join(exchange.pieces)):
        found |= {_unquoted(member[3]) for member in _MEMBER.finditer(body)}
    return {one for one in found if len(one) >= _SHORTEST}


def _crumbs(headers: Mapping[str, str]) -> Iterator[str]:
    """Give the values of cookies."""
    for name, value in headers.items():
        if name.lower() in {"cookie", "set-cookie"}:
            yield from (one.partition("=")[2] for one in re.split(r"[;,]\s*", value))


def _unpacked(value: str) -> Iterable[str]:
    """Give user and password of basic credentials."""
    kind, _, packed = value.partition(" ")
    if kind.lower() == "basic":
        try:
            yield from base64.b64decode(packed).decode().split(":", 1)
        except ValueError:
            return


def _unquoted(value: bytes) -> str:
    try:
        return str(json.loads(b'"%b"' % value))
    except ValueError:
        return value.decode(errors="replace")


def _forms(secrets: Iterable[str]) -> list[bytes]:
    """Return secrets in every form in which they may stand somewhere, the longest first."""
    forms: set[bytes] = set()
    for secret in secrets:
        raw = secret.encode()
        coded = base64.b64encode(raw).rstrip(b"=")
        forms |= {raw, json.dumps(secret)[1:-1].encode(), quote(secret, safe="").encode()}
        forms |= {coded, base64.urlsafe_b64encode(raw).rstrip(b"=")}
    return sorted((form for form in forms if form), key=len, reverse=True)


def _without(data: bytes, struck: Iterable[bytes]) -> bytes:
    for form in struck:
        data = data.replace(form, REDACTED.encode())
    return _SECRET_TEXT.sub(REDACTED.encode(), data)


def _clean_target(target: str) -> str:
    path, mark, query = target.partition("?")
    pairs = parse_qsl(query, keep_blank_values=True)
    clean = [(n, v if n.lower() in KEPT_PARAMETERS else REDACTED) for n, v in pairs]
    return path + mark + urlencode(clean)


def _clean_headers(headers: Mapping[str, str], struck: Sequence[bytes]) -> dict[str, str]:
    return {
        name.lower(): _without(value.encode(), struck).decode()
        for name, value in headers.items()
        if name.lower() in KEPT_HEADERS
    }


def _clean_body(body: bytes, struck: Sequence[bytes]) -> bytes:
    return _without(_MEMBER.sub(rb'"\1"\2"%b"' % REDACTED.encode(), body), struck)


def _clean_pieces(pieces: Sequence[bytes], struck: Sequence[bytes]) -> tuple[bytes, ...]:
    """Return pieces without secrets; joined, where a secret lies across their borders."""
    clean = tuple(_clean_body(piece, struck) for piece in pieces)
    whole = _clean_body(b"".join(pieces), struck)
    return clean if b"".join(clean) == whole else (whole,)


def _read(body: bytes) -> Any:
    """Return a body as JSON, or as it is where it is none."""
    try:
        return json.loads(body)
    except ValueError:
        return body
