"""Signing in to Bedrock: with an API key, or with signatures."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from andon.specs import BackendContext
from andon.wire.authorizers import FixedHeaders, RenewedAuthorizer
from andon.wire.endpoint import Authorizer
from andon_aws_bedrock.chain import find_region, find_source
from andon_aws_bedrock.settings import find_key, own_header
from andon_aws_bedrock.signature import Credentials, Scope, signed_headers
from andon_aws_bedrock.sources import CredentialSource

#: Seconds before their end at which credentials are replaced. An instance has the next ones five
#: minutes before (docs.aws.amazon.com, Retrieve security credentials from instance metadata).
MARGIN = 300.0


def make_authorizer(context: BackendContext) -> Authorizer:
    """Return what signs the calls of a backend. No file is read and nothing is fetched yet.

    :raises SettingsError: a setting is wrong.
    """
    if own_header(context):
        return FixedHeaders({})
    key = find_key(context)
    if key is not None:
        return FixedHeaders({"authorization": f"Bearer {key}"})
    return SignatureAuthorizer(lambda: (find_source(context), find_region(context)))


class SignatureAuthorizer(RenewedAuthorizer[tuple[Credentials, Scope]]):
    """Signs calls with credentials, and replaces those before they expire.

    :param find: finds where credentials come from, and the region; called at the first refresh.
    :param clock: gives seconds since 1970.
    """

    def __init__(
        self,
        find: Callable[[], tuple[CredentialSource, str]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(MARGIN, clock)
        self._find = find
        self._found: tuple[CredentialSource, Scope] | None = None

    def fetch(self) -> tuple[tuple[Credentials, Scope], float | None]:
        """Fetch credentials."""
        if self._found is None:
            source, region = self._find()
            self._found = source, Scope(region, "bedrock")
        source, scope = self._found
        credentials = source.fetch()
        return (credentials, scope), credentials.expiry

    def sign(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> dict[str, str]:
        """Return the headers with the signature."""
        credentials, scope = self.held
        moment = datetime.fromtimestamp(self._clock(), UTC)
        return signed_headers(
            method, url, headers, body, credentials=credentials, scope=scope, moment=moment
        )

    def secrets(self) -> tuple[str, ...]:
        """Return what must not appear in a message."""
        if self._held is None:
            return ()
        credentials = self._held[0]
        return credentials.secret_access_key, *filter(None, (credentials.session_token,))
