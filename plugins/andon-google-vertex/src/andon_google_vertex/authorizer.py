"""Signing in to Google Cloud: an API key, or tokens that are fetched before they expire."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from andon.specs import BackendContext
from andon.wire.authorizers import FixedHeaders, RenewedAuthorizer
from andon.wire.endpoint import Authorizer
from andon_google_vertex.settings import find_place, own_header
from andon_google_vertex.tokens import Token, TokenSource, find_source

#: Seconds before its expiry at which a token is replaced. The metadata server gives the same token
#: until four minutes before its end (google-auth: REFRESH_THRESHOLD).
MARGIN = 225.0


def make_authorizer(context: BackendContext) -> Authorizer:
    """Return what signs the calls of a backend. Nothing is read or fetched yet.

    :raises SettingsError: a setting is wrong.
    """
    place = find_place(context)
    if own_header(context):
        return FixedHeaders({})
    if place.key is not None:
        return FixedHeaders({"x-goog-api-key": place.key})
    return TokenAuthorizer(lambda: find_source(context))


class TokenAuthorizer(RenewedAuthorizer[Token]):
    """Signs calls with an access token, and replaces it before it expires.

    :param find: finds where tokens come from; called at the first refresh, in its thread.
    :param clock: gives seconds since 1970.
    """

    def __init__(
        self, find: Callable[[], TokenSource], clock: Callable[[], float] = time.time
    ) -> None:
        super().__init__(MARGIN, clock)
        self._find = find
        self._source: TokenSource | None = None

    def fetch(self) -> tuple[Token, float]:
        """Fetch a token."""
        if self._source is None:
            self._source = self._find()
        token = self._source.fetch()
        return token, token.expiry

    def sign(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> dict[str, str]:
        """Return the headers with the token."""
        signed = {"authorization": f"Bearer {self.held.value}"}
        if self.held.quota_project:
            signed["x-goog-user-project"] = self.held.quota_project
        return signed

    def secrets(self) -> tuple[str, ...]:
        """Return what must not appear in a message."""
        token, source = self._held, self._source
        return (
            *(() if token is None else (token.value,)),
            *(() if source is None else source.secrets()),
        )
