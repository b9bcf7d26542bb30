"""Signing in: every kind of credentials, at a server that stands for Google's."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

import andon_google_vertex
from andon import BackendContext
from andon.backends.http_backend import HTTPBackend
from andon.chat import ChatRequest
from andon.errors import (
    AndonError,
    AuthenticationError,
    BackendError,
    MissingKeyError,
    OverloadedError,
    SettingsError,
    TransportError,
)
from andon.messages import ChatMessage
from andon.testing.provider import SampleAnswer
from andon.testing.providers.gemini import GeminiProvider
from andon.wire.authorizers import PAUSE
from andon.wire.dialect import HTTPReply
from andon_google_vertex.authorizer import MARGIN, TokenAuthorizer
from andon_google_vertex.tokens import SCOPE, Token, find_source

REQUEST = ChatRequest(model="gemini-3-pro", messages=(ChatMessage.user("Hello"),))
GRANTED = {"access_token": "token-1", "expires_in": 3599, "token_type": "Bearer"}
METADATA = "/computeMetadata/v1/instance/service-accounts/default/token"
Replies = Callable[[int, Any], HTTPReply]


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def account(key: rsa.RSAPrivateKey, google: Any) -> dict[str, Any]:
    """Return what the key file of a service account holds."""
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return {
        "type": "service_account", "project_id": "pj", "private_key_id": "kid-1",
        "private_key": pem.decode(), "client_email": "me@pj.iam.gserviceaccount.com",
        "client_id": "1", "token_uri": f"{google.url}/token",
    }  # fmt: skip


def write(folder: Path, content: Any) -> str:
    file = folder / "credentials.json"
    file.write_text(json.dumps(content))
    return str(file)


def context(google: Any, environment: dict[str, str], **options: Any) -> BackendContext:
    given = {"base_url": f"{google.url}/v1beta1", "project": "pj", "max_retries": 0} | options
    return BackendContext(options=given, environment=environment)


def ask(given: BackendContext) -> str:
    [spec] = andon_google_vertex.andon_register_backends()
    backend = spec.create(given)
    assert isinstance(backend, HTTPBackend)
    try:
        return "".join(delta.text for delta in backend.stream(REQUEST, 10))
    finally:
        backend.close()


@pytest.fixture
def serve(google: Any, answer_with: Replies) -> Callable[..., None]:
    """Return what sets the reply to a question for a token; models answer as ever."""

    def set_reply(status: int = 200, body: Any = GRANTED) -> None:
        google.answer = lambda seen: (
            GeminiProvider().whole(SampleAnswer())
            if "generateContent" in seen.target
            else answer_with(status, body)
        )

    set_reply()
    return set_reply


def segments(assertion: str) -> tuple[Any, Any, bytes, bytes]:
    head, claims, signature = assertion.split(".")

    def decode(text: str) -> bytes:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))

    return (
        json.loads(decode(head)),
        json.loads(decode(claims)),
        f"{head}.{claims}".encode(),
        decode(signature),
    )


# -- Kinds of credentials --------------------------------------------------------------------------


def test_a_service_account(
    google: Any, serve: Any, account: dict[str, Any], key: rsa.RSAPrivateKey, tmp_path: Path
) -> None:
    assert ask(context(google, {"GOOGLE_APPLICATION_CREDENTIALS": write(tmp_path, account)}))
    grant, call = google.seen
    assert (grant.method, grant.target) == ("POST", "/token")
    form = grant.form()
    assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    head, claims, signed, signature = segments(form["assertion"])
    assert head == {"alg": "RS256", "typ": "JWT", "kid": "kid-1"}
    assert (claims["iss"], claims["scope"]) == (account["client_email"], SCOPE)
    assert claims["aud"] == "https://oauth2.googleapis.com/token"  # wherever it is sent
    assert claims["exp"] - claims["iat"] == 3600
    assert abs(claims["iat"] - time.time()) < 100
    key.public_key().verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())
    assert call.headers["authorization"] == "Bearer token-1"
    assert "x-goog-user-project" not in call.headers


def test_google_auth_itself_asks_for_the_same_token(
    google: Any, serve: Any, account: dict[str, Any], tmp_path: Path
) -> None:
    """Google's library with its own transport, as Google's SDK uses it."""
    transport = pytest.importorskip("google.auth.transport.requests", reason="no requests")
    from google.oauth2 import service_account

    theirs = service_account.Credentials.from_service_account_info(account, scopes=[SCOPE])
    theirs.refresh(transport.Request())
    ours = find_source(context(google, {}, credentials_file=write(tmp_path, account)))
    token = ours.fetch()
    assert token.value == theirs.token
    assert abs(token.expiry - (time.time() + 3599)) < 60
    first, second = google.seen
    assert (first.method, first.target) == (second.method, second.target)
    assert first.headers["content-type"] == second.headers["content-type"]
    forms = []
    for seen in (first, second):
        form = seen.form()
        head, claims, _, _ = segments(form.pop("assertion"))
        times = {claims.pop("iat"), claims.pop("exp")}
        assert max(times) - min(times) == 3600
        forms.append((form, head, claims))
    assert forms[0] == forms[1]


USER = {
    "type": "authorized_user", "client_id": "cid", "client_secret": "client-secret",
    "refresh_token": "refresh-secret", "quota_project_id": "quota",
}  # fmt: skip


def test_gclouds_own_file(google: Any, serve: Any, tmp_path: Path) -> None:
    folder = tmp_path / ".config" / "gcloud"
    folder.mkdir(parents=True)
    content = json.dumps(USER | {"token_uri": f"{google.url}/token"})
    (folder / "application_default_credentials.json").write_text(content)
    assert ask(context(google, {"HOME": str(tmp_path)}))
    assert ask(
        context(google, {"CLOUDSDK_CONFIG": str(folder), "GOOGLE_CLOUD_QUOTA_PROJECT": "q2"})
    )
    grant, call, _, second = google.seen
    form = grant.form()
    assert form.pop("scope") == SCOPE
    assert form == {
        "grant_type": "refresh_token", "client_id": "cid", "client_secret": "client-secret",
        "refresh_token": "refresh-secret",
    }  # fmt: skip
    assert call.headers["authorization"] == "Bearer token-1"
    assert call.headers["x-goog-user-project"] == "quota"
    assert second.headers["x-goog-user-project"] == "q2"


def test_the_metadata_server(google: Any, serve: Any) -> None:
    assert ask(context(google, {"GCE_METADATA_HOST": google.host}))
    question, call = google.seen
    assert (question.method, question.target) == ("GET", f"{METADATA}?scopes={SCOPE}")
    assert question.headers["metadata-flavor"] == "Google"
    assert call.headers["authorization"] == "Bearer token-1"


def test_tokens_for_asyncio(google: Any, serve: Any) -> None:
    [spec] = andon_google_vertex.andon_register_backends()
    backend = spec.create(context(google, {"GCE_METADATA_HOST": google.host}))

    async def ask_twice() -> list[str]:
        texts = [
            "".join([delta.text async for delta in backend.astream(REQUEST, 10)]) for _ in "ab"
        ]
        await backend.aclose()
        return texts

    assert asyncio.run(ask_twice()) == ["Hello, wörld!"] * 2
    assert [seen.method for seen in google.seen] == ["GET", "POST", "POST"]


def test_workload_identity(google: Any, serve: Any, tmp_path: Path) -> None:
    """Credentials of another cloud, which google-auth exchanges."""
    (tmp_path / "subject").write_text("subject-token")
    audience = (
        "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/a/providers/b"
    )
    content = {
        "type": "external_account", "audience": audience, "token_url": f"{google.url}/sts",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "credential_source": {"file": str(tmp_path / "subject")},
    }  # fmt: skip
    assert ask(context(google, {}, credentials_file=write(tmp_path, content)))
    exchange, call = google.seen
    form = exchange.form()
    assert (exchange.target, form["subject_token"], form["audience"]) == (
        "/sts", "subject-token", audience
    )  # fmt: skip
    assert call.headers["authorization"] == "Bearer token-1"


def test_a_file_comes_before_the_metadata_server_and_a_named_one_before_gclouds(
    google: Any, serve: Any, account: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "application_default_credentials.json").write_text("no JSON")
    environment = {
        "GOOGLE_APPLICATION_CREDENTIALS": write(tmp_path, account),
        "CLOUDSDK_CONFIG": str(tmp_path), "GCE_METADATA_HOST": google.host,
    }  # fmt: skip
    assert ask(context(google, environment))
    assert google.seen[0].target == "/token"


def test_tokens_are_fetched_by_the_same_proxy(
    google: Any, serve: Any, account: dict[str, Any], tmp_path: Path
) -> None:
    file = write(tmp_path, account | {"token_uri": "http://tokens.example/token"})
    find_source(context(google, {}, credentials_file=file, proxy=google.url)).fetch()
    assert google.seen[0].target == "http://tokens.example/token"


# -- Failures --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body", "kind", "said"),
    [
        (
            400, {"error": "invalid_grant", "error_description": "Invalid JWT Signature."},
            AuthenticationError, "invalid_grant: Invalid JWT Signature",
        ),
        (401, b"nope", AuthenticationError, "nope"),
        (200, {"token": "x"}, AuthenticationError, "No access token"),
        (200, b"<html>", BackendError, "no access token came back"),
        (200, [], BackendError, "no access token came back"),
        (503, {"error": "internal_failure"}, OverloadedError, "internal_failure"),
    ],
)  # fmt: skip
def test_tokens_that_are_not_granted(
    google: Any, serve: Any, account: dict[str, Any], tmp_path: Path,
    status: int, body: Any, kind: type[BackendError], said: str,
) -> None:  # fmt: skip
    serve(status, body)
    with pytest.raises(kind, match=said) as caught:
        ask(context(google, {}, credentials_file=write(tmp_path, account)))
    assert type(caught.value) is kind
    assert caught.value.backend == "google-vertex"
    assert all(seen.target == "/token" for seen in google.seen)


def test_secrets_do_not_appear_in_an_error(google: Any, serve: Any, tmp_path: Path) -> None:
    serve(400, {"error": "invalid_grant", "error_description": "refresh-secret was revoked"})
    file = write(tmp_path, USER | {"token_uri": f"{google.url}/token"})
    with pytest.raises(AuthenticationError, match=r"\*\*\* was revoked"):
        ask(context(google, {}, credentials_file=file))


@pytest.mark.parametrize(
    "content",
    [
        {"type": "service_account"},
        {"type": "service_account", "private_key": "x", "client_email": "y", "token_uri": "z"},
        {"type": "authorized_user", "client_id": "x"},
        {"type": "external_account"},
        {"type": "external_account", "credential_source": {"executable": {}}},
        {"type": "impersonated_service_account"},
        {"type": "something_new"},
    ],
    ids=str,
)
def test_files_that_google_auth_cannot_read(google: Any, tmp_path: Path, content: Any) -> None:
    with pytest.raises(SettingsError, match=r"credentials\.json"):
        ask(context(google, {}, credentials_file=write(tmp_path, content)))
    assert google.seen == []


@pytest.mark.parametrize(
    "environment",
    [{"NO_GCE_CHECK": "true"}, {"GCE_METADATA_HOST": "127.0.0.1:1"}],
    ids=["not looked for", "nobody there"],
)
def test_a_machine_that_is_none_of_googles(google: Any, environment: dict[str, str]) -> None:
    with pytest.raises(MissingKeyError, match="llama-cpp:demo"):
        ask(context(google, environment))
    assert google.seen == []


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (404, {}, MissingKeyError), (503, {}, OverloadedError), (200, {}, BackendError),
        (200, {"access_token": "x", "expires_in": "soon"}, BackendError),
    ],
)  # fmt: skip
def test_metadata_that_is_of_no_use(
    google: Any, serve: Any, status: int, body: Any, kind: type[AndonError]
) -> None:
    serve(status, body)
    with pytest.raises(kind) as caught:
        ask(context(google, {"GCE_METADATA_HOST": google.host}))
    assert type(caught.value) is kind


def test_a_metadata_server_that_has_answered_is_not_missing(google: Any, serve: Any) -> None:
    source = find_source(context(google, {"GCE_METADATA_HOST": google.host}))
    assert source.fetch().value == "token-1"
    google.close()
    with pytest.raises(TransportError):
        source.fetch()
    google.close = lambda: None


# -- In time ---------------------------------------------------------------------------------------


class Source:
    """Gives tokens that live for some seconds, or fails."""

    def __init__(self) -> None:
        self.now = 1_000_000.0
        self.life = 3600.0
        self.fetched = 0
        self.failure: Exception | None = None

    def fetch(self) -> Token:
        self.fetched += 1
        if self.failure is not None:
            raise self.failure
        return Token(value=f"t{self.fetched}", expiry=self.now + self.life)

    def secrets(self) -> tuple[str, ...]:
        return ("s",)


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def authorizer(source: Source) -> TokenAuthorizer:
    return TokenAuthorizer(lambda: source, lambda: source.now)


def test_a_token_is_replaced_before_it_expires(source: Source, authorizer: TokenAuthorizer) -> None:
    assert authorizer.refresh_due()
    authorizer.refresh()
    source.now += 3600 - MARGIN - 1
    assert not authorizer.refresh_due()
    source.now += 1
    assert authorizer.refresh_due()
    authorizer.refresh()
    assert authorizer.sign("POST", "", {}, b"") == {"authorization": "Bearer t2"}
    assert authorizer.secrets() == ("t2", "s")


def test_a_short_token_is_used_up_to_its_half(source: Source, authorizer: TokenAuthorizer) -> None:
    source.life = 60
    authorizer.refresh()
    source.now += 29
    assert not authorizer.refresh_due()
    source.now += 1
    assert authorizer.refresh_due()


def test_while_a_token_holds_its_replacement_may_fail(
    source: Source, authorizer: TokenAuthorizer
) -> None:
    authorizer.refresh()
    source.now += 3600 - MARGIN
    source.failure = TransportError("gone")
    authorizer.refresh()
    assert not authorizer.refresh_due()
    assert authorizer.sign("POST", "", {}, b"") == {"authorization": "Bearer t1"}
    source.now += PAUSE
    assert authorizer.refresh_due()
    source.now += MARGIN
    with pytest.raises(TransportError):
        authorizer.refresh()


def test_many_threads_fetch_one_token(source: Source, authorizer: TokenAuthorizer) -> None:
    barrier = threading.Barrier(8)

    def call() -> str:
        barrier.wait()
        authorizer.refresh()
        return authorizer.sign("POST", "", {}, b"")["authorization"]

    with ThreadPoolExecutor(8) as pool:
        signed = {future.result() for future in [pool.submit(call) for _ in range(8)]}
    assert (signed, source.fetched) == ({"Bearer t1"}, 1)


def test_importing_the_plugin_is_cheap() -> None:
    import subprocess
    import sys

    code = "import andon_google_vertex, sys; print([n for n in sys.modules if n.split('.')[0] in {'google', 'cryptography', 'requests', 'httpx2'}])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
