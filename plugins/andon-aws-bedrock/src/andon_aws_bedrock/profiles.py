"""The files in which AWS's tools keep profiles: ``~/.aws/credentials`` and ``~/.aws/config``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from andon.errors import SettingsError
from andon.specs import BackendContext
from andon_aws_bedrock.settings import option, variable

#: A profile's settings by their names.
Profile = Mapping[str, str]


def profile_name(context: BackendContext) -> str:
    """Return the name of the profile that is used."""
    named = option(context, "profile") or variable(context, "AWS_PROFILE")
    return named or variable(context, "AWS_DEFAULT_PROFILE") or "default"


def read_profile(context: BackendContext, name: str) -> Profile | None:
    """Return a profile, or None where no file has one of this name.

    The credentials' file goes before the other one, setting by setting.

    :raises SettingsError: a file cannot be read.
    """
    config = _sections(_file(context, "AWS_CONFIG_FILE", "config"))
    credentials = _sections(_file(context, "AWS_SHARED_CREDENTIALS_FILE", "credentials"))
    own = next((config[section] for section in config if _name(section) == name), None)
    if own is None and name not in credentials:
        return None
    return {**(own or {}), **credentials.get(name, {})}


def no_profile(name: str) -> SettingsError:
    """Return the error for a profile that is in no file."""
    return SettingsError(
        f"there is no profile {name!r} in ~/.aws/config or ~/.aws/credentials; correct AWS_PROFILE "
        "or profile of [endpoints.aws-bedrock]"
    )


def _name(section: str) -> str | None:
    """Return the profile that a section of the config file is about, or None."""
    if section == "default":
        return section
    kind, _, name = section.partition(" ")
    return name.strip().strip("\"'") if kind == "profile" else None


def _file(context: BackendContext, name: str, usual: str) -> Path | None:
    named = variable(context, name)
    # The home directory comes from the environment, so that a client without one reads no file.
    home = variable(context, "HOME") or variable(context, "USERPROFILE")
    if named is None:
        return Path(home) / ".aws" / usual if home else None
    if named.startswith("~/") and home:
        return Path(home) / named[2:]
    return Path(named)


def _sections(file: Path | None) -> dict[str, dict[str, str]]:
    if file is None or not file.is_file():
        return {}
    from configparser import Error, RawConfigParser

    # No section is everybody's, and no name is an option's with a default.
    parser = RawConfigParser(default_section="\0")
    try:
        parser.read_string(file.read_text("utf-8"))
    except (OSError, ValueError, Error) as error:
        # Not the error's own text: it may repeat a secret.
        raise SettingsError(
            f"{str(file)!r} cannot be read as a file of AWS's profiles ({type(error).__name__})"
        ) from None
    return {section: dict(parser[section]) for section in parser.sections()}
