"""Tokens of an application that is registered at Microsoft Entra: OAuth's client credentials."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import quote, urlencode, urlsplit

from andon.errors import AuthenticationError, BackendError, SettingsError
from andon.privacy.location import is_loopback
from andon.specs import BackendContext
from andon.wire.dialect import HTTPReply
from andon.wire.http import ConnectionSettings, HTTPConnection
from andon.wire.json_values import read_json
from andon.wire.problems import Problem, to_error
from andon.wire.waits import Timeouts

#: What a token is good for. (learn.microsoft.com, Azure OpenAI with Microsoft Entra ID.)
SCOPE = "https://cognitiveservices.azure.com/.default"

_AUTHORITY = "https://login.microsoftonline.com"
_TIMEOUTS = Timeouts(connect=10, first_byte=30, stall=30, total=60)
_MAX_BODY = 1024 * 1024
_VARIABLES = {
    "tenant_id": "AZURE_TENANT_ID",
    "client_id": "AZURE_CLIENT_ID",
    "client_secret": "AZURE_CLIENT_SECRET",
}


@dataclass(frozen=True, slots=True)
class Token:
    """An access token.

    :param value: the token itself.
    :param life: seconds for which it holds.
    """

    value: str = field(repr=False)
    life: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """An application's credentials, and where they are good for tokens.

    :param url: the address that gives tokens.
    :param client: the application's id.
    :param secret: its password.
    :param connection: how to connect.
    """

    url: str
    client: str
    secret: str = field(repr=False)
    connection: ConnectionSettings = field(default_factory=ConnectionSettings)

    def fetch(self) -> Token:
        """Return a new token; waits for the network.

        :raises BackendError: there is none.
        """
        form = {
            "grant_type": "client_credentials",
            "client_id": self.client,
            "client_secret": self.secret,
            "scope": SCOPE,
        }
        headers = {
            "content-type": "application/x-www-form-urlencoded",
            "accept": "application/json",
        }
        # A connection of its own: it is needed once an hour.
        connection = HTTPConnection(self.connection)
        body = urlencode(form).encode()
        try:
            with connection.send("POST", self.url, headers, body, _TIMEOUTS) as reply:
                data = reply.read(_MAX_BODY)
                answer = HTTPReply(status=reply.status, headers=reply.headers, body=data)
        finally:
            connection.close()
        return _read_token(answer, self.url)


def find_application(context: BackendContext) -> Application | None:
    """Return the application that settings and environment name together, or None.

    :raises SettingsError: the settings name only a part of it, or the authority is no address.
    """
    options, environment = context.options, context.environment
    found = {
        name: str(options.get(name) or environment.get(variable) or "").strip()
        for name, variable in _VARIABLES.items()
    }
    missing = [name for name, value in found.items() if not value]
    if missing:
        if any(options.get(name) for name in _VARIABLES):
            raise SettingsError(
                f"'azure-openai' lacks {' and '.join(missing)} to sign in as an application; set "
                f"{' and '.join(_VARIABLES[name] for name in missing)} or the setting"
            )
        return None
    tenant = quote(found["tenant_id"], safe="")
    authority = _authority(environment.get("AZURE_AUTHORITY_HOST") or _AUTHORITY)
    settings = ConnectionSettings(ca_file=options.get("ca_file"), proxy=options.get("proxy"))
    return Application(
        url=f"{authority}/{tenant}/oauth2/v2.0/token",
        client=found["client_id"],
        secret=found["client_secret"],
        connection=settings,
    )


def _authority(named: str) -> str:
    url = (named if "://" in named else f"https://{named}").strip().rstrip("/")
    parts = urlsplit(url)
    host = parts.hostname or ""
    # A password goes there.
    safe = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))
    if not safe or not host or parts.query or parts.fragment or parts.username:
        raise SettingsError(
            "AZURE_AUTHORITY_HOST must be a host like login.microsoftonline.us, reached over https"
        )
    return url


def _read_token(reply: HTTPReply, url: str) -> Token:
    try:
        body = read_json(reply.body)
        if reply.status != 200:
            raise _refused(reply, body["error"], body.get("error_description"))
        value, life = body["access_token"], float(body["expires_in"])
    except (ValueError, TypeError, KeyError, AttributeError):
        where = urlsplit(url).netloc
        problem = Problem(f"{where} answered with what is no token; is AZURE_AUTHORITY_HOST right?")
        raise to_error(problem, reply.status if reply.status >= 300 else None, {}) from None
    usable = isinstance(value, str) and value.isascii() and value.isprintable() and value
    if not usable or not life > 0:
        raise BackendError("Microsoft Entra gave a token that cannot be used")
    return Token(value, life)


def _refused(reply: HTTPReply, code: str, description: str | None) -> BackendError:
    said = (description or code).splitlines()[0]
    problem = Problem(f"Microsoft Entra gives no token: {said}", code)
    error = to_error(problem, reply.status, reply.headers)
    # OAuth says with a 400 that it does not know the application or its secret.
    if reply.status == 400:
        return AuthenticationError(*error.args, status=400, code=code, request_id=error.request_id)
    return error
