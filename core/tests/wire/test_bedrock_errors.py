"""Bedrock's errors, and what becomes of them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon.errors import (
    AuthenticationError,
    BackendError,
    BadRequestError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    PromptTooLongError,
    RateLimitError,
    RequestTimeout,
    ServerError,
)
from andon.testing.providers.bedrock import BedrockProvider
from andon.wire.bedrock_converse import BedrockConverse
from andon.wire.dialect import HTTPReply

DIALECT = BedrockConverse()


def explain(status: int, body: Any, **headers: str) -> BackendError:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {"x-amzn-requestid": "5a9c"} | {k.replace("_", "-"): v for k, v in headers.items()}
    return DIALECT.explain(HTTPReply(status=status, headers=named, body=data))


@pytest.mark.parametrize(
    ("status", "name", "message", "kind"),
    [
        (400, "ValidationException", "Malformed input request", BadRequestError),
        (400, "ValidationException", "The provided model identifier is invalid.", NotFoundError),
        (400, "ValidationException", "Input is too long for requested model.", PromptTooLongError),
        (400, "ValidationException", "prompt is too long: 3 tokens > 2 maximum", PromptTooLongError),
        (400, "ValidationException", "Too many input tokens. Max input tokens: 8192", PromptTooLongError),
        (400, "ValidationException", "Input Tokens Exceeded: Number of input tokens exceeds maximum length.",
         PromptTooLongError),
        (400, "ServiceQuotaExceededException", "Your request exceeds a quota", RateLimitError),
        (400, "IncompleteSignature", "No signature", AuthenticationError),
        (403, "AccessDeniedException", "You don't have access to the model", PermissionDeniedError),
        (403, "AccessDeniedException", "Authentication failed: Please make sure your API Key is valid.",
         AuthenticationError),
        (403, "UnrecognizedClientException", "The security token included in the request is invalid.",
         AuthenticationError),
        (403, "ExpiredTokenException", "The security token included in the request is expired", AuthenticationError),
        (403, "InvalidSignatureException", "The request signature does not match", AuthenticationError),
        (403, "MissingAuthenticationTokenException", "Missing Authentication Token", AuthenticationError),
        (404, "ResourceNotFoundException", "Model use case details have not been submitted", NotFoundError),
        (408, "ModelTimeoutException", "Late", RequestTimeout),
        (424, "ModelErrorException", "The model failed", ServerError),
        (429, "ThrottlingException", "Too many tokens, please wait before trying again.", RateLimitError),
        (429, "ModelNotReadyException", "The model is loading", OverloadedError),
        (500, "InternalServerException", "Internal", ServerError),
        (503, "ServiceUnavailableException", "Busy", OverloadedError),
        (418, "SomethingNewException", "Tea", BadRequestError),
    ],
)  # fmt: skip
def test_by_status_and_type(status: int, name: str, message: str, kind: type[BackendError]) -> None:
    error = explain(status, {"message": message}, x_amzn_errortype=f"{name}:http://aws/")
    assert type(error) is kind
    assert str(error) == f"{message} (HTTP {status})"
    assert (error.status, error.code, error.request_id) == (status, name, "5a9c")


def test_whether_another_backend_may_do_better() -> None:
    assert explain(424, {}, x_amzn_errortype="ModelErrorException").recoverable
    assert not explain(400, {}, x_amzn_errortype="ValidationException").recoverable


@pytest.mark.parametrize(
    ("body", "headers", "code", "said"),
    [
        ({"Message": "Capital"}, {"x_amzn_errortype": "ThrottlingException"}, "ThrottlingException", "Capital"),
        ({"__type": "com.aws#ThrottlingException", "message": "Body"}, {}, "ThrottlingException", "Body"),
        ({"message": "No name"}, {}, None, "No name"),
        ({"message": "", "originalMessage": "Inner"}, {"x_amzn_errortype": "A"}, "A", "Inner"),
        (b"<UnknownOperationException/>\n", {"x_amzn_errortype": "UnknownOperationException"},
         "UnknownOperationException", "<UnknownOperationException/>"),
        (b"<html><title>Bad gateway</title></html>", {}, None, "Bad gateway"),
        ({"error": {"message": "A gateway's", "type": "odd"}}, {}, "odd", "A gateway's"),
        (b"", {}, None, "the server gave no reason"),
        (b"", {"x_amzn_errortype": "A"}, "A", "the server gave no reason"),
    ],
)  # fmt: skip
def test_every_form(body: Any, headers: dict[str, str], code: str | None, said: str) -> None:
    error = explain(429, body, **headers)
    assert said in str(error)
    assert error.code == code


def test_a_time_to_wait_is_kept() -> None:
    error = explain(
        429, {"message": "Not yet"}, retry_after="7", x_amzn_errortype="ModelNotReadyException"
    )
    assert isinstance(error, OverloadedError)
    assert error.retry_after == 7


@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 413, 422, 424, 429, 500, 503, 529])
def test_the_fixtures_are_read(status: int) -> None:
    provider = BedrockProvider()
    error = DIALECT.explain(provider.error(status, "Because"))
    assert (error.status, error.code) == (status, provider.error_code(status))
    assert "Because" in str(error)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["message", "Message", "__type", "code", "error", "x"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)


@given(
    st.integers(300, 599),
    json_values.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=40),
    st.text(max_size=20),
)
def test_whatever_comes_is_our_error(status: int, body: bytes, name: str) -> None:
    error = explain(status, body, x_amzn_errortype=name)
    assert isinstance(error, BackendError)
    assert error.status == status
