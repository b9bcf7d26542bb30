"""llama.cpp's server at its own ``/completion``, as the conformance kit plays it.

What it writes was read off the server of October 2026.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from andon.chat import FinishReason, TokenLogprob
from andon.testing.provider import Provider, SampleAnswer, SampleStream
from andon.testing.providers.completions import spelled_calls
from andon.wire.dialect import HTTPReply

#: What it calls an error, by status.
_ERRORS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    501: "not_supported_error",
    503: "unavailable_error",
}


class LlamaServerProvider(Provider):
    """Writes completions as llama.cpp's server does."""

    abilities = frozenset({"cached_usage", "logprobs", "stream_error"})
    finish_reasons = frozenset({FinishReason.STOP, FinishReason.LENGTH})

    def whole(self, answer: SampleAnswer) -> HTTPReply:
        """Return the reply to a request that is not streamed."""
        text = "".join(answer.text) + spelled_calls(answer.tool_calls)
        return _reply(200, _last(answer, text) | _probabilities(answer.logprobs))

    def stream(self, answer: SampleAnswer) -> SampleStream:
        """Return the reply to a streamed request."""
        calls = (spelled_calls(answer.tool_calls),) if answer.tool_calls else ()
        events = [
            _event(
                {"index": 0, "content": piece, "tokens": [9], "stop": False, "id_slot": -1}
                | _probabilities(answer.logprobs[place : place + 1])
            )
            for place, piece in enumerate((*answer.text, *calls))
        ]
        headers = {"content-type": "text/event-stream"}
        # The comment is what it sends while it reads a long prompt.
        return SampleStream(
            headers=headers, events=[b":\n\n", *events], end=_event(_last(answer, ""))
        )

    def error(self, status: int, message: str) -> HTTPReply:
        """Return the reply for a failure, as the provider words it for this status."""
        kind = _ERRORS.get(status, "server_error")
        return _reply(status, {"error": {"code": status, "message": message, "type": kind}})

    def error_code(self, status: int) -> str | None:
        """Return the provider's own code in :meth:`error`: its type, for the code is the status."""
        return _ERRORS.get(status, "server_error")

    def stream_error(self, message: str) -> bytes:
        """Return the event for a failure inside a stream, one that asking again would not mend."""
        return _event({"error": {"code": 400, "message": message, "type": _ERRORS[400]}})

    def models(self, names: Sequence[str]) -> HTTPReply:
        """Return the reply to a question for the models."""
        rows = [
            {"id": name, "object": "model", "created": 1, "owned_by": "llamacpp",
             "meta": {"n_ctx": 1024, "n_ctx_train": 1024}}
            for name in names
        ]  # fmt: skip
        return _reply(200, {"models": [], "object": "list", "data": rows})

    def tokens(self, count: int) -> HTTPReply:
        """Return the reply to a question for the tokens of a raw prompt."""
        return _reply(200, {"tokens": list(range(count))})

    def health(self) -> HTTPReply:
        """Return the reply of a server that is well."""
        return _reply(200, {"status": "ok"})


def _last(answer: SampleAnswer, text: str) -> dict[str, Any]:
    limited = answer.finish_reason is FinishReason.LENGTH
    usage = answer.usage
    return {
        "index": 0,
        "content": text,
        "tokens": [],
        "id_slot": 0,
        "stop": True,
        "model": answer.model,
        "tokens_predicted": usage.output_tokens,
        "tokens_evaluated": usage.input_tokens,
        "truncated": False,
        "stop_type": "limit" if limited else "eos",
        "stopping_word": "",
        "tokens_cached": usage.total_tokens - 1,
        "timings": {"cache_n": usage.cached_input_tokens, "predicted_n": usage.output_tokens},
    }


def _probabilities(logprobs: Sequence[TokenLogprob]) -> dict[str, Any]:
    if not logprobs:
        return {}
    rows = [
        _row(one.token, one.logprob) | {"top_logprobs": [_row(*pair) for pair in one.top]}
        for one in logprobs
    ]
    return {"completion_probabilities": rows}


def _row(token: str, logprob: float) -> dict[str, Any]:
    return {"id": 9, "token": token, "bytes": list(token.encode()), "logprob": logprob}


def _event(value: Any) -> bytes:
    return b"data: " + _json(value) + b"\n\n"


def _reply(status: int, value: Any) -> HTTPReply:
    headers = {"content-type": "application/json; charset=utf-8"}
    return HTTPReply(status=status, headers=headers, body=_json(value))


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
