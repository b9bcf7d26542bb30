"""Errors that a server tells: which of andon's they are, and which are worth another attempt."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest

from andon import (
    AuthenticationError,
    BackendError,
    BadRequestError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    RateLimitError,
    RequestTimeout,
    ServerError,
    TransportError,
)
from andon.testing.conformance.base import Conformance
from andon.testing.conformance.contract import ERRORS, RETRIES, check, check_equal
from andon.testing.conformance.samples import TEXT
from andon.testing.conformance.wire_stage import WireStage
from andon.testing.server import Script, cut, reset, respond, send_reply, stream_head

MESSAGE = "It is nöt to be, said the server"

#: Statuses that stay what they are, however often one asks.
LASTING: dict[int, type[BackendError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    413: BadRequestError,
    422: BadRequestError,
}

#: Statuses after which the same request may succeed.
PASSING: dict[int, type[BackendError]] = {
    408: RequestTimeout,
    409: BackendError,
    429: RateLimitError,
    500: ServerError,
    503: OverloadedError,
    529: OverloadedError,
}


class FailureTests(Conformance):
    """A failure becomes the error that it is."""

    #: How often the backend tries again, with the settings that it is given.
    retries = 2

    @pytest.mark.parametrize("status", LASTING)
    def test_lasting_failures(self, stage: WireStage, status: int) -> None:
        """What will not change is told at once."""
        stage.first(_failing(stage, status))
        error = stage.failure()
        _check_error(stage, error, status, LASTING[status])
        stage.check_attempts(1)
        stage.check_usable()

    @pytest.mark.parametrize("status", PASSING)
    def test_passing_failures(self, stage: WireStage, status: int) -> None:
        """What may pass is asked again, and told if it does not pass."""
        stage.first(*[_failing(stage, status)] * (self.retries + 1))
        error = stage.failure()
        _check_error(stage, error, status, PASSING[status])
        stage.check_attempts(self.retries + 1)
        stage.first(_failing(stage, status))
        check_equal(stage.stream().whole.text, TEXT, "the answer to the next attempt", RETRIES)
        stage.check_usable()

    @pytest.mark.parametrize("status", [401, 422, 429, 500])
    def test_failures_of_streams(self, stage: WireStage, status: int) -> None:
        """A stream that is refused fails as a whole answer does."""
        stage.first(*[_failing(stage, status)] * (self.retries + 1))
        error = stage.failure(streamed=True)
        _check_error(stage, error, status, {**LASTING, **PASSING}[status])

    @pytest.mark.parametrize("form", ["seconds", "date"])
    def test_retry_after(self, stage: WireStage, form: str) -> None:
        """A server says how long to wait, in seconds or with a date; too long is not waited for."""
        hour = "3600" if form == "seconds" else formatdate(time.time() + 3600, usegmt=True)
        reply = stage.provider.error(429, MESSAGE)
        stage.first([send_reply(reply, retry_after=hour)])
        error = stage.failure()
        _check_error(stage, error, 429, RateLimitError)
        near = error.retry_after is not None and 3500 < error.retry_after <= 3601
        check(near, f"retry_after is {error.retry_after} and not about 3600 seconds", ERRORS)
        stage.check_attempts(1)
        now = "0" if form == "seconds" else formatdate(time.time() - 60, usegmt=True)
        stage.first([send_reply(reply, retry_after=now)])
        check_equal(stage.chat().text, TEXT, "the answer after waiting", RETRIES)

    def test_nobody_waits_beyond_the_timeout(self, stage: WireStage) -> None:
        """An attempt that would come too late is not made."""
        stage.first([send_reply(stage.provider.error(503, MESSAGE), retry_after="50")])
        error = stage.failure(timeout=40)
        _check_error(stage, error, 503, OverloadedError)
        check_equal(error.retry_after, 50.0, "retry_after", ERRORS)
        stage.check_attempts(1)

    @pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
    def test_a_reset_before_the_answer(self, stage: WireStage, streamed: bool) -> None:
        """A connection that breaks before anything came is tried again."""
        stage.first([reset])
        check_equal(stage.ask(streamed=streamed).whole.text, TEXT, "the answer", RETRIES)
        stage.first(*[[reset]] * (self.retries + 1))
        error = stage.failure(streamed=streamed)
        check(isinstance(error, TransportError), f"it became {error!r}", ERRORS)
        stage.check_usable()

    def test_a_cut_before_the_first_piece(self, stage: WireStage) -> None:
        """A stream that breaks off before its first piece is tried again."""
        stage.answers([stream_head(stage.provider.stream(stage.sample).headers), cut])
        check_equal(stage.stream().whole.text, TEXT, "the answer", RETRIES)

    @pytest.mark.parametrize(
        ("status", "page"),
        [
            (502, b"<html><head><title>Bad gateway</title></head><body>nginx</body></html>"),
            (500, b"Internal Server Error"),
            (500, b""),
            (400, b"[[[["),
            (400, b'{"error": null, "detail": [{"loc": 5}], "message": {"a": 1}}'),
            (404, b"\xff\xfe"),
            (422, b'"a text"'),
        ],
    )
    def test_failures_in_other_words(self, stage: WireStage, status: int, page: bytes) -> None:
        """A proxy, or the server's own framework, words its errors as it likes."""
        kind = "text/html" if page.startswith(b"<") else "application/json"
        stage.first(*[[respond(status, page, kind)]] * (self.retries + 1))
        error = stage.failure()
        check_equal(error.status, status, "the status", ERRORS)
        if b"Bad gateway" in page:
            check("Bad gateway" in str(error), f"what the page says is lost: {error}", ERRORS)
        stage.check_usable()


def _failing(stage: WireStage, status: int) -> Script:
    return [send_reply(stage.provider.error(status, MESSAGE))]


def _check_error(
    stage: WireStage, error: BackendError, status: int, kind: type[BackendError]
) -> None:
    reply = stage.provider.error(status, MESSAGE)
    check(isinstance(error, kind), f"a {status} became {error!r} and no {kind.__name__}", ERRORS)
    check(MESSAGE in str(error), f"the provider's message is not in {error!r}", ERRORS)
    check_equal(error.status, status, "the status", ERRORS)
    code = stage.provider.error_code(status)
    if code is not None:
        check_equal(error.code, code, "the provider's code", ERRORS)
    stage.check_request_id(error.request_id, reply)
