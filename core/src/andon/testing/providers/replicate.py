"""What Replicate sends. Its SDK reads these bytes: plugins/andon-replicate/tests."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from andon.chat import FinishReason
from andon.testing.provider import Provider, SampleAnswer, SampleStream
from andon.wire.dialect import HTTPReply

#: The id of every prediction.
ID = "ufawqhfynnddngldkgtslldrkq"

_TIME = "2026-10-01T12:00:00.123Z"
_TITLES = {
    401: "Unauthenticated",
    402: "Insufficient credit",
    403: "Forbidden",
    404: "Not found",
    422: "Input validation failed",
}


class ReplicateProvider(Provider):
    """Writes predictions of a language model; its addresses have no host, as it knows none."""

    abilities = frozenset({"stream_error"})
    finish_reasons = frozenset({FinishReason.STOP, FinishReason.LENGTH})

    def whole(self, answer: SampleAnswer) -> HTTPReply:
        """Return a prediction that is done; Replicate held the call that created it."""
        return _reply(201, finished(answer))

    def stream(self, answer: SampleAnswer) -> SampleStream:
        """Return the events of a prediction."""
        events = [_event("logs", "Prompt processed\n", 0)]
        events += [_event("output", piece, place) for place, piece in enumerate(answer.text, 1)]
        return SampleStream(
            headers={"content-type": "text/event-stream; charset=utf-8"},
            events=events,
            end=_event("done", "{}", len(events)),
        )

    def error(self, status: int, message: str) -> HTTPReply:
        """Return the reply for a failure, a problem in the form of RFC 7807."""
        body = {"title": _TITLES.get(status, "Error"), "detail": message, "status": status}
        headers = {"content-type": "application/problem+json"}
        return HTTPReply(status=status, headers=headers, body=_json(body))

    def stream_error(self, message: str) -> bytes:
        """Return the event for a failure inside a stream."""
        return _event("error", message, 99)

    def models(self, names: Sequence[str]) -> HTTPReply:
        """Return a collection of models."""
        rows = [_model(name) for name in names]
        slug = "language-models"
        body = {"name": "Language models", "slug": slug, "description": "", "models": rows}
        return _reply(200, body)

    def tokens(self, count: int) -> HTTPReply | None:
        """Return None: Replicate counts no tokens."""
        return None

    def health(self) -> HTTPReply:
        """Return the account that a key belongs to."""
        account = {"type": "user", "username": "sample", "name": "Sample", "github_url": ""}
        return _reply(200, account)

    def route(self, method: str, path: str, body: bytes, answer: SampleAnswer) -> HTTPReply | None:
        """Return a prediction that was created for a stream, or is asked for, or is cancelled."""
        if path.endswith(f"/{ID}/cancel"):
            return _reply(200, {**_prediction(answer), "status": "canceled"})
        if method == "GET" and path.endswith(f"/v1/predictions/{ID}"):
            return _reply(200, finished(answer))
        if path.endswith("/predictions") and json.loads(body).get("stream"):
            return _reply(201, started(answer))
        return None


def started(answer: SampleAnswer) -> dict[str, Any]:
    """Return a prediction that is still to come."""
    return {**_prediction(answer), "status": "starting", "output": None, "metrics": {}}


def finished(answer: SampleAnswer) -> dict[str, Any]:
    """Return a prediction that has succeeded."""
    usage = answer.usage
    metrics = {
        "input_token_count": usage.input_tokens,
        "output_token_count": usage.output_tokens,
        "predict_time": 0.5,
        "time_to_first_token": 0.1,
        "tokens_per_second": 10.0,
        "total_time": 0.6,
    }
    return {
        **_prediction(answer),
        "status": "succeeded",
        "output": list(answer.text),
        "metrics": metrics,
        "started_at": _TIME,
        "completed_at": _TIME,
    }


def _prediction(answer: SampleAnswer) -> dict[str, Any]:
    given: dict[str, Any] = {"prompt": "Hello"}
    if answer.finish_reason is FinishReason.LENGTH:
        # That, and as many tokens in the answer, is the only sign.
        given["max_tokens"] = answer.usage.output_tokens
    path = f"/v1/predictions/{ID}"
    return {
        "id": ID,
        "model": answer.model,
        "version": "hidden",
        "input": given,
        "logs": "",
        "output": None,
        "data_removed": False,
        "error": None,
        "source": "api",
        "created_at": _TIME,
        "started_at": None,
        "completed_at": None,
        "urls": {"get": path, "cancel": f"{path}/cancel", "stream": f"/v1/files/{ID}"},
    }


def _model(name: str) -> dict[str, Any]:
    owner, _, short = name.rpartition("/")
    return {
        "url": f"https://replicate.com/{name}",
        "owner": owner,
        "name": short,
        "description": "A language model",
        "visibility": "public",
        "github_url": None,
        "paper_url": None,
        "license_url": None,
        "run_count": 1,
        "cover_image_url": None,
        "default_example": None,
        "latest_version": None,
    }


def _event(name: str, data: str, place: int) -> bytes:
    lines = "".join(f"data: {line}\n" for line in data.split("\n"))
    return f"event: {name}\nid: 1690212292:{place}\n{lines}\n".encode()


def _reply(status: int, body: Mapping[str, Any]) -> HTTPReply:
    headers = {"content-type": "application/json"}
    return HTTPReply(status=status, headers=headers, body=_json(body))


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
