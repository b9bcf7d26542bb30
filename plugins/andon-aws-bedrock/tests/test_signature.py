"""Signatures, byte for byte those of AWS's own SDK."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from andon_aws_bedrock.signature import Credentials, Scope, signed_headers

auth = pytest.importorskip("botocore.auth", reason="the official SDK is not installed")
awsrequest: Any = pytest.importorskip("botocore.awsrequest")
credentials: Any = pytest.importorskip("botocore.credentials")

MOMENT = datetime(2026, 11, 22, 9, 8, 7, tzinfo=UTC)
KEY = Credentials(
    access_key_id="AKIDEXAMPLE", secret_access_key="wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
)


@contextmanager
def frozen(moment: datetime) -> Iterator[None]:
    with patch.object(auth, "get_current_datetime", lambda: moment):
        yield


def theirs(
    method: str, url: str, headers: dict[str, str], body: bytes, key: Credentials, scope: Scope, moment: datetime
) -> dict[str, str]:  # fmt: skip
    request = awsrequest.AWSRequest(method=method, url=url, headers=dict(headers), data=body)
    them = credentials.Credentials(key.access_key_id, key.secret_access_key, key.session_token)
    with frozen(moment):
        auth.SigV4Auth(them, scope.service, scope.region).add_auth(request)
    return {
        name.lower(): value
        for name, value in request.headers.items()
        if name.lower() not in headers or name.lower() == "authorization"
    }


def ours(
    method: str, url: str, headers: dict[str, str], body: bytes, key: Credentials, scope: Scope, moment: datetime
) -> dict[str, str]:  # fmt: skip
    return signed_headers(method, url, headers, body, credentials=key, scope=scope, moment=moment)


segments = st.lists(
    st.sampled_from(["model", "us.x-v1%3A0", "arn%3Aaws%2Fx", "a~b_c-d.e", "a b", "é", "%C3%A9", "", ".", "..", "a+b", "*"]),
    max_size=5,
)  # fmt: skip
urls = st.tuples(
    st.sampled_from(
        ["https://bedrock-runtime.eu-west-1.amazonaws.com", "http://127.0.0.1:8080", "https://Example.org:443",
         "http://[::1]:9", "https://example.org:8443/base"]
    ),
    segments.map("/".join),
    st.sampled_from(["", "/"]),
    st.sampled_from(["", "?", "?a=1", "?b=2&a=%2F&b=1&a", "?x=%20~"]),
).map(lambda parts: f"{parts[0]}/{parts[1]}{parts[2]}{parts[3]}")  # fmt: skip
values = st.text(
    st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x85\xa0"), max_size=20
)
headers = st.dictionaries(
    st.sampled_from(
        ["content-type", "accept", "x-custom", "x-amz-meta", "user-agent", "connection", "x-amzn-trace-id",
         "traceparent", "te", "expect", "accept-encoding", "x-amz-content-sha256", "authorization", "zz-top"]
    ),
    values,
    max_size=6,
)  # fmt: skip
keys = st.builds(
    Credentials,
    access_key_id=st.text("ABCDEFGHIJ0123456789", min_size=1, max_size=20),
    secret_access_key=st.text(min_size=1, max_size=40),
    session_token=st.none() | st.text("abcABC012+/=", min_size=1, max_size=40),
)
scopes = st.builds(
    Scope, st.sampled_from(["us-east-1", "cn-north-1", "eu-central-2"]), st.sampled_from(["bedrock", "sts"])
)  # fmt: skip
moments = st.datetimes(datetime(2000, 1, 1), datetime(2099, 1, 1), timezones=st.just(UTC))


calls = st.tuples(
    st.sampled_from(["GET", "POST", "put"]), urls, headers, st.binary(max_size=50), keys, scopes, moments
)  # fmt: skip


@given(calls)
@settings(max_examples=500)
def test_it_is_the_sdks(call: Any) -> None:
    assert ours(*call) == theirs(*call)


def test_one_signature_as_it_is() -> None:
    # Written down once, so that a change of both at the same time is seen.
    signed = ours(
        "POST",
        "https://bedrock-runtime.us-east-1.amazonaws.com/model/us.anthropic.x-v1%3A0/converse",
        {"content-type": "application/json", "user-agent": "x"},
        b"{}",
        KEY,
        Scope("us-east-1", "bedrock"),
        MOMENT,
    )
    assert signed == {
        "x-amz-date": "20261122T090807Z",
        "authorization": "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261122/us-east-1/bedrock/aws4_request, "
        "SignedHeaders=content-type;host;x-amz-date, "
        "Signature=e1c3ce30e2f378861b48a03d96b4ab6f981f2019311dda29648369eb0ee46481",
    }  # fmt: skip


def test_no_repr_shows_a_secret() -> None:
    key = Credentials(access_key_id="A", secret_access_key="s3cret", session_token="t0ken")
    assert "s3cret" not in repr(key)
    assert "t0ken" not in repr(key)
