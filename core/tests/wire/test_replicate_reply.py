"""Whole predictions of Replicate: what follows on them, and what they say."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon.chat import ChatDelta, ChatRequest, FinishReason, Usage
from andon.errors import (
    BackendError,
    BadRequestError,
    ContentFilterError,
    OverloadedError,
    RequestTimeout,
    ServerError,
    StreamInterrupted,
)
from andon.testing.provider import SampleAnswer
from andon.testing.providers.replicate import ID, ReplicateProvider, finished, started
from andon.wire.dialect import HTTPReply
from andon.wire.replicate import ReplicateOptions, ReplicatePredictions

WHOLE = ChatRequest(model="meta/llama-2-7b-chat", prompt="Once")
STREAMED = replace(WHOLE, stream=True)
STARTED = started(SampleAnswer())
FINISHED = finished(SampleAnswer())
DIALECT = ReplicatePredictions()
FIELDS = [*FINISHED, "output_token_count", "input_token_count", "max_tokens", "stream"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=5)
    ),
    max_leaves=20,
)


def reply(body: object, status: int = 201) -> HTTPReply:
    return HTTPReply(status=status, headers={}, body=json.dumps(body).encode())


def read(**changes: Any) -> ChatDelta:
    [delta] = DIALECT.decode(reply({**FINISHED, **changes}))
    return delta


# -- What follows ---------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["starting", "processing"])
def test_a_prediction_that_is_not_done_is_asked_for_again(status: str) -> None:
    dialect = ReplicatePredictions(ReplicateOptions(poll_interval=0.25))
    call = dialect.follow_up(WHOLE, reply({**STARTED, "status": status}))
    assert call is not None
    assert (call.method, call.path, call.delay) == ("GET", f"/v1/predictions/{ID}", 0.25)
    assert call.undo is not None
    assert (call.undo.method, call.undo.path) == ("POST", f"/v1/predictions/{ID}/cancel")


def test_a_stream_has_an_address_of_its_own() -> None:
    address = "https://stream.replicate.com/v1/files/abc"
    call = DIALECT.follow_up(STREAMED, reply({**STARTED, "urls": {"stream": address}}))
    assert call is not None
    assert (call.method, call.path, call.delay) == ("GET", address, 0)
    assert call.headers == {"accept": "text/event-stream", "cache-control": "no-store"}
    assert call.undo is not None
    assert call.undo.path == f"/v1/predictions/{ID}/cancel"
    assert call.decoder is not None
    after = call.decoder({}).follow_up()
    assert after is not None
    assert (after.method, after.path, after.undo) == ("GET", f"/v1/predictions/{ID}", None)


@pytest.mark.parametrize("urls", [None, {}, {"stream": None}, {"stream": "file:///x"}, []])
def test_a_model_without_streams_is_asked_for_again(urls: Any) -> None:
    call = DIALECT.follow_up(STREAMED, reply({**STARTED, "urls": urls}))
    assert call is not None
    assert call.path == f"/v1/predictions/{ID}"


@pytest.mark.parametrize("status", ["succeeded", "failed", "canceled", "aborted", "new"])
def test_nothing_follows_on_the_end(status: str) -> None:
    assert DIALECT.follow_up(STREAMED, reply({**FINISHED, "status": status})) is None


@pytest.mark.parametrize("identifier", [None, "", "../account", "a/b", 5])
def test_an_id_that_is_none(identifier: object) -> None:
    with pytest.raises(BackendError, match="with an id"):
        DIALECT.follow_up(WHOLE, reply({**STARTED, "id": identifier}))


# -- What it says ---------------------------------------------------------------------------------


def test_an_answer() -> None:
    assert DIALECT.decode(ReplicateProvider().whole(SampleAnswer())) == (
        ChatDelta(
            "Hello, wörld!",
            finish_reason=FinishReason.STOP,
            raw_finish_reason="succeeded",
            usage=Usage(12, 5),
            model="sample-model",
            request_id=ID,
        ),
    )


@pytest.mark.parametrize(
    ("output", "text"), [("Hi", "Hi"), (None, ""), ([], ""), (["a", "b"], "ab")]
)
def test_outputs(output: object, text: str) -> None:
    assert read(output=output).text == text


@pytest.mark.parametrize("field", ["max_tokens", "max_new_tokens", "max_completion_tokens"])
def test_an_answer_of_as_many_tokens_as_it_may_have_was_cut(field: str) -> None:
    assert read(input={field: 5}).finish_reason is FinishReason.LENGTH
    assert read(input={field: 6}).finish_reason is FinishReason.STOP


@pytest.mark.parametrize(
    ("metrics", "usage"),
    [
        ({"token_input_count": 3, "token_output_count": 4}, Usage(3, 4)),
        ({"predict_time": 0.5}, None),
        (None, None),
    ],
)
def test_usage(metrics: object, usage: Usage | None) -> None:
    assert read(metrics=metrics).usage == usage


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        ("CUDA out of memory", ServerError, None),
        ("Prediction interrupted; please retry (code: PA)", ServerError, None),
        ("E1001: The model ran out of memory", ServerError, "E1001"),
        ("Service is currently unavailable due to high demand. (E003)", OverloadedError, "E003"),
        ("The input was flagged as sensitive. (E005)", ContentFilterError, "E005"),
        ("Input validation error: prompt is too large", BadRequestError, None),
        (None, ServerError, None),
        ({"detail": "worker lost"}, ServerError, None),
    ],
)
def test_predictions_that_failed(error: object, kind: type[BackendError], code: str | None) -> None:
    with pytest.raises(kind) as caught:
        read(status="failed", error=error)
    assert type(caught.value) is kind
    assert (caught.value.code, caught.value.request_id, caught.value.status) == (code, ID, None)
    if isinstance(error, str):
        assert error in str(caught.value)


def test_predictions_that_were_given_up() -> None:
    with pytest.raises(StreamInterrupted) as caught:
        read(status="canceled", output=["So", " far"])
    assert caught.value.partial == "So far"
    with pytest.raises(RequestTimeout, match="deadline"):
        read(status="aborted", output=None)


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b'{"status":5}', b"<p>", b"[" * 100_000, b'{"status":"new"}',
     b'{"status":"succeeded","output":{"image":1}}', b'{"status":"succeeded","output":[1]}'],
)  # fmt: skip
def test_what_is_no_prediction(body: bytes) -> None:
    with pytest.raises(BackendError, match=r"no (JSON|prediction)"):
        DIALECT.decode(HTTPReply(status=201, headers={}, body=body))


@given(JSON, st.sampled_from(["starting", "succeeded", "failed", "canceled", "x"]))
def test_junk_is_a_backends_error(value: Any, status: str) -> None:
    if isinstance(value, dict):
        value["status"] = status
    for request in (WHOLE, STREAMED):
        with contextlib.suppress(BackendError):
            DIALECT.follow_up(request, reply(value))
    with contextlib.suppress(BackendError):
        DIALECT.decode(reply(value))


# -- Questions besides ----------------------------------------------------------------------------


def test_the_models() -> None:
    query = DIALECT.list_models()
    assert query.call.path == "/v1/collections/language-models"
    cards = query.read(ReplicateProvider().models(["meta/llama", "openai/gpt"]))
    assert [card.name for card in cards] == ["meta/llama", "openai/gpt"]


def test_the_account() -> None:
    query = DIALECT.health()
    assert (query.call.method, query.call.path) == ("GET", "/v1/account")
    assert query.read(ReplicateProvider().health()) is None
    with pytest.raises((KeyError, TypeError)):
        query.read(reply({"detail": "no"}))
