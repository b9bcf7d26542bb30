"""Signing in to Bedrock: with an API key, or with signatures."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from andon.errors import BackendError, ConfigurationError
from andon.specs import BackendContext
from andon.wire.endpoint import Authorizer
from andon_aws_bedrock.chain import find_region, find_source
from andon_aws_bedrock.settings import find_key, own_header
from andon_aws_bedrock.signature import Credentials, Scope, signed_headers
from andon_aws_bedrock.sources import CredentialSource

#: Seconds before their end at which credentials are replaced. An instance has the next ones five
#: minutes before (docs.aws.amazon.com, Retrieve security credentials from instance metadata).
MARGIN = 300.0

#: Seconds after which a replacement is tried again that failed or brought nothing new.
PAUSE = 10.0


def make_authorizer(context: BackendContext) -> Authorizer:
    """Return what signs the calls of a backend. No file is read and nothing is fetched yet.

    :raises SettingsError: a setting is wrong.
    """
    if own_header(context):
        return FixedHeaders({})
    key = find_key(context)
    if key is not None:
        return FixedHeaders({"authorization": f"Bearer {key}"}, (key,))
    return SignatureAuthorizer(lambda: (find_source(context), find_region(context)))


class FixedHeaders(Authorizer):
    """Signs every call with the same headers.

    :param headers: the headers, names in lower case.
    :param secrets: what of them must not appear in a message.
    """

    def __init__(self, headers: Mapping[str, str], secrets: tuple[str, ...] = ()) -> None:
        self._headers = dict(headers)
        self._secrets = secrets

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
        return self._secrets


class SignatureAuthorizer(Authorizer):
    """Signs calls with credentials, and replaces those before they expire.

    :param find: finds where credentials come from, and the region; called at the first refresh.
    :param clock: gives seconds since 1970.
    """

    def __init__(
        self,
        find: Callable[[], tuple[CredentialSource, str]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._find = find
        self._clock = clock
        self._source: CredentialSource | None = None
        self._signer: tuple[Credentials, Scope] | None = None
        self._due = 0.0
        self._lock = threading.Lock()

    def refresh_due(self) -> bool:
        """Return whether there are no credentials, or they expire soon."""
        return self._clock() >= self._due

    def refresh(self) -> None:
        """Fetch credentials; one thread does, the others wait for it.

        :raises MissingKeyError: there are none.
        :raises SettingsError: a setting is wrong, or a file cannot be read.
        :raises BackendError: they could not be had, and those before have expired.
        """
        with self._lock:
            if not self.refresh_due():
                return
            if self._source is None or self._signer is None:
                self._source, region = self._find()
                self._signer = self._source.fetch(), Scope(region, "bedrock")
            else:
                self._signer = self._replacement(self._source, *self._signer)
            expiry = self._signer[0].expiry
            self._due = (
                float("inf") if expiry is None else max(expiry - MARGIN, self._clock() + PAUSE)
            )

    def _replacement(
        self, source: CredentialSource, credentials: Credentials, scope: Scope
    ) -> tuple[Credentials, Scope]:
        """Return new credentials, or those that still hold where there are none."""
        try:
            return source.fetch(), scope
        except (BackendError, ConfigurationError):
            if credentials.expiry is not None and self._clock() < credentials.expiry:
                return credentials, scope
            raise

    def sign(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> dict[str, str]:
        """Return the headers with the signature."""
        signer = self._signer
        assert signer is not None
        credentials, scope = signer
        moment = datetime.fromtimestamp(self._clock(), UTC)
        return signed_headers(
            method, url, headers, body, credentials=credentials, scope=scope, moment=moment
        )

    def secrets(self) -> tuple[str, ...]:
        """Return what must not appear in a message."""
        if self._signer is None:
            return ()
        credentials = self._signer[0]
        return credentials.secret_access_key, *filter(None, (credentials.session_token,))
