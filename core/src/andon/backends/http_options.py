"""The settings of a backend over HTTP, read and checked once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from andon.errors import MissingKeyError, SettingsError
from andon.privacy.egress import EgressPolicy
from andon.privacy.location import is_near
from andon.specs import BackendContext
from andon.wire.endpoint import Authorizer, EndpointSpec
from andon.wire.http import ConnectionSettings
from andon.wire.waits import Timeouts

_TEXTS = ("base_url", "api_key", "ca_file", "proxy")
_TIMES = {
    "connect_timeout": "connect",
    "first_token_timeout": "first_byte",
    "stall_timeout": "stall",
}
_KNOWN = (*_TEXTS, "headers", *_TIMES, "max_retries", "max_retry_wait", "http2")


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPOptions:
    """What a backend over HTTP goes by.

    :param base_url: its address, without a trailing slash.
    :param headers: the headers of every call, the key's among them.
    :param secrets: what must not appear in a message.
    :param timeouts: how long to wait for what.
    :param connection: how to connect.
    :param max_retries: most attempts after the first.
    :param max_retry_wait: most seconds between two attempts, where the server names none.
    :param authorizer: signs calls, where a fixed header does not do.
    :param trusted_hosts: other hosts that the provider may send us on to.
    :param see_other: whether a 303 to the same host is followed.
    """

    base_url: str
    headers: Mapping[str, str] = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)
    timeouts: Timeouts
    connection: ConnectionSettings
    max_retries: int
    max_retry_wait: float
    authorizer: Authorizer | None = field(default=None, repr=False)
    trusted_hosts: tuple[str, ...] = ()
    see_other: bool = False

    @classmethod
    def read(cls, name: str, endpoint: EndpointSpec, context: BackendContext) -> HTTPOptions:
        """Read the settings of a backend.

        :raises SettingsError: a setting is wrong or unknown.
        :raises MissingKeyError: the endpoint needs an API key, and there is none.
        """
        given = dict(context.options)
        _check(name, given, endpoint)
        authorizer = None if endpoint.authorizer is None else endpoint.authorizer(context)
        key = None
        if authorizer is None:
            key = _key(name, endpoint, given, context.environment)
        headers = _headers(name, given)
        sent = {**endpoint.headers, "content-type": "application/json"}
        if key is not None:
            sent[endpoint.auth_header] = endpoint.auth_prefix + key
        times = {field: given[option] for option, field in _TIMES.items() if option in given}
        base_url = read_base_url(name, endpoint, context)
        tls = base_url.startswith("https:") or "proxy" in given or "ca_file" in given
        return cls(
            base_url=base_url,
            headers={**sent, **headers},
            secrets=tuple(filter(None, (key, *headers.values()))),
            timeouts=Timeouts(**times),
            connection=ConnectionSettings(
                ca_file=given.get("ca_file"),
                proxy=given.get("proxy"),
                tls=tls,
                http2=given.get("http2", False),
                egress=_egress(context, base_url),
            ),
            max_retries=given.get("max_retries", 2),
            max_retry_wait=given.get("max_retry_wait", 8.0),
            authorizer=authorizer,
            trusted_hosts=endpoint.trusted_hosts,
            see_other=endpoint.see_other,
        )

    def redact(self, text: Any) -> Any:
        """Return a text without the secrets; anything else as it is."""
        if isinstance(text, str):
            signing = () if self.authorizer is None else self.authorizer.secrets()
            for secret in (*self.secrets, *signing):
                # A header like "1" is no secret, and would turn a message into stars.
                if len(secret) >= 6:
                    text = text.replace(secret, "***")
        return text


def _egress(context: BackendContext, base_url: str) -> EgressPolicy | None:
    """Return where connections may lead, or None where that is anywhere.

    Under the tier in between, a provider that promises privacy is where its plugin says it is;
    what is near by its address has to be near whenever it is connected to.
    """
    policy = context.egress or EgressPolicy()
    checked = context.offline or (context.no_relay and is_near(base_url, policy))
    return policy if checked else None


def _check(name: str, given: Mapping[str, Any], endpoint: EndpointSpec) -> None:
    known = (*_KNOWN, *endpoint.options, *endpoint.switches)
    for option, value in given.items():
        if option not in known:
            raise SettingsError(f"{name!r} has no setting {option!r}; there are {', '.join(known)}")
        # The value is left out: a key may have got into the wrong place.
        if option in (*_TEXTS, *endpoint.options) and not isinstance(value, str):
            raise SettingsError(f"{option} of {name!r} must be a text")
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if option in _TIMES and value is not None and not (number and value > 0):
            raise SettingsError(f"{option} of {name!r} must be a number of seconds above 0")
        if option in ("http2", *endpoint.switches) and not isinstance(value, bool):
            raise SettingsError(f"{option} of {name!r} must be true or false")
        if option == "max_retries" and not (isinstance(value, int) and number and value >= 0):
            raise SettingsError(f"max_retries of {name!r} must be 0 or a whole number above")
        if option == "max_retry_wait" and not (number and value >= 0):
            raise SettingsError(f"max_retry_wait of {name!r} must be 0 seconds or more")


def _headers(name: str, given: Mapping[str, Any]) -> dict[str, str]:
    headers = given.get("headers", {})
    if not isinstance(headers, Mapping) or not all(
        isinstance(field, str) and isinstance(value, str) and _is_header(value)
        for field, value in headers.items()
    ):
        raise SettingsError(f"headers of {name!r} must be a table of texts in printable ASCII")
    return {field.lower(): value for field, value in headers.items()}


def _is_header(text: str) -> bool:
    return text.isascii() and text.isprintable()


def _key(
    name: str, endpoint: EndpointSpec, given: Mapping[str, Any], environment: Mapping[str, str]
) -> str | None:
    variables = endpoint.key_variables
    found = (environment[name] for name in variables if environment.get(name))
    key: str = str(given.get("api_key") or next(found, "")).strip()
    if not _is_header(key):
        raise SettingsError(f"the API key of {name!r} holds a character that no key has")
    if key:
        return key
    if not variables or endpoint.key_optional:
        return None
    raise MissingKeyError(
        f"{name!r} needs an API key: set the environment variable {' or '.join(variables)}, or "
        f'pass endpoints={{"{name}": {{"api_key": "…"}}}} to the client. '
        'Without any key there is "llama-cpp:demo", which runs on this machine.'
    )


def read_base_url(name: str, endpoint: EndpointSpec, context: BackendContext) -> str:
    """Return the address that a backend's settings give, without a trailing slash.

    :raises SettingsError: it is no address.
    """
    environment = context.environment
    source, url = f"base_url of {name!r}", context.options.get("base_url")
    if url is not None and not isinstance(url, str):
        raise SettingsError(f"{source} must be a text")
    if url is None:
        variables = (name for name in endpoint.base_url_variables if environment.get(name))
        variable = next(variables, None)
        if variable is not None:
            source, url = f"the environment variable {variable}", environment[variable]
    if url is None and endpoint.find_base_url is not None:
        url = endpoint.find_base_url(context)
    url = (endpoint.base_url if url is None else url).strip().rstrip("/")
    if not url:
        variable = " or ".join(endpoint.base_url_variables)
        raise SettingsError(
            f"{name!r} has another address for everybody: set base_url of "
            f"[endpoints.{name}]"
            + (f", or the environment variable {variable}" if variable else "")
        )
    if not _is_usable(url):
        raise SettingsError(
            f"{source} must be an address like https://host/v1 or http://127.0.0.1:8080, "
            f"without a user name, query or fragment, not {_shown(url)!r}"
        )
    return url


def _is_usable(url: str) -> bool:
    try:
        parts = urlsplit(url)
        fits = parts.port is None or parts.port > 0
    except ValueError:
        return False
    plain = not (parts.query or parts.fragment or parts.username or parts.password)
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and fits and plain


def _shown(url: str) -> str:
    """Return an address as far as it can be shown: what stands before an @ may be a password."""
    return url.rpartition("@")[2].partition("?")[0]
