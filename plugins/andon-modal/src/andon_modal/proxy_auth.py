"""How one signs in at Modal: at its proxy, at the server behind it, or at both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from andon.errors import SettingsError
from andon.specs import BackendContext
from andon.wire.endpoint import Authorizer

#: Where each part may stand: the setting, and environment variables. Modal's own documentation
#: names no variables; these are what people use. Those of its API, ``MODAL_TOKEN_ID`` and
#: ``MODAL_TOKEN_SECRET``, do not open its proxy.
_PLACES = {
    "proxy_key": ("MODAL_PROXY_TOKEN_ID", "MODAL_KEY"),
    "proxy_secret": ("MODAL_PROXY_TOKEN_SECRET", "MODAL_SECRET"),
    "api_key": ("MODAL_API_KEY",),
}


class ProxyAuth(Authorizer):
    """Signs with a proxy token (``Modal-Key`` and ``Modal-Secret``), a bearer key, or both.

    :param proxy_key: the proxy token's id, ``wk-…``; empty where the proxy asks for none.
    :param proxy_secret: its secret, ``ws-…``.
    :param api_key: the key of the server behind the proxy; empty where that asks for none.
    """

    def __init__(self, proxy_key: str = "", proxy_secret: str = "", api_key: str = "") -> None:
        self._headers: dict[str, str] = {}
        if proxy_key:
            self._headers |= {"modal-key": proxy_key, "modal-secret": proxy_secret}
        if api_key:
            self._headers["authorization"] = f"Bearer {api_key}"
        self._secrets = tuple(filter(None, (proxy_key, proxy_secret, api_key)))

    @classmethod
    def from_context(cls, context: BackendContext) -> ProxyAuth:
        """Return what signs, from a backend's settings and environment.

        :raises SettingsError: half of the proxy token is missing, or a part cannot be a header.
        """
        found = {name: _find(name, context.options, context.environment) for name in _PLACES}
        if bool(found["proxy_key"]) != bool(found["proxy_secret"]):
            missing = "proxy_secret" if found["proxy_key"] else "proxy_key"
            raise SettingsError(
                f"half of Modal's proxy token is missing: set {missing} of 'modal' or the "
                f"environment variable {_PLACES[missing][0]}, or neither half"
            )
        return cls(**found)

    def refresh_due(self) -> bool:
        """Return False: a token stays as it is."""
        return False

    def refresh(self) -> None:
        """Do nothing."""

    def sign(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> dict[str, str]:
        """Return the headers, which are the same for every call."""
        return self._headers

    def secrets(self) -> tuple[str, ...]:
        """Return what must not appear in a message."""
        return self._secrets


def _find(name: str, options: Mapping[str, Any], environment: Mapping[str, str]) -> str:
    variables = (environment[v] for v in _PLACES[name] if environment.get(v))
    value = str(options.get(name) or next(variables, "")).strip()
    if not (value.isascii() and value.isprintable()):
        raise SettingsError(f"{name} of 'modal' holds a character that no token has")
    return value
