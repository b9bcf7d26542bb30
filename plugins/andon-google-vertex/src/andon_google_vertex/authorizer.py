"""Signing in to Google Cloud: an API key, or tokens that are fetched before they expire."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

from andon.errors import BackendError
from andon.specs import BackendContext
from andon.wire.endpoint import Authorizer
from andon_google_vertex.settings import find_place, own_header
from andon_google_vertex.tokens import Token, TokenSource, find_source

#: Seconds before its expiry at which a token is replaced. The metadata server gives the same token
#: until four minutes before its end (google-auth: REFRESH_THRESHOLD).
MARGIN = 225.0

#: Seconds after which a failed replacement is tried again while the token still holds.
PAUSE = 10.0


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


class FixedHeaders(Authorizer):
    """Signs every call with the same headers.

    :param headers: the headers, names in lower case.
    """

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = dict(headers)

    def refresh_due(self) -> bool:
        """Return False: a key needs nothing."""
        return False

    def refresh(self) -> None:
        """Do nothing."""

    def sign(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> dict[str, str]:
        """Return the headers."""
        return dict(self._headers)

    def secrets(self) -> tuple[str, ...]:
        """Return what must not appear in a message."""
        return tuple(self._headers.values())


class TokenAuthorizer(Authorizer):
    """Signs calls with an access token, and replaces it before it expires.

    :param find: finds where tokens come from; called at the first refresh, in its thread.
    :param clock: gives seconds since 1970.
    """

    def __init__(
        self, find: Callable[[], TokenSource], clock: Callable[[], float] = time.time
    ) -> None:
        self._find = find
        self._clock = clock
        self._source: TokenSource | None = None
        self._token: Token | None = None
        self._due = 0.0
        self._lock = threading.Lock()

    def refresh_due(self) -> bool:
        """Return whether the token is missing or expires soon."""
        return self._clock() >= self._due

    def refresh(self) -> None:
        """Fetch a token; one thread does, the others wait for it.

        :raises MissingKeyError: there are no credentials.
        :raises SettingsError: the credentials cannot be read.
        :raises BackendError: Google gave no token, and the one before has expired.
        """
        with self._lock:
            if not self.refresh_due():
                return
            if self._source is None:
                self._source = self._find()
            try:
                token = self._source.fetch()
            except BackendError:
                if self._token is None or self._clock() >= self._token.expiry:
                    raise
                self._due = min(self._clock() + PAUSE, self._token.expiry)
                return
            self._token = token
            # A token that lives shorter than the margin is used up to its half.
            life = token.expiry - self._clock()
            self._due = token.expiry - min(MARGIN, life / 2)

    def sign(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> dict[str, str]:
        """Return the headers with the token."""
        token = self._token
        assert token is not None
        signed = {"authorization": f"Bearer {token.value}"}
        if token.quota_project:
            signed["x-goog-user-project"] = token.quota_project
        return signed

    def secrets(self) -> tuple[str, ...]:
        """Return what must not appear in a message."""
        token, source = self._token, self._source
        return (
            *(() if token is None else (token.value,)),
            *(() if source is None else source.secrets()),
        )
