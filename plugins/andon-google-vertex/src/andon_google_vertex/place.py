"""Where the calls go: hosts, versions and paths of Google Cloud."""

from __future__ import annotations

from andon.errors import SettingsError
from andon.specs import BackendContext
from andon.wire.gemini_generate import GeminiGenerateContent
from andon_google_vertex.files import find_file, project_in
from andon_google_vertex.settings import find_place, missing, option, own_header

#: Locations of several regions, which have hosts of another form (google-genai 3.4).
_MULTI_REGIONS = {"us", "eu"}


def find_base_url(context: BackendContext) -> str:
    """Return the address of a location.

    :raises SettingsError: a setting is wrong.
    """
    place = find_place(context)
    host = f"{place.location}-aiplatform.googleapis.com"
    if place.location == "global":
        host = "aiplatform.googleapis.com"
    elif place.location in _MULTI_REGIONS:
        host = f"aiplatform.{place.location}.rep.googleapis.com"
    return f"https://{host}/{place.api_version}"


def make_dialect(context: BackendContext) -> GeminiGenerateContent:
    """Return the dialect for a backend, which knows the project's path.

    :raises MissingKeyError: nobody has signed in.
    :raises SettingsError: nobody says which project pays, or a setting is wrong.
    """
    place = find_place(context)
    project = place.project
    if project is None and place.key is None and not own_header(context):
        project = _project_of_credentials(context)
    return GeminiGenerateContent(
        f"/projects/{project}/locations/{place.location}" if project else ""
    )


def _project_of_credentials(context: BackendContext) -> str:
    file = find_file(context)
    if file is None:
        raise missing()
    project = project_in(file)
    if project is None:
        where = "" if option(context, "base_url") is None else ", or headers that sign the calls"
        raise SettingsError(
            f"the credentials in {str(file)!r} name no project: set the environment variable "
            "GOOGLE_CLOUD_PROJECT, or project of [endpoints.google-vertex]" + where
        )
    return project
