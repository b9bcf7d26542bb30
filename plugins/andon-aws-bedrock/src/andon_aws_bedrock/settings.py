"""The settings of the backend, read from options and environment, and what is said without them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from andon.errors import MissingKeyError, SettingsError
from andon.specs import BackendContext

#: The environment variables that may hold another base URL.
BASE_URL_VARIABLES = ("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "AWS_ENDPOINT_URL")

#: The environment variable that holds an API key of Bedrock's.
KEY_VARIABLE = "AWS_BEARER_TOKEN_BEDROCK"

#: Further settings that the backend takes.
OPTIONS = ("region", "profile", "access_key_id", "secret_access_key", "session_token")

#: How the hosts of each partition of AWS end, by how its regions begin (botocore 1.44,
#: ``partitions.json``); the longest counts.
_SUFFIXES = {
    "": "amazonaws.com",
    "cn-": "amazonaws.com.cn",
    "eusc-": "amazonaws.eu",
    "us-iso-": "c2s.ic.gov",
    "us-isob-": "sc2s.sgov.gov",
    "eu-isoe-": "cloud.adc-e.uk",
    "us-isof-": "csp.hci.ic.gov",
}
_REGION = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)+", re.ASCII)
_HOST = re.compile(r"//(?:[^/]*\.)?bedrock-runtime(?:-fips)?\.([a-z0-9-]+)\.", re.ASCII)


def option(context: BackendContext, name: str) -> str | None:
    """Return an option of the backend's, or None where it is not set.

    :raises SettingsError: it is no text.
    """
    value = context.options.get(name)
    if value is None or isinstance(value, str):
        return (value or "").strip() or None
    # The value is left out: a key may have got into the wrong place.
    raise SettingsError(f"{name} of 'aws-bedrock' must be a text")


def variable(context: BackendContext, name: str) -> str | None:
    """Return an environment variable, or None where it is not set or empty."""
    return context.environment.get(name, "").strip() or None


def is_on(context: BackendContext, name: str) -> bool:
    """Return whether an environment variable says yes."""
    return (variable(context, name) or "").lower() == "true"


def find_key(context: BackendContext) -> str | None:
    """Return the API key, or None where calls are to be signed.

    :raises SettingsError: it holds a character that no key has.
    """
    key = option(context, "api_key")
    if key is None and not any(option(context, name) for name in ("profile", "access_key_id")):
        key = variable(context, KEY_VARIABLE)
    if key is not None and not (key.isascii() and key.isprintable()):
        raise SettingsError("the API key of 'aws-bedrock' holds a character that no key has")
    return key


def own_header(context: BackendContext) -> bool:
    """Return whether the user signs the calls with a header of their own, for a gateway say."""
    headers = context.options.get("headers")
    return isinstance(headers, Mapping) and "authorization" in {
        str(name).lower() for name in headers
    }


def region_of_address(context: BackendContext) -> str | None:
    """Return the region that the base URL names, or None."""
    variables = (variable(context, name) for name in BASE_URL_VARIABLES)
    url = option(context, "base_url") or next(filter(None, variables), "")
    found = _HOST.search(url)
    return found[1] if found else None


def checked_region(region: str | None) -> str | None:
    """Return a region.

    :raises SettingsError: it cannot be part of a host's name.
    """
    if region is None or _REGION.fullmatch(region):
        return region
    raise SettingsError(f"the region of 'aws-bedrock' must be like us-east-1, not {region!r:.80}")


def address_of(service: str, region: str) -> str:
    """Return where a service of AWS is.

    :param service: the beginning of its host, as in ``bedrock-runtime``.
    :param region: the region.
    """
    begins = max((start for start in _SUFFIXES if region.startswith(start)), key=len)
    return f"https://{service}.{region}.{_SUFFIXES[begins]}"


def missing_region() -> SettingsError:
    """Return the error for settings that name no region."""
    return SettingsError(
        "'aws-bedrock' needs a region: set the environment variable AWS_REGION or "
        "AWS_DEFAULT_REGION, region in your profile of ~/.aws/config, or pass "
        'endpoints={"aws-bedrock": {"region": "us-east-1"}} to the client'
    )


def missing_credentials() -> MissingKeyError:
    """Return the error for a machine on which nobody has signed in to AWS."""
    return MissingKeyError(
        "'aws-bedrock' needs credentials of AWS, and found none. Set the environment variable "
        f"{KEY_VARIABLE} (an API key of Bedrock's), or AWS_ACCESS_KEY_ID and "
        "AWS_SECRET_ACCESS_KEY, or AWS_PROFILE for a profile of ~/.aws, and AWS_REGION; or pass "
        'endpoints={"aws-bedrock": {"region": "…", "api_key": "…"}} or {"aws-bedrock": '
        '{"region": "…", "access_key_id": "…", "secret_access_key": "…"}} to the client. '
        'Without any key there is "llama-cpp:demo", which runs on this machine.'
    )
