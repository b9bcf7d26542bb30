"""Replies that are no answers: pages of proxies, empty bodies, bodies without an end."""

from __future__ import annotations

import zlib

import pytest

from andon.testing.conformance.base import Conformance
from andon.testing.conformance.contract import BOUNDS, REDIRECTS, TYPED, check, check_equal
from andon.testing.conformance.wire_stage import WireStage
from andon.testing.server import chunk, endless, head, respond

PAGE = b"<!doctype html><html><head><title>Sign in</title></head><body>captive</body></html>"

#: Most bytes that a server may get rid of in one reply.
MOST = 120 * 1024 * 1024


class ReplyTests(Conformance):
    """Whatever comes back, the error is andon's, and the memory is bounded."""

    @pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
    @pytest.mark.parametrize(
        ("kind", "body"),
        [
            ("text/html", PAGE),
            ("application/json", PAGE),
            ("text/plain", b"Service alive"),
            ("application/json", b"not json"),
            ("application/json", b""),
            ("application/json", b"null"),
            ("application/json", b'{"status": "ok"}'),
            ("application/json", b"[1, 2]"),
            ("application/json", b"[" * 100_000),
            ("application/json", b'{"choices": "\xff\xfe"}'),
            ("image/png", b"\x89PNG\r\n\x1a\n\x00\x00\n\n"),
        ],
        ids=[
            "html", "html-as-json", "text", "no-json", "empty", "null", "other-json", "list",
            "deep", "invalid-utf8", "image",
        ],
    )  # fmt: skip
    def test_no_answer(self, stage: WireStage, kind: str, body: bytes, streamed: bool) -> None:
        """A 200 that is no answer is an error, and not an empty answer."""
        stage.answers([respond(200, body, kind)])
        error = stage.failure(streamed=streamed)
        if body == PAGE:
            named = stage.server.url in str(error) or "base" in str(error)
            check(named, f"the address is not named: {error}", TYPED)
        stage.check_usable()

    @pytest.mark.parametrize("status", [301, 302, 307, 308])
    def test_a_redirect(self, stage: WireStage, status: int) -> None:
        """A redirect is told, and not followed."""
        for streamed in (False, True):
            stage.first([respond(status, b"", location=f"{stage.server.url}/elsewhere")])
            error = stage.failure(streamed=streamed)
            check("/elsewhere" in str(error), f"the target is not named: {error}", REDIRECTS)
        strayed = [request.target for request in stage.requests if "elsewhere" in request.target]
        check_equal(strayed, [], "what was sent to the other address", REDIRECTS)
        stage.check_usable()

    def test_an_endless_reply(self, stage: WireStage) -> None:
        """A whole reply without an end is given up."""
        kind = {"content-type": "application/json", "transfer-encoding": "chunked"}
        stage.answers([head(200, kind), chunk(b'{"a": "'), endless(b"x" * 1_000_000)])
        _check_given_up(stage, streamed=False)

    def test_an_endless_error(self, stage: WireStage) -> None:
        """An error without an end is cut, and still an error."""
        kind = {"content-type": "text/plain", "transfer-encoding": "chunked"}
        stage.first([head(400, kind), endless(b"x" * 100_000)])
        error = stage.failure()
        check_equal(error.status, 400, "the status", TYPED)
        check(len(str(error)) < 10_000, "the whole body stands in the message", BOUNDS)
        check(stage.server.sees_client_leave(), "the connection was kept", BOUNDS)

    @pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
    def test_a_gzip_bomb(self, stage: WireStage, streamed: bool) -> None:
        """A reply that unpacks to more than it may is given up."""
        zipped = {"content-encoding": "gzip", "transfer-encoding": "chunked"}
        reply = (
            stage.provider.stream(stage.sample) if streamed else stage.provider.whole(stage.sample)
        )
        begin, block = _bomb()
        stage.answers([head(200, {**reply.headers, **zipped}), chunk(begin), endless(block)])
        _check_given_up(stage, streamed=streamed)

    def test_broken_compression(self, stage: WireStage) -> None:
        """A reply that cannot be unpacked is an error."""
        broken = [respond(200, b"no gzip at all", content_encoding="gzip")]
        stage.first(*[broken] * 3)
        stage.failure()
        stage.check_usable()


def _check_given_up(stage: WireStage, *, streamed: bool) -> None:
    stage.failure(streamed=streamed)
    check(stage.server.sees_client_leave(), "the connection was kept", BOUNDS)
    check(stage.server.sent < MOST, f"{stage.server.sent} bytes were read", BOUNDS)
    stage.check_usable()


def _bomb() -> tuple[bytes, bytes]:
    """Return the beginning of a gzip body, and a block that may follow again and again.

    A block unpacks to a million bytes, a thousand times its size.
    """
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    begin = packer.compress(b"x") + packer.flush(zlib.Z_FULL_FLUSH)
    return begin, packer.compress(b"x" * 1_000_000) + packer.flush(zlib.Z_FULL_FLUSH)
