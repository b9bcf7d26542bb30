"""The files in which Google's tools keep credentials."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from andon.errors import SettingsError
from andon.specs import BackendContext
from andon_google_vertex.settings import option

_WELL_KNOWN = "application_default_credentials.json"


def find_file(context: BackendContext) -> Path | None:
    """Return the file of credentials: the one that is named, else gcloud's, where there is one.

    :raises SettingsError: there is no such file.
    """
    named = option(context, "credentials_file")
    source = "credentials_file of 'google-vertex'"
    if named is None:
        named = context.environment.get("GOOGLE_APPLICATION_CREDENTIALS")
        source = "the environment variable GOOGLE_APPLICATION_CREDENTIALS"
    if not named:
        return _well_known(context)
    file = Path(named).expanduser()
    if not _is_file(file):
        raise SettingsError(f"{source} names {named!r}, which is no file")
    return file


def read_file(file: Path) -> dict[str, Any]:
    """Return what a file of credentials holds.

    :raises SettingsError: it is none.
    """
    try:
        content = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        # Not the error's own text: it may repeat a secret.
        raise SettingsError(
            f"{str(file)!r} cannot be read as a file of credentials ({type(error).__name__})"
        ) from None
    if isinstance(content, dict) and isinstance(content.get("type"), str):
        return content
    raise SettingsError(
        f"{str(file)!r} is no file of Google's credentials: it has no type; create a key of a "
        "service account, or run `gcloud auth application-default login`"
    )


def project_in(file: Path) -> str | None:
    """Return the project that a service account belongs to, or None for other credentials.

    :raises SettingsError: the file cannot be read.
    """
    project = read_file(file).get("project_id")
    return project if isinstance(project, str) and project else None


def _well_known(context: BackendContext) -> Path | None:
    environment = context.environment
    # The home directory comes from the environment, so that a client without one reads no file.
    folder = environment.get("CLOUDSDK_CONFIG")
    if not folder and sys.platform == "win32":
        home = environment.get("APPDATA")
        folder = home and f"{home}/gcloud"
    elif not folder:
        home = environment.get("HOME")
        folder = home and f"{home}/.config/gcloud"
    file = Path(folder or "") / _WELL_KNOWN
    return file if folder and _is_file(file) else None


def _is_file(file: Path) -> bool:
    try:
        return file.is_file()
    except OSError:  # a folder that may not be looked into
        return False
