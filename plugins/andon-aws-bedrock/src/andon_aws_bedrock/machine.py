"""Credentials that the machine itself has: a container's on ECS and EKS, an instance's on EC2."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from andon.errors import RequestTimeout, SettingsError, TransportError
from andon.privacy.location import is_loopback
from andon.specs import BackendContext
from andon.wire.dialect import HTTPReply
from andon.wire.http import ConnectionSettings
from andon.wire.problems import Problem, to_error
from andon.wire.waits import Timeouts
from andon_aws_bedrock.settings import is_on, missing_credentials, variable
from andon_aws_bedrock.signature import Credentials
from andon_aws_bedrock.sources import read_credentials, send

#: What they listen at is next door, or nowhere.
_NEARBY = Timeouts(connect=1, first_byte=5, stall=5, total=10)

_RELATIVE = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
_FULL = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
_TOKEN = "AWS_CONTAINER_AUTHORIZATION_TOKEN"  # noqa: S105  a name
_TOKEN_FILE = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"  # noqa: S105  a name

_CONTAINERS = "http://169.254.170.2"
#: Hosts that may be asked without encryption: ECS's, and those of EKS.
_CONTAINER_HOSTS = {"169.254.170.2", "169.254.170.23", "fd00:ec2::23"}

_INSTANCE = "http://169.254.169.254"
_INSTANCE_IPV6 = "http://[fd00:ec2::254]"
_ROLES = "/latest/meta-data/iam/security-credentials/"
#: Seconds for which the token holds that opens the instance's door.
_TOKEN_SECONDS = "21600"  # noqa: S105  a time


@dataclass(frozen=True, slots=True)
class Container:
    """The credentials of a task on ECS or of a pod on EKS.

    :param url: where they are.
    :param context: settings and environment.
    """

    url: str
    context: BackendContext

    def fetch(self) -> Credentials:
        """Ask for them; see :meth:`CredentialSource.fetch`."""
        headers = {"accept": "application/json"}
        token = self._token()
        if token is not None:
            headers["authorization"] = token
        reply = _send("GET", self.url, headers)
        if reply.status != 200:
            said = reply.body[:500].decode("utf-8", "replace")
            raise to_error(Problem(f"the container has no credentials: {said}"), reply.status, {})
        return read_credentials(reply.body, "the container")

    def _token(self) -> str | None:
        file = variable(self.context, _TOKEN_FILE)
        token = read_token(file, _TOKEN_FILE) if file else variable(self.context, _TOKEN)
        if token is None or (token.isascii() and token.isprintable()):
            return token
        raise SettingsError(f"{_TOKEN} holds a character that no header has")


@dataclass(frozen=True, slots=True)
class Instance:
    """The credentials of an instance on EC2, from its metadata service in version 2.

    :param url: where the service is.
    """

    url: str

    def fetch(self) -> Credentials:
        """Ask for them; see :meth:`CredentialSource.fetch`."""
        try:
            headers = {"x-aws-ec2-metadata-token-ttl-seconds": _TOKEN_SECONDS}
            token = _said(_send("PUT", f"{self.url}/latest/api/token", headers))
            headers = {"x-aws-ec2-metadata-token": token}
            role = _said(_send("GET", f"{self.url}{_ROLES}", headers)).partition("\n")[0]
            reply = _send("GET", f"{self.url}{_ROLES}{role}", headers)
        except (TransportError, RequestTimeout) as error:
            # This machine is none of EC2's.
            raise missing_credentials() from error
        _said(reply)
        return read_credentials(reply.body, "the instance's metadata service")


def find_container(context: BackendContext) -> Container | None:
    """Return the container's credentials, or None where there is no container.

    :raises SettingsError: the address that the environment names is no container's.
    """
    relative, full = variable(context, _RELATIVE), variable(context, _FULL)
    if relative is not None:
        return Container(f"{_CONTAINERS}/{relative.removeprefix('/')}", context)
    if full is None:
        return None
    parts = urlsplit(full)
    host = parts.hostname or ""
    near = host in _CONTAINER_HOSTS or is_loopback(host)
    if parts.scheme == "https" or (parts.scheme == "http" and near):
        return Container(full, context)
    raise SettingsError(
        f"the environment variable {_FULL} must be an https: address, or one of this machine or "
        "of ECS and EKS"
    )


def find_instance(context: BackendContext) -> Instance | None:
    """Return the instance's credentials, or None where they are not to be asked for."""
    if is_on(context, "AWS_EC2_METADATA_DISABLED"):
        return None
    url = variable(context, "AWS_EC2_METADATA_SERVICE_ENDPOINT")
    mode = variable(context, "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE") or ""
    usual = _INSTANCE_IPV6 if mode.lower() == "ipv6" else _INSTANCE
    return Instance((url or usual).rstrip("/"))


def read_token(file: str, name: str) -> str:
    """Return the token in a file.

    :param file: the file.
    :param name: the setting that names it, for messages.
    :raises SettingsError: it cannot be read.
    """
    try:
        return Path(file).read_text("utf-8").strip()
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"{name} names {file!r}, which cannot be read ({type(error).__name__})"
        ) from None


def _send(method: str, url: str, headers: dict[str, str]) -> HTTPReply:
    # Never by a proxy: they are on this machine's own network.
    settings = ConnectionSettings(tls=url.startswith("https:"))
    return send(method, url, headers, b"", _NEARBY, settings)


def _said(reply: HTTPReply) -> str:
    """Return what the metadata service said.

    :raises MissingKeyError: it is none of EC2's, or the instance has no role.
    :raises ServerError: it failed.
    """
    if reply.status >= 500:
        said = "the instance's metadata service failed"
        raise to_error(Problem(said), reply.status, reply.headers)
    text = reply.body.decode("utf-8", "replace").strip()
    if reply.status != 200 or not (text.isascii() and text):
        raise missing_credentials()
    return text
