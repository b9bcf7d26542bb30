"""Where the credentials are: what AWS's own tools look through, in their order."""

from __future__ import annotations

from andon.errors import MissingKeyError, SettingsError
from andon.specs import BackendContext
from andon_aws_bedrock.machine import Instance, find_container, find_instance
from andon_aws_bedrock.profiles import Profile, no_profile, profile_name, read_profile
from andon_aws_bedrock.roles import AssumedRole, TokenService, WebIdentity
from andon_aws_bedrock.settings import (
    address_of,
    checked_region,
    find_key,
    is_on,
    missing_credentials,
    missing_region,
    option,
    region_of_address,
    variable,
)
from andon_aws_bedrock.signature import Credentials
from andon_aws_bedrock.sources import CredentialSource, Given, Program

#: Settings of a profile for which a person signs in, with a browser.
_BY_HAND = ("sso_session", "sso_start_url", "sso_account_id", "login_session")


def find_region(context: BackendContext) -> str:
    """Return the region.

    :raises SettingsError: nothing names one, or it cannot be one.
    """
    region = _named_region(context)
    if region is None:
        raise missing_region()
    return region


def find_base_url(context: BackendContext) -> str:
    """Return the address of the region's endpoint.

    :raises SettingsError: nothing names a region.
    :raises MissingKeyError: nor does anything say who calls.
    """
    region = _named_region(context)
    if region is None:
        # Whoever starts from nothing is told everything at once.
        if find_key(context) is None and isinstance(find_source(context), Instance):
            raise missing_credentials()
        raise missing_region()
    fips = is_on(context, "AWS_USE_FIPS_ENDPOINT")
    return address_of("bedrock-runtime-fips" if fips else "bedrock-runtime", region)


def _named_region(context: BackendContext) -> str | None:
    region = option(context, "region") or region_of_address(context)
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        region = region or variable(context, name)
    if region is None:
        region = (read_profile(context, profile_name(context)) or {}).get("region")
    return checked_region(region)


def find_source(context: BackendContext) -> CredentialSource:
    """Return where the credentials come from. Nothing is fetched yet.

    :raises MissingKeyError: there is nowhere to look.
    :raises SettingsError: a setting is wrong, or a file cannot be read.
    """
    explicit = option(context, "profile") is not None
    name = profile_name(context)
    named = explicit or name != "default"
    source: CredentialSource | None = _from_options(context)
    if source is None and not explicit:
        source = _from_environment(context)
    if source is None:
        profile = read_profile(context, name)
        if profile is None and named:
            raise no_profile(name)
        source = _from_profile(context, name, profile or {}, explicit=explicit)
    source = source or find_container(context) or find_instance(context)
    if source is None:
        raise missing_credentials()
    return source


def _from_options(context: BackendContext) -> Given | None:
    key, secret = option(context, "access_key_id"), option(context, "secret_access_key")
    token = option(context, "session_token")
    return _given(key, secret, token, "access_key_id and secret_access_key of 'aws-bedrock'")


def _from_environment(context: BackendContext) -> Given | None:
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    key, secret = (variable(context, name) for name in names)
    if key is None:
        # Somebody may keep the other half for a tool of theirs.
        return None
    token = variable(context, "AWS_SESSION_TOKEN") or variable(context, "AWS_SECURITY_TOKEN")
    return _given(key, secret, token, f"the environment variables {' and '.join(names)}")


def _given(key: str | None, secret: str | None, token: str | None, what: str) -> Given | None:
    if not (key or secret or token):
        return None
    if key is None or secret is None:
        raise MissingKeyError(f"{what} belong together; one of them is not set")
    return Given(Credentials(access_key_id=key, secret_access_key=secret, session_token=token))


def _from_profile(
    context: BackendContext,
    name: str,
    profile: Profile,
    *,
    explicit: bool,
    seen: tuple[str, ...] = (),
) -> CredentialSource | None:
    """Return the source that a profile describes, or None where it describes none.

    :param explicit: whether the profile was asked for by name, so that the environment is not.
    :param seen: the profiles that lead to this one.
    """
    if profile.get("role_arn") and (
        profile.get("source_profile") or profile.get("credential_source")
    ):
        service = TokenService.find(context, find_region(context))
        return AssumedRole(_role_source(context, name, profile, seen), profile, service)
    web = _web_identity(context, profile, explicit=explicit)
    return web or _written_in(context, name, profile)


def _written_in(context: BackendContext, name: str, profile: Profile) -> CredentialSource | None:
    key, secret = profile.get("aws_access_key_id"), profile.get("aws_secret_access_key")
    token = profile.get("aws_session_token") or profile.get("aws_security_token")
    given = _given(key or None, secret or None, token or None, f"the keys of the profile {name!r}")
    if given is not None:
        return given
    if any(profile.get(setting) for setting in _BY_HAND):
        raise SettingsError(
            f"the profile {name!r} signs in with a browser (IAM Identity Center), which andon does "
            'not do: run `eval "$(aws configure export-credentials --profile '
            f'{name} --format env)"`, or set credential_process of another profile to '
            f"`aws configure export-credentials --profile {name}`"
        )
    command = profile.get("credential_process")
    return Program(command, context.environment) if command else None


def _web_identity(
    context: BackendContext, profile: Profile, *, explicit: bool
) -> WebIdentity | None:
    def setting(name: str) -> str | None:
        found = None if explicit else variable(context, f"AWS_{name.upper()}")
        return found or profile.get(name) or None

    file, role = setting("web_identity_token_file"), setting("role_arn")
    if file is None:
        return None
    if role is None:
        raise SettingsError(
            "AWS_WEB_IDENTITY_TOKEN_FILE is set, but not the role that it is for: set AWS_ROLE_ARN"
        )
    service = TokenService.find(context, find_region(context))
    return WebIdentity(file, role, setting("role_session_name"), service)


def _role_source(
    context: BackendContext, name: str, profile: Profile, seen: tuple[str, ...]
) -> CredentialSource:
    source: CredentialSource | None
    named = profile.get("source_profile")
    if named:
        source = _source_profile(context, named, (*seen, name))
    else:
        source = {
            "Environment": _from_environment,
            "EcsContainer": find_container,
            "Ec2InstanceMetadata": find_instance,
        }.get(profile["credential_source"], lambda _: None)(context)
    if source is None:
        raise SettingsError(
            f"the profile {name!r} takes a role, but there are no credentials where its "
            f"{'source_profile' if named else 'credential_source'} points to"
        )
    return source


def _source_profile(
    context: BackendContext, name: str, seen: tuple[str, ...]
) -> CredentialSource | None:
    profile = read_profile(context, name)
    if profile is None:
        raise no_profile(name)
    if name in seen:
        # A profile may take a role with its own keys, but not with its own role.
        if name != seen[-1]:
            raise SettingsError(f"the profiles {', '.join(seen)} take their roles in a circle")
        return _written_in(context, name, profile)
    return _from_profile(context, name, profile, explicit=True, seen=seen)
