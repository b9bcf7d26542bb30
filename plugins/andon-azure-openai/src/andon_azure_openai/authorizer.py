"""Signing in to Azure: an API key, a token, or tokens of an application, fetched in time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from andon.errors import MissingKeyError, SettingsError
from andon.specs import BackendContext
from andon.wire.authorizers import FixedHeaders, RenewedAuthorizer
from andon.wire.endpoint import Authorizer
from andon_azure_openai.entra import Token, find_application

#: Seconds before its expiry at which a token is replaced; Azure's own libraries take as many.
MARGIN = 300.0


def make_authorizer(context: BackendContext) -> Authorizer:
    """Return what signs the calls of a backend. Nothing is fetched yet.

    What the settings say comes before the environment, and there a token before a key, as in
    OpenAI's own SDK; an application's credentials come last.

    :raises SettingsError: a setting is wrong.
    :raises MissingKeyError: there is nothing to sign in with.
    """
    if _own_header(context):
        return FixedHeaders({})
    options, environment = context.options, context.environment
    if options.get("api_key") and options.get("ad_token"):
        raise SettingsError("'azure-openai' takes api_key or ad_token, not both")
    if key := _checked("api_key", options.get("api_key")):
        return FixedHeaders({"api-key": key})
    if token := _checked("ad_token", options.get("ad_token")):
        return FixedHeaders({"authorization": f"Bearer {token}"})
    application = find_application(context)
    named = any(options.get(name) for name in ("tenant_id", "client_id", "client_secret"))
    if application is not None and named:
        return TokenAuthorizer(application.fetch, (application.secret,))
    if token := _checked("AZURE_OPENAI_AD_TOKEN", environment.get("AZURE_OPENAI_AD_TOKEN")):
        return FixedHeaders({"authorization": f"Bearer {token}"})
    if key := _checked("AZURE_OPENAI_API_KEY", environment.get("AZURE_OPENAI_API_KEY")):
        return FixedHeaders({"api-key": key})
    if application is not None:
        return TokenAuthorizer(application.fetch, (application.secret,))
    raise MissingKeyError(
        "'azure-openai' needs an API key or an Entra token: set the environment variable "
        "AZURE_OPENAI_API_KEY or AZURE_OPENAI_AD_TOKEN, or AZURE_TENANT_ID, AZURE_CLIENT_ID and "
        'AZURE_CLIENT_SECRET, or pass endpoints={"azure-openai": {"api_key": "…"}} to the client. '
        'Without any key there is "llama-cpp:demo", which runs on this machine.'
    )


class TokenAuthorizer(RenewedAuthorizer[Token]):
    """Signs calls with a token, and replaces it before it expires.

    :param fetch: fetches a token; waits for the network.
    :param secrets: what must not appear in a message, besides the token.
    :param clock: gives seconds; its beginning does not matter.
    """

    def __init__(
        self,
        fetch: Callable[[], Token],
        secrets: tuple[str, ...],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(MARGIN, clock)
        self._fetch = fetch
        self._secrets = secrets

    def fetch(self) -> tuple[Token, float]:
        """Fetch a token."""
        asked = self._clock()
        token = self._fetch()
        return token, asked + token.life

    def sign(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> dict[str, str]:
        """Return the header with the token."""
        return {"authorization": f"Bearer {self.held.value}"}

    def secrets(self) -> tuple[str, ...]:
        """Return what must not appear in a message."""
        return (*self._secrets, *(() if self._held is None else (self._held.value,)))


def _own_header(context: BackendContext) -> bool:
    """Return whether the user signs the calls with a header of their own, for a gateway say."""
    headers = context.options.get("headers")
    names = {str(name).lower() for name in headers} if isinstance(headers, Mapping) else set()
    return bool(names & {"authorization", "api-key"})


def _checked(name: str, value: object) -> str:
    text = value.strip() if isinstance(value, str) else ""
    if not (text.isascii() and text.isprintable()) and text:
        raise SettingsError(f"{name} of 'azure-openai' holds a character that no key has")
    return text
