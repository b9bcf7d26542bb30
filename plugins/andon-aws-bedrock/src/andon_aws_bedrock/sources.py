"""What gives credentials, and how their JSON is read."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from andon.errors import AuthenticationError, BackendError
from andon.wire.dialect import HTTPReply
from andon.wire.http import ConnectionSettings, HTTPConnection
from andon.wire.json_values import read_json
from andon.wire.waits import Timeouts
from andon_aws_bedrock.signature import Credentials

#: Most bytes of a reply with credentials.
_MAX_BODY = 1024 * 1024

#: Seconds that a program may take to give credentials; it may ask somebody.
_PROGRAM_TIME = 60.0


class CredentialSource(Protocol):
    """Gives credentials."""

    def fetch(self) -> Credentials:
        """Return credentials that hold now; may wait for the network.

        :raises MissingKeyError: there are none.
        :raises BackendError: they could not be had.
        """
        ...


@dataclass(frozen=True, slots=True)
class Given:
    """Credentials that somebody wrote down.

    :param credentials: the credentials.
    """

    credentials: Credentials = field(repr=False)

    def fetch(self) -> Credentials:
        """Return them."""
        return self.credentials


@dataclass(frozen=True, slots=True)
class Program:
    """A program that writes credentials: ``credential_process`` of a profile.

    :param command: the program with its arguments, as in a shell.
    :param environment: the environment variables that it sees.
    """

    command: str = field(repr=False)
    environment: Mapping[str, str] = field(repr=False)

    def fetch(self) -> Credentials:
        """Run it, and return what it writes; see :meth:`CredentialSource.fetch`."""
        import shlex
        import subprocess

        try:
            done = subprocess.run(
                shlex.split(self.command, posix=os.name != "nt"),
                capture_output=True,
                check=True,
                env=dict(self.environment),
                timeout=_PROGRAM_TIME,
            )
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            # Not the error's own text: the command may hold a secret.
            raise AuthenticationError(
                f"the credential_process of a profile in ~/.aws/config gave no credentials "
                f"({type(error).__name__}); run it by hand to see why"
            ) from None
        return read_credentials(done.stdout, "the credential_process of a profile")


def read_credentials(data: bytes, whose: str) -> Credentials:
    """Return the credentials in a JSON object, as AWS's services and programs write them.

    :param data: the JSON text.
    :param whose: who wrote it, for messages.
    :raises BackendError: there are none.
    """
    try:
        value = read_json(data)
        token = value.get("SessionToken") or value.get("Token")
        return Credentials(
            access_key_id=_text(value["AccessKeyId"]),
            secret_access_key=_text(value["SecretAccessKey"]),
            session_token=None if token is None else _text(token),
            expiry=read_time(value.get("Expiration")),
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        said = ""
        with suppress(ValueError, AttributeError):
            said = str(read_json(data).get("Message") or "")[:500]
        raise BackendError(f"{whose} gave no credentials{said and ': '}{said}") from None


def read_time(value: Any) -> float | None:
    """Return a moment in seconds since 1970, or None where there is none.

    :param value: the moment, as in ``2026-11-22T10:00:00Z``.
    :raises ValueError: it cannot be read.
    """
    if value is None or value == "":
        return None
    moment = datetime.fromisoformat(_text(value))
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def send(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    timeouts: Timeouts,
    settings: ConnectionSettings,
) -> HTTPReply:
    """Send a call, and return its reply.

    It goes through andon's own HTTP module: no proxy comes from the environment, and no redirect
    is followed. The connection is its own, for it is needed once an hour.

    :raises TransportError: there is no connection.
    :raises RequestTimeout: it took longer than it may.
    """
    connection = HTTPConnection(settings)
    try:
        with connection.send(method, url, headers, body, timeouts) as reply:
            return HTTPReply(status=reply.status, headers=reply.headers, body=reply.read(_MAX_BODY))
    finally:
        connection.close()


def _text(value: Any) -> str:
    if isinstance(value, str) and value:
        return value
    raise TypeError("not a text")
