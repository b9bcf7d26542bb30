"""Where access tokens come from: a file of credentials, or the machine's metadata server.

What a file stands for is google-auth's knowledge. Its calls are made through andon's own HTTP
module, so that the same proxy, the same certificates and the same guard hold for them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from andon.errors import (
    AuthenticationError,
    BackendError,
    RequestTimeout,
    SettingsError,
    TransportError,
)
from andon.specs import BackendContext
from andon.wire.dialect import HTTPReply
from andon.wire.gemini_errors import explain
from andon.wire.http import ConnectionSettings, HTTPConnection
from andon.wire.json_values import read_json
from andon.wire.waits import Timeouts
from andon_google_vertex.files import find_file, read_file
from andon_google_vertex.settings import missing, option

SCOPE = "https://www.googleapis.com/auth/cloud-platform"

#: Most bytes of a reply with a token.
_MAX_BODY = 1024 * 1024

_TIMEOUTS = Timeouts(connect=10, first_byte=30, stall=30, total=60)
#: The metadata server is next door, or nowhere.
_NEARBY = Timeouts(connect=3, first_byte=10, stall=10, total=20)

#: Statuses after which the same may succeed: those errors are andon's, with its own retries.
_RETRYABLE = {408, 429, 500, 502, 503, 504}

#: What google-auth calls the types of files, with its module and what reads them there.
_TYPES = {
    "service_account": ("google.oauth2.service_account", "from_service_account_info"),
    "authorized_user": ("google.oauth2.credentials", "from_authorized_user_info"),
    "external_account_authorized_user": (
        "google.auth.external_account_authorized_user",
        "from_info",
    ),
    "impersonated_service_account": (
        "google.auth.impersonated_credentials",
        "from_impersonated_service_account_info",
    ),
}
_AWS = "urn:ietf:params:aws:token-type:aws4_request"
_SECRET_FIELDS = ("refresh_token", "client_secret")


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """An access token.

    :param value: the token itself.
    :param expiry: when it ends, in seconds since 1970.
    :param quota_project: the project whose quota the calls count against, where it is another.
    """

    value: str
    expiry: float
    quota_project: str | None = None


class TokenSource(Protocol):
    """Gives access tokens."""

    def fetch(self) -> Token:
        """Return a new token; waits for the network.

        :raises MissingKeyError: there are no credentials.
        :raises BackendError: there is no token.
        """
        ...

    def secrets(self) -> tuple[str, ...]:
        """Return what must not appear in a message."""
        ...


def find_source(context: BackendContext) -> TokenSource:
    """Return where the tokens come from, in the order of Google's default credentials.

    :raises MissingKeyError: there is nowhere to look.
    :raises SettingsError: a file of credentials cannot be read.
    """
    quota = context.environment.get("GOOGLE_CLOUD_QUOTA_PROJECT")
    file = find_file(context)
    if file is None:
        if context.environment.get("NO_GCE_CHECK", "").lower() == "true":
            raise missing()
        return MetadataServer(context.environment, quota)
    settings = ConnectionSettings(
        ca_file=option(context, "ca_file"), proxy=option(context, "proxy")
    )
    return CredentialsFile(file, settings, quota)


class CredentialsFile:
    """Credentials that lie in a file, of any type that google-auth knows.

    :param file: the file.
    :param connection: how to connect to Google.
    :param quota: the project whose quota counts, in place of the one in the file.
    :raises SettingsError: the file cannot be read.
    """

    def __init__(self, file: Path, connection: ConnectionSettings, quota: str | None) -> None:
        self._file = file
        self._connection = connection
        content = read_file(file)
        self._quota = quota or content.get("quota_project_id")
        self._secrets = tuple(
            content[name] for name in _SECRET_FIELDS if isinstance(content.get(name), str)
        )
        self._credentials = _load(file, content)

    def fetch(self) -> Token:
        """Return a new token; see :meth:`TokenSource.fetch`."""
        exceptions: Any = import_module("google.auth.exceptions")
        try:
            self._credentials.refresh(_Caller(self._connection))
        except exceptions.GoogleAuthError as error:
            raise AuthenticationError(
                f"Google gives no access token for the credentials in {str(self._file)!r}: "
                f"{error.args[0] if error.args else error!s:.500}"
            ) from None
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            # google-auth reads what comes back without looking.
            raise BackendError(
                f"no access token came back for the credentials in {str(self._file)!r} "
                f"({type(error).__name__}); is its token_uri right?"
            ) from None
        value, expiry = self._credentials.token, self._credentials.expiry
        ends = time.time() if expiry is None else expiry.replace(tzinfo=UTC).timestamp()
        return Token(value=str(value), expiry=ends, quota_project=self._quota)

    def secrets(self) -> tuple[str, ...]:
        """Return the secrets in the file that are short enough to be repeated."""
        return self._secrets


class MetadataServer:
    """The server beside Google's own machines, which gives tokens of their service account.

    :param environment: the environment variables.
    :param quota: the project whose quota counts, where it is another.
    """

    def __init__(self, environment: Mapping[str, str], quota: str | None) -> None:
        names = ("GCE_METADATA_HOST", "GCE_METADATA_ROOT")
        named = next((environment[name] for name in names if environment.get(name)), None)
        self._host = named or "metadata.google.internal"
        self._quota = quota
        self._found = False

    def fetch(self) -> Token:
        """Return a new token; see :meth:`TokenSource.fetch`."""
        url = (
            f"http://{self._host}/computeMetadata/v1/instance/service-accounts/default/token"
            f"?scopes={SCOPE}"
        )
        # Never by a proxy: the server is on this machine's own network.
        settings = ConnectionSettings(tls=False)
        headers = {"metadata-flavor": "Google"}
        try:
            reply = _send(settings, "GET", url, headers, b"", _NEARBY)
        except (TransportError, RequestTimeout) as error:
            if self._found:
                raise
            raise missing() from error
        if reply.status == 404:
            raise missing()  # the machine has no service account
        if reply.status != 200:
            raise explain(reply)
        try:
            body = read_json(reply.body)
            value, life = body["access_token"], float(body["expires_in"])
        except (ValueError, TypeError, KeyError):
            raise BackendError(
                f"the metadata server at {self._host} answered with what is no access token; "
                "is GCE_METADATA_HOST right?"
            ) from None
        self._found = True
        return Token(value=str(value), expiry=time.time() + life, quota_project=self._quota)

    def secrets(self) -> tuple[str, ...]:
        """Return nothing: the machine itself is the secret."""
        return ()


class _Response(NamedTuple):
    """A reply as google-auth reads it."""

    status: int
    headers: Mapping[str, str]
    data: bytes


class _Caller:
    """Makes google-auth's calls."""

    def __init__(self, connection: ConnectionSettings) -> None:
        self._connection = connection

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        **_: Any,
    ) -> _Response:
        data = body.encode() if isinstance(body, str) else body or b""
        sent = {name.lower(): value for name, value in (headers or {}).items()}
        reply = _send(self._connection, method, url, sent, data, _TIMEOUTS)
        if reply.status in _RETRYABLE:
            raise explain(reply)
        return _Response(reply.status, reply.headers, reply.body)


def _send(
    settings: ConnectionSettings,
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    timeouts: Timeouts,
) -> HTTPReply:
    # A connection of its own: it is needed once an hour.
    connection = HTTPConnection(settings)
    try:
        with connection.send(method, url, headers, body, timeouts) as reply:
            return HTTPReply(status=reply.status, headers=reply.headers, body=reply.read(_MAX_BODY))
    finally:
        connection.close()


def _load(file: Path, content: Mapping[str, Any]) -> Any:
    module, reader = _reader(file, content)
    try:
        credentials: Any = import_module(module).Credentials
        loaded = getattr(credentials, reader)(content, scopes=[SCOPE])
        if content["type"] == "authorized_user" and content.get("token_uri"):
            # google-auth would always ask Google itself.
            loaded = loaded.with_token_uri(content["token_uri"])
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        # Not the error's own text: it may repeat a secret.
        raise SettingsError(
            f"{str(file)!r} is damaged: google-auth cannot read it as credentials of the type "
            f"{content['type']!r} ({type(error).__name__})"
        ) from None
    return loaded


def _reader(file: Path, content: Mapping[str, Any]) -> tuple[str, str]:
    kind = content["type"]
    if kind == "external_account":
        source = content.get("credential_source")
        if content.get("subject_token_type") == _AWS:
            return "google.auth.aws", "from_info"
        runs = isinstance(source, dict) and "executable" in source
        return f"google.auth.{'pluggable' if runs else 'identity_pool'}", "from_info"
    if kind in _TYPES:
        return _TYPES[kind]
    raise SettingsError(
        f"{str(file)!r} holds credentials of the type {kind!r:.80}; there are "
        f"{', '.join((*_TYPES, 'external_account'))}"
    )
