"""Roles: credentials that AWS's Security Token Service gives for others, or for a token."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import urlencode

from andon.errors import BackendError, SettingsError
from andon.specs import BackendContext
from andon.wire.dialect import HTTPReply
from andon.wire.http import ConnectionSettings
from andon.wire.problems import Problem, to_error
from andon.wire.waits import Timeouts
from andon_aws_bedrock.machine import read_token
from andon_aws_bedrock.settings import address_of, is_on, option, variable
from andon_aws_bedrock.signature import Credentials, Scope, signed_headers
from andon_aws_bedrock.sources import CredentialSource, read_time, send

_TIMEOUTS = Timeouts(connect=10, first_byte=30, stall=30, total=60)
_VERSION = "2011-06-15"
_SESSION = "andon"
_FORM = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}


@dataclass(frozen=True, slots=True)
class TokenService:
    """Where AWS's Security Token Service is, and how to connect to it.

    :param url: its address.
    :param region: its region.
    :param connection: how to connect.
    """

    url: str
    region: str
    connection: ConnectionSettings

    @classmethod
    def find(cls, context: BackendContext, region: str) -> TokenService:
        """Return the service of a region."""
        name = "sts-fips" if is_on(context, "AWS_USE_FIPS_ENDPOINT") else "sts"
        named = variable(context, "AWS_ENDPOINT_URL_STS") or variable(context, "AWS_ENDPOINT_URL")
        connection = ConnectionSettings(
            ca_file=option(context, "ca_file"), proxy=option(context, "proxy")
        )
        return cls((named or address_of(name, region)).rstrip("/") + "/", region, connection)

    def ask(self, fields: Mapping[str, str], signer: Credentials | None) -> Credentials:
        """Return the credentials that a call gives.

        :param fields: what to ask.
        :param signer: who asks, or None where a token says so.
        :raises BackendError: there are none.
        """
        body = urlencode({"Version": _VERSION, **fields}).encode()
        headers = dict(_FORM)
        if signer is not None:
            headers |= signed_headers(
                "POST",
                self.url,
                headers,
                body,
                credentials=signer,
                scope=Scope(self.region, "sts"),
                moment=datetime.now(UTC),
            )
        return _read(send("POST", self.url, headers, body, _TIMEOUTS, self.connection))


@dataclass(frozen=True, slots=True)
class WebIdentity:
    """A role for the token of somebody else's: of Kubernetes, or of a build service.

    :param file: where the token is; it is replaced from time to time.
    :param role: the role's ARN.
    :param session: a name for AWS's logs.
    :param service: what gives the credentials.
    """

    file: str
    role: str
    session: str | None
    service: TokenService = field(repr=False)

    def fetch(self) -> Credentials:
        """Take the role; see :meth:`CredentialSource.fetch`."""
        fields = {
            "Action": "AssumeRoleWithWebIdentity",
            "RoleArn": self.role,
            "RoleSessionName": self.session or _SESSION,
            "WebIdentityToken": read_token(self.file, "AWS_WEB_IDENTITY_TOKEN_FILE"),
        }
        return self.service.ask(fields, None)


@dataclass(frozen=True, slots=True)
class AssumedRole:
    """A role for other credentials: ``role_arn`` of a profile.

    :param source: the credentials that may take it.
    :param profile: the profile that names it.
    :param service: what gives the credentials.
    """

    source: CredentialSource = field(repr=False)
    profile: Mapping[str, str] = field(repr=False)
    service: TokenService = field(repr=False)

    def fetch(self) -> Credentials:
        """Take the role; see :meth:`CredentialSource.fetch`."""
        profile = self.profile
        fields = {
            "Action": "AssumeRole",
            "RoleArn": profile["role_arn"],
            "RoleSessionName": profile.get("role_session_name") or _SESSION,
        }
        more = {"ExternalId": "external_id", "DurationSeconds": "duration_seconds"}
        fields |= {name: profile[ours] for name, ours in more.items() if profile.get(ours)}
        if profile.get("mfa_serial"):
            raise SettingsError(
                f"the role {profile['role_arn']!r} in ~/.aws/config asks for a code from a device "
                "(mfa_serial), for which there is no place here; set AWS_ACCESS_KEY_ID, "
                "AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN from `aws configure "
                "export-credentials`"
            )
        return self.service.ask(fields, self.source.fetch())


def _read(reply: HTTPReply) -> Credentials:
    text = reply.body.decode("utf-8", "replace")
    if reply.status != 200:
        message = _element(text, "Message") or text[:500]
        problem = Problem(
            f"AWS gives no credentials for the role: {message}", _element(text, "Code")
        )
        raise to_error(problem, reply.status, reply.headers)
    key, secret = _element(text, "AccessKeyId"), _element(text, "SecretAccessKey")
    if not (key and secret):
        raise BackendError("AWS's token service gave no credentials for the role")
    try:
        expiry = read_time(_element(text, "Expiration"))
    except ValueError:
        raise BackendError("AWS's token service gave credentials without a time") from None
    return Credentials(
        access_key_id=key,
        secret_access_key=secret,
        session_token=_element(text, "SessionToken"),
        expiry=expiry,
    )


def _element(text: str, name: str) -> str | None:
    from html import unescape

    # A reply of few flat elements; nothing in it is nested, repeated or has attributes.
    found = re.search(rf"<{name}>([^<]*)</{name}>", text)
    return unescape(found[1]).strip() or None if found else None
