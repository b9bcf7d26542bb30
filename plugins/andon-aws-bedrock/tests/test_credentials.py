"""Where credentials come from, and when they are replaced; the services are played on this machine."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from andon.errors import (
    AuthenticationError,
    BackendError,
    MissingKeyError,
    PermissionDeniedError,
    ServerError,
    SettingsError,
)
from andon.specs import BackendContext
from andon.testing.server import ReceivedRequest, Script, ScriptedServer, respond
from andon_aws_bedrock.authorizer import MARGIN, SignatureAuthorizer, make_authorizer
from andon_aws_bedrock.chain import find_region, find_source
from andon_aws_bedrock.machine import Container, Instance
from andon_aws_bedrock.signature import Credentials

TEMPORARY = {
    "AccessKeyId": "ASIA1",
    "SecretAccessKey": "secret-2",
    "Token": "token-2",
    "Expiration": "2026-11-22T10:00:00Z",
}
EXPIRY = datetime(2026, 11, 22, 10, tzinfo=UTC).timestamp()
FETCHED = Credentials(
    access_key_id="ASIA1", secret_access_key="secret-2", session_token="token-2", expiry=EXPIRY
)
ROLE_XML = """<Assume{kind}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Result><Credentials>
  <AccessKeyId>ASIA1</AccessKeyId><SecretAccessKey>secret-2</SecretAccessKey>
  <SessionToken>token-2</SessionToken><Expiration>2026-11-22T10:00:00Z</Expiration>
</Credentials></Result></Assume{kind}Response>"""
DENIED_XML = b"""<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code>
<Message>Not authorized to perform sts:AssumeRole &amp; more</Message></Error></ErrorResponse>"""


def known(access: str, secret: str, token: str | None = None) -> Credentials:
    return Credentials(access_key_id=access, secret_access_key=secret, session_token=token)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        yield server


@pytest.fixture
def home(tmp_path: Path) -> Callable[..., dict[str, str]]:
    """Return what writes the files of a home directory, and gives the environment for it."""

    def write(credentials: str = "", config: str = "") -> dict[str, str]:
        folder = tmp_path / ".aws"
        folder.mkdir(exist_ok=True)
        (folder / "credentials").write_text(credentials, "utf-8")
        (folder / "config").write_text(config, "utf-8")
        return {"HOME": str(tmp_path), "AWS_EC2_METADATA_DISABLED": "true"}

    return write


def fetch(environment: dict[str, str], **options: str) -> Credentials:
    return find_source(BackendContext(environment=environment, options=options)).fetch()


# -- What is written down --------------------------------------------------------------------------


def test_the_order_of_what_is_written_down(home: Any) -> None:
    files = home(
        "[default]\naws_access_key_id = file\naws_secret_access_key = f%s=\n"
        "[other]\naws_access_key_id=other\naws_secret_access_key=o\naws_session_token=t\n",
        "[default]\nregion = eu-west-1\n[profile other]\nregion = eu-west-2\n",
    )
    keys = {"AWS_ACCESS_KEY_ID": "env", "AWS_SECRET_ACCESS_KEY": "e"}
    options = {"access_key_id": "option", "secret_access_key": "o"}
    assert fetch(files) == known("file", "f%s=")
    assert fetch(files | {"AWS_PROFILE": "other"}) == known("other", "o", "t")
    assert fetch(files | keys) == known("env", "e")
    assert fetch(files | keys | {"AWS_PROFILE": "other"}) == known("env", "e")
    assert fetch(files | keys | {"AWS_SESSION_TOKEN": "s"}) == known("env", "e", "s")
    assert fetch(files | keys, profile="other") == known("other", "o", "t")
    assert fetch(files | keys, **options) == known("option", "o")


def test_the_region_of_a_profile(home: Any) -> None:
    files = home("", "[default]\nregion = eu-west-1\n[profile 'my other']\nregion = eu-west-2\n")
    assert find_region(BackendContext(environment=files)) == "eu-west-1"
    context = BackendContext(environment=files, options={"profile": "my other"})
    assert find_region(context) == "eu-west-2"


def test_files_elsewhere(tmp_path: Path, home: Any) -> None:
    files = home()
    (tmp_path / "keys").write_text("[default]\naws_access_key_id=a\naws_secret_access_key=b\n")
    (tmp_path / "conf").write_text("[default]\nregion=eu-north-1\n")
    files |= {"AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "keys"), "AWS_CONFIG_FILE": "~/conf"}
    assert fetch(files) == known("a", "b")
    assert find_region(BackendContext(environment=files)) == "eu-north-1"


def test_no_file_is_read_without_a_home(monkeypatch: pytest.MonkeyPatch, home: Any) -> None:
    files = home("[default]\naws_access_key_id=a\naws_secret_access_key=b\n")
    monkeypatch.setenv("HOME", files.pop("HOME"))
    with pytest.raises(MissingKeyError):
        fetch(files)


@pytest.mark.parametrize(
    ("config", "environment", "said"),
    [
        ("[profile x]\nregion=y", {"AWS_PROFILE": "missing"}, "no profile 'missing'"),
        ("[profile x]\nsso_session = s\nsso_account_id = 1", {"AWS_PROFILE": "x"}, "aws configure export-credentials --profile x"),
        ("[profile x]\nlogin_session = s", {"AWS_PROFILE": "x"}, "signs in with a browser"),
        ("[profile x]\nrole_arn = r\nsource_profile = y", {"AWS_PROFILE": "x", "AWS_REGION": "a-b"}, "no profile 'y'"),
        ("[profile x]\nrole_arn = r\nsource_profile = y\n[profile y]\nrole_arn = r\nsource_profile = x",
         {"AWS_PROFILE": "x", "AWS_REGION": "a-b"}, "x, y take their roles in a circle"),
        ("[profile x]\nrole_arn = r\nsource_profile = x", {"AWS_PROFILE": "x", "AWS_REGION": "a-b"}, "no credentials where its source_profile"),
        ("[profile x]\nrole_arn = r\ncredential_source = EcsContainer", {"AWS_PROFILE": "x", "AWS_REGION": "a-b"},
         "no credentials where its credential_source"),
        ("[profile x]\nrole_arn = r\ncredential_source = Moon", {"AWS_PROFILE": "x", "AWS_REGION": "a-b"}, "credential_source"),
        ("no section: secret-9", {}, "cannot be read as a file"),
        ("", {"AWS_WEB_IDENTITY_TOKEN_FILE": "/none"}, "AWS_ROLE_ARN"),
        ("", {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://example.org/x"}, "must be an https: address"),
    ],
)  # fmt: skip
def test_wrong_settings(home: Any, config: str, environment: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError, match=said) as caught:
        fetch(home("", config) | environment)
    assert "secret-9" not in str(caught.value)


def test_a_role_that_asks_for_a_code(home: Any) -> None:
    keys = "[default]\naws_access_key_id=a\naws_secret_access_key=b\n"
    config = "[profile x]\nrole_arn = r\nsource_profile = default\nmfa_serial = m"
    with pytest.raises(SettingsError, match="mfa_serial"):
        fetch(home(keys, config) | {"AWS_PROFILE": "x", "AWS_REGION": "a-b"})


@pytest.mark.parametrize(
    ("environment", "options"),
    [
        ({"AWS_ACCESS_KEY_ID": "A"}, {}),
        ({}, {"access_key_id": "A"}),
        ({}, {"secret_access_key": "A"}),
        ({}, {"session_token": "A"}),
    ],
)
def test_half_a_key_is_none(environment: dict[str, str], options: dict[str, str]) -> None:
    with pytest.raises(MissingKeyError, match="belong together"):
        fetch(environment, **options)


# -- A program -------------------------------------------------------------------------------------


def program(tmp_path: Path, code: str) -> str:
    file = tmp_path / "give keys.py"
    file.write_text(code, "utf-8")
    return f"credential_process = {sys.executable} '{file}' --option\n"


def test_a_program_that_gives_credentials(tmp_path: Path, home: Any) -> None:
    code = """import json, os, sys
assert sys.argv[1:] == ["--option"]
print(json.dumps({"Version": 1, "AccessKeyId": os.environ["WHO"], "SecretAccessKey": "s",
                  "SessionToken": "t", "Expiration": "2026-11-22T12:00:00+02:00"}))"""
    files = home("", "[default]\n" + program(tmp_path, code))
    found = fetch(files | {"WHO": "me"})
    assert (found.access_key_id, found.session_token, found.expiry) == ("me", "t", EXPIRY)


@pytest.mark.parametrize("code", ["import sys; sys.exit('secret-9')", "print('secret-9')", "print('[]')"])  # fmt: skip
def test_a_program_that_gives_none(tmp_path: Path, home: Any, code: str) -> None:
    with pytest.raises(BackendError, match=r"credential_process.* gave no credentials") as caught:
        fetch(home("", "[default]\n" + program(tmp_path, code)))
    assert "secret-9" not in str(caught.value)


# -- A container -----------------------------------------------------------------------------------


def test_a_container(server: ScriptedServer, tmp_path: Path) -> None:
    server.otherwise = lambda request: [respond(200, json.dumps(TEMPORARY).encode())]
    file = tmp_path / "token"
    file.write_text("token-of-a-pod\n")
    where = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{server.url}/v1/credentials"}
    assert fetch(where) == FETCHED
    assert fetch(where | {"AWS_CONTAINER_AUTHORIZATION_TOKEN": "T"}) == FETCHED
    assert fetch(where | {"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(file)}) == FETCHED
    assert [request.target for request in server.requests] == ["/v1/credentials"] * 3
    sent = [request.headers.get("authorization") for request in server.requests]
    assert sent == [None, "T", "token-of-a-pod"]


def test_a_task_of_ecs() -> None:
    source = find_source(
        BackendContext(environment={"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials/1"})
    )
    assert isinstance(source, Container)
    assert source.url == "http://169.254.170.2/v2/credentials/1"


@pytest.mark.parametrize(
    ("status", "body", "kind", "said"),
    [
        (403, b"No such task", PermissionDeniedError, "No such task"),
        (500, b"", ServerError, "no credentials"),
        (200, b"{}", BackendError, "gave no credentials"),
        (200, b'{"Code": "x", "Message": "Come back"}', BackendError, "Come back"),
        (200, b"[", BackendError, "gave no credentials"),
        (200, json.dumps(TEMPORARY | {"Expiration": "soon"}).encode(), BackendError, "gave no"),
        (302, b"", BackendError, "no credentials"),
    ],
)
def test_a_container_without_credentials(
    server: ScriptedServer, status: int, body: bytes, kind: type[BackendError], said: str
) -> None:
    server.otherwise = lambda request: [respond(status, body, location="http://127.0.0.1:9/")]
    with pytest.raises(kind, match=said):
        fetch({"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{server.url}/v1"})


# -- An instance -----------------------------------------------------------------------------------

ROLES = "/latest/meta-data/iam/security-credentials/"


def instance(request: ReceivedRequest) -> Script:
    """The metadata service of an instance, in version 2 only."""
    if (request.method, request.target) == ("PUT", "/latest/api/token"):
        assert request.headers["x-aws-ec2-metadata-token-ttl-seconds"] == "21600"
        return [respond(200, b"opened", "text/plain")]
    if request.headers.get("x-aws-ec2-metadata-token") != "opened":
        return [respond(401, b"")]
    if request.target == ROLES:
        return [respond(200, b"my-role\n", "text/plain")]
    assert request.target == f"{ROLES}my-role"
    return [respond(200, json.dumps(TEMPORARY | {"Code": "Success"}).encode())]


def test_an_instance(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.otherwise = instance
    # A proxy in the process's environment is none of ours.
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert fetch({"AWS_EC2_METADATA_SERVICE_ENDPOINT": f"{server.url}/"}) == FETCHED


def test_where_an_instance_asks() -> None:
    for environment, url in (
        ({}, "http://169.254.169.254"),
        ({"AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE": "IPv6"}, "http://[fd00:ec2::254]"),
    ):
        assert find_source(BackendContext(environment=environment)) == Instance(url)


@pytest.mark.parametrize(
    ("steps", "kind"),
    [
        ([respond(404, b"")], MissingKeyError),
        ([respond(200, b"opened"), respond(404, b"")], MissingKeyError),
        ([respond(200, b"opened"), respond(200, b"")], MissingKeyError),
        ([respond(500, b"")], ServerError),
        ([respond(200, b"opened"), respond(200, b"role"), respond(200, b'{"Code": "Failed"}')], BackendError),
        ([respond(200, "geöffnet".encode())], MissingKeyError),
    ],
)  # fmt: skip
def test_an_instance_without_a_role(
    server: ScriptedServer, steps: list[bytes], kind: type[Exception]
) -> None:
    server.says(*[[step] for step in steps])
    with pytest.raises(kind):
        fetch({"AWS_EC2_METADATA_SERVICE_ENDPOINT": server.url})


def test_a_machine_that_is_no_instance() -> None:
    with ScriptedServer() as server:
        url = server.url
    with pytest.raises(MissingKeyError, match="llama-cpp:demo"):
        fetch({"AWS_EC2_METADATA_SERVICE_ENDPOINT": url})


# -- Roles -----------------------------------------------------------------------------------------


def form(request: ReceivedRequest) -> dict[str, str]:
    return {name: value for name, [value] in parse_qs(request.body.decode()).items()}


def test_a_role_for_a_token(server: ScriptedServer, tmp_path: Path, home: Any) -> None:
    server.otherwise = lambda request: [respond(200, ROLE_XML.encode(), "text/xml")]
    file = tmp_path / "token"
    file.write_text("eyJ+/=\n")
    where = {"AWS_ENDPOINT_URL_STS": server.url, "AWS_REGION": "eu-west-1"}
    web = {"AWS_WEB_IDENTITY_TOKEN_FILE": str(file), "AWS_ROLE_ARN": "arn:aws:iam::1:role/r"}
    assert fetch(home() | where | web) == FETCHED
    config = f"[profile x]\nweb_identity_token_file={file}\nrole_arn=arn:r\nrole_session_name=me"
    assert fetch(home("", config) | where, profile="x") == FETCHED
    first, second = server.requests
    assert form(first) == {
        "Action": "AssumeRoleWithWebIdentity",
        "Version": "2011-06-15",
        "RoleArn": "arn:aws:iam::1:role/r",
        "RoleSessionName": "andon",
        "WebIdentityToken": "eyJ+/=",
    }
    assert "authorization" not in first.headers
    assert (form(second)["RoleArn"], form(second)["RoleSessionName"]) == ("arn:r", "me")


def test_a_role_for_the_keys_of_another_profile(server: ScriptedServer, home: Any) -> None:
    server.otherwise = lambda request: [respond(200, ROLE_XML.encode(), "text/xml")]
    config = (
        "[profile x]\nrole_arn=arn:x\nsource_profile=y\nexternal_id=e\nduration_seconds=900\n"
        "[profile y]\nrole_arn=arn:y\nsource_profile=y\naws_access_key_id=AKY\naws_secret_access_key=s\n"
    )
    files = home("", config) | {"AWS_ENDPOINT_URL_STS": server.url, "AWS_REGION": "eu-west-1"}
    assert fetch(files | {"AWS_PROFILE": "x"}) == FETCHED
    inner, outer = server.requests
    assert "Credential=AKY/" in inner.headers["authorization"]
    assert "/eu-west-1/sts/aws4_request" in inner.headers["authorization"]
    assert form(inner)["RoleArn"] == "arn:y"
    assert "Credential=ASIA1/" in outer.headers["authorization"]
    assert outer.headers["x-amz-security-token"] == "token-2"
    assert form(outer).items() >= {
        "Action": "AssumeRole", "RoleArn": "arn:x", "ExternalId": "e", "DurationSeconds": "900",
    }.items()  # fmt: skip


def test_a_role_for_the_keys_of_the_environment(server: ScriptedServer, home: Any) -> None:
    server.otherwise = lambda request: [respond(200, ROLE_XML.encode(), "text/xml")]
    files = home("", "[profile x]\nrole_arn=arn:x\ncredential_source=Environment\n")
    keys = {"AWS_ACCESS_KEY_ID": "env", "AWS_SECRET_ACCESS_KEY": "e"}
    where = {"AWS_ENDPOINT_URL_STS": server.url, "AWS_REGION": "eu-west-1"}
    assert fetch(files | keys | where, profile="x") == FETCHED


@pytest.mark.parametrize(
    ("status", "body", "kind", "said"),
    [
        (403, DENIED_XML, PermissionDeniedError, "sts:AssumeRole & more"),
        (400, b"<Error><Code>ExpiredToken</Code><Message>Old</Message></Error>", BackendError, "Old"),
        (503, b"", ServerError, "no credentials"),
        (200, b"<html>", BackendError, "gave no credentials"),
        (200, ROLE_XML.replace("2026-", "soon-").encode(), BackendError, "without a time"),
    ],
)  # fmt: skip
def test_a_role_that_is_not_given(
    server: ScriptedServer, tmp_path: Path, status: int, body: bytes, kind: type[BackendError], said: str
) -> None:  # fmt: skip
    server.otherwise = lambda request: [respond(status, body, "text/xml")]
    (tmp_path / "token").write_text("T")
    with pytest.raises(kind, match=said):
        fetch({
            "AWS_ENDPOINT_URL_STS": server.url, "AWS_REGION": "eu-west-1",
            "AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token"), "AWS_ROLE_ARN": "r",
        })  # fmt: skip


# -- When they are replaced ------------------------------------------------------------------------


class Source:
    """Gives what it is told to, and counts."""

    def __init__(self) -> None:
        self.count = 0
        self.gives: Credentials | Exception = FETCHED

    def fetch(self) -> Credentials:
        self.count += 1
        if isinstance(self.gives, Exception):
            raise self.gives
        return self.gives


class Clock:
    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def played() -> tuple[SignatureAuthorizer, Source, Clock]:
    source, clock = Source(), Clock(EXPIRY - 3_600)
    return SignatureAuthorizer(lambda: (source, "eu-west-1"), clock), source, clock


def signed_by(authorizer: SignatureAuthorizer) -> str:
    signed = authorizer.sign("POST", "https://example.org/x", {}, b"")
    return signed["authorization"].partition("Credential=")[2].partition("/")[0]


def later(seconds: float) -> Credentials:
    return Credentials(access_key_id="NEXT", secret_access_key="s", expiry=EXPIRY + seconds)


def test_they_are_replaced_before_they_expire(played: Any) -> None:
    authorizer, source, clock = played
    assert authorizer.refresh_due()
    authorizer.refresh()
    authorizer.refresh()
    assert (source.count, signed_by(authorizer)) == (1, "ASIA1")
    assert authorizer.secrets() == ("secret-2", "token-2")
    clock.now = EXPIRY - MARGIN - 1
    assert not authorizer.refresh_due()
    clock.now = EXPIRY - MARGIN
    assert authorizer.refresh_due()
    source.gives = later(3_600)
    authorizer.refresh()
    assert (source.count, signed_by(authorizer)) == (2, "NEXT")
    assert not authorizer.refresh_due()


def test_what_brings_nothing_new_is_not_asked_all_the_time(played: Any) -> None:
    authorizer, source, clock = played
    authorizer.refresh()
    clock.now = EXPIRY - 60
    authorizer.refresh()
    # The same ones again: half of their last minute is waited.
    assert not authorizer.refresh_due()
    clock.now += 30
    assert authorizer.refresh_due()
    assert source.count == 2


@pytest.mark.parametrize("error", [BackendError("away"), MissingKeyError("away")])
def test_a_failure_is_borne_while_they_hold(played: Any, error: Exception) -> None:
    authorizer, source, clock = played
    authorizer.refresh()
    source.gives = error
    clock.now = EXPIRY - 60
    authorizer.refresh()
    assert signed_by(authorizer) == "ASIA1"
    clock.now = EXPIRY
    assert authorizer.refresh_due()
    with pytest.raises(type(error), match="away"):
        authorizer.refresh()


def test_many_threads_fetch_once(played: Any) -> None:
    authorizer, source, _ = played
    threads = [threading.Thread(target=authorizer.refresh) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert source.count == 1


def test_lasting_keys_are_never_asked_for_again(home: Any) -> None:
    context = BackendContext(
        options={"region": "eu-west-1", "access_key_id": "A", "secret_access_key": "B"}
    )
    authorizer = make_authorizer(context)
    assert authorizer.secrets() == ()
    authorizer.refresh()
    assert not authorizer.refresh_due()


def test_a_failed_first_time_is_tried_again(played: Any) -> None:
    authorizer, source, _ = played
    source.gives = AuthenticationError("away")
    with pytest.raises(AuthenticationError):
        authorizer.refresh()
    assert authorizer.refresh_due()
    source.gives = FETCHED
    authorizer.refresh()
    assert signed_by(authorizer) == "ASIA1"
