"""The settings of the backend, read from options and environment, and what is said without them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from andon.errors import MissingKeyError, SettingsError
from andon.specs import BackendContext

#: Where there is no location: the one that serves every model, and the SDK's own choice.
DEFAULT_LOCATION = "global"

#: The SDK's own choice; in ``v1`` some fields of Gemini's are missing.
DEFAULT_VERSION = "v1beta1"

_FORMS = {
    "project": (r"[a-z0-9.:-]+", "a project's id, like my-project-123"),
    "location": (r"[a-z0-9-]+", "a location, like global, eu or us-central1"),
    "api_version": (r"v\d+(?:(?:alpha|beta)\d+)?", "a version, like v1 or v1beta1"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where in Google Cloud the models are asked, and with whose key.

    :param project: the project that pays, or None where a key says so or nobody does.
    :param location: the location that serves.
    :param api_version: the version of the API.
    :param key: an API key, for what Google calls express mode.
    """

    project: str | None
    location: str
    api_version: str
    key: str | None = field(default=None, repr=False)


def find_place(context: BackendContext) -> Place:
    """Return the place that options and environment name, by the rules of Google's SDK.

    A key among the options leaves project and location of the environment aside; a key in the
    environment counts where nothing else says whose call it is.

    :raises SettingsError: a setting is wrong.
    """
    environment = context.environment
    project, location = option(context, "project"), option(context, "location")
    key = option(context, "api_key")
    if key is None:
        project = project or environment.get("GOOGLE_CLOUD_PROJECT")
        location = location or environment.get("GOOGLE_CLOUD_LOCATION")
        if not (project or location or option(context, "credentials_file")):
            key = environment.get("GOOGLE_API_KEY")
    version = option(context, "api_version") or environment.get("GOOGLE_GENAI_API_VERSION")
    return Place(
        project=_checked("project", project),
        location=_checked("location", location) or DEFAULT_LOCATION,
        api_version=_checked("api_version", version) or DEFAULT_VERSION,
        key=_checked_key(key),
    )


def option(context: BackendContext, name: str) -> str | None:
    """Return an option of the backend's, or None where it is not set.

    :raises SettingsError: it is no text.
    """
    value = context.options.get(name)
    if value is None or isinstance(value, str):
        return (value or "").strip() or None
    # The value is left out: a key may have got into the wrong place.
    raise SettingsError(f"{name} of 'google-vertex' must be a text")


def own_header(context: BackendContext) -> bool:
    """Return whether the user signs the calls with a header of their own, for a gateway say."""
    headers = context.options.get("headers")
    names = {str(name).lower() for name in headers} if isinstance(headers, Mapping) else set()
    return bool(names & {"authorization", "x-goog-api-key"})


def missing() -> MissingKeyError:
    """Return the error for a machine on which nobody has signed in to Google Cloud."""
    return MissingKeyError(
        "'google-vertex' needs credentials of Google Cloud, and found none. Set the environment "
        "variables GOOGLE_CLOUD_PROJECT and GOOGLE_APPLICATION_CREDENTIALS (the file of a service "
        "account's key), or run `gcloud auth application-default login` and set "
        "GOOGLE_CLOUD_PROJECT, or set GOOGLE_API_KEY (express mode, without a project), or pass "
        'endpoints={"google-vertex": {"project": "…", "location": "…", "credentials_file": "…"}} '
        'or {"google-vertex": {"api_key": "…"}} to the client. '
        'Without any key there is "llama-cpp:demo", which runs on this machine.'
    )


def _checked(name: str, value: str | None) -> str | None:
    form, meant = _FORMS[name]
    if not value or re.fullmatch(form, value, re.ASCII):
        return value or None
    raise SettingsError(f"{name} of 'google-vertex' must be {meant}, not {value!r:.80}")


def _checked_key(key: str | None) -> str | None:
    key = (key or "").strip()
    if not (key.isascii() and key.isprintable()) and key:
        raise SettingsError("the API key of 'google-vertex' holds a character that no key has")
    return key or None
