"""Where the server is, as Ollama's own programs read it from ``OLLAMA_HOST``."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from andon.errors import SettingsError
from andon.specs import BackendContext

VARIABLE = "OLLAMA_HOST"
DEFAULT = "http://127.0.0.1:11434"
_PORT = 11434
#: Addresses to listen at, which stand for this machine where one connects.
_UNSPECIFIED = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 not listened at


def find_base_url(context: BackendContext) -> str:
    """Return the server's address.

    :raises SettingsError: ``OLLAMA_HOST`` is no address.
    """
    return parse_host(context.environment.get(VARIABLE, ""))


def parse_host(text: str) -> str:
    """Return the base URL that a value of ``OLLAMA_HOST`` means.

    :param text: a host, ``host:port``, or an address with its scheme; only without a scheme the
        port is Ollama's own by default.
    :raises SettingsError: it is no address.
    """
    text = text.strip()
    if text == "ollama.com":
        return "https://ollama.com"
    scheme, colon, rest = text.partition("://")
    if not colon:
        scheme, rest = "http", text
    try:
        parts = urlsplit(f"http://{rest}")
        host, port = parts.hostname or "127.0.0.1", parts.port
    except ValueError:
        raise _no_address(text) from None
    plain = not (parts.username or parts.password or parts.query or parts.fragment)
    if scheme not in {"http", "https"} or not plain or not re.fullmatch(r"[\w.:%-]+", host):
        raise _no_address(text)
    if port is None and not colon:
        port = _PORT
    host = _UNSPECIFIED.get(host) or (f"[{host}]" if ":" in host else host)
    path = parts.path.strip("/")
    return f"{scheme}://{host}" + (f":{port}" if port else "") + (f"/{path}" if path else "")


def _no_address(text: str) -> SettingsError:
    # What stands before an @ may be a password.
    shown = text.rpartition("@")[2][:80]
    return SettingsError(
        f"{VARIABLE} must be a host, host:port or an address like {DEFAULT}, not {shown!r}"
    )
