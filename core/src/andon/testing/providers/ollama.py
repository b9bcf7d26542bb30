"""What an Ollama server sends. Its SDK reads these bytes: plugins/andon-ollama/tests."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from andon.chat import FinishReason, TokenLogprob
from andon.testing.provider import Provider, SampleAnswer, SampleStream
from andon.wire.dialect import HTTPReply

_TIME = "2026-10-01T12:00:00.123456Z"
_DETAILS = {
    "parent_model": "",
    "format": "gguf",
    "family": "llama",
    "families": ["llama"],
    "parameter_size": "8.0B",
    "quantization_level": "Q4_K_M",
    "context_length": 131_072,
}
_CAPABILITIES = ["completion", "tools", "thinking"]


class OllamaProvider(Provider):
    """Writes answers in the form of Ollama's own protocol."""

    abilities = frozenset({"reasoning", "tools", "parallel_tools", "logprobs", "stream_error"})
    finish_reasons = frozenset({FinishReason.STOP, FinishReason.LENGTH, FinishReason.TOOL_CALLS})

    def whole(self, answer: SampleAnswer) -> HTTPReply:
        """Return the reply to a request that is not streamed."""
        message: dict[str, Any] = {"role": "assistant", "content": "".join(answer.text)}
        if answer.reasoning:
            message["thinking"] = "".join(answer.reasoning)
        if answer.tool_calls:
            message["tool_calls"] = _calls(answer)
        return _reply(
            200, {**_head(answer), "message": message, **_ending(answer, answer.logprobs)}
        )

    def stream(self, answer: SampleAnswer) -> SampleStream:
        """Return the reply to a streamed request."""
        last = {**_head(answer), "message": _message(""), **_ending(answer)}
        return SampleStream(
            headers={"content-type": "application/x-ndjson"},
            events=[_line(part) for part in _parts(answer)],
            end=_line(last),
        )

    def error(self, status: int, message: str) -> HTTPReply:
        """Return the reply for a failure; whatever its status, it is a text."""
        return _reply(status, {"error": message})

    def stream_error(self, message: str) -> bytes:
        """Return the line for a failure inside a stream."""
        return _line({"error": message})

    def models(self, names: Sequence[str]) -> HTTPReply:
        """Return the reply to a question for the models."""
        return _reply(200, {"models": [_model(name) for name in names]})

    def tokens(self, count: int) -> HTTPReply | None:
        """Return None: Ollama counts no tokens."""
        return None

    def health(self) -> HTTPReply:
        """Return the reply of a server that is well."""
        return _reply(200, {"version": "0.32.7"})

    def route(self, method: str, path: str, body: bytes, answer: SampleAnswer) -> HTTPReply | None:
        """Return what the server tells of a model, a chat or itself, or completes of a prompt."""
        match path.rpartition("/api/")[2]:
            case "show":
                return _reply(200, _shown())
            case "version":
                return self.health()
            case "chat" if json.loads(body).get("_debug_render_only"):
                return _rendered(answer)
            case "generate":
                return _completion(answer, stream=json.loads(body).get("stream", True))
        return None


def _rendered(answer: SampleAnswer) -> HTTPReply:
    # What a chat looks like to its model, in place of an answer.
    info = {"rendered_template": "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n"}
    nothing = {"role": "", "content": ""}
    return _reply(200, {**_head(answer), "message": nothing, "done": False, "_debug_info": info})


def _completion(answer: SampleAnswer, *, stream: bool) -> HTTPReply:
    if not stream:
        text = "".join(answer.text)
        return _reply(200, {**_head(answer), "response": text, **_ending(answer, answer.logprobs)})
    parts = [{**_head(answer), "response": piece, "done": False} for piece in answer.text]
    parts.append({**_head(answer), "response": "", **_ending(answer)})
    headers = {"content-type": "application/x-ndjson"}
    return HTTPReply(status=200, headers=headers, body=b"".join(map(_line, parts)))


def _parts(answer: SampleAnswer) -> Iterator[dict[str, Any]]:
    for piece in answer.reasoning:
        yield {**_head(answer), "message": {**_message(""), "thinking": piece}, "done": False}
    for place, piece in enumerate(answer.text):
        likely = _logprobs(answer.logprobs[place : place + 1])
        yield {**_head(answer), "message": _message(piece), "done": False, **likely}
    # Each call comes whole, in a line of its own.
    for call in _calls(answer):
        message = {**_message(""), "tool_calls": [call]}
        yield {**_head(answer), "message": message, "done": False}


def _head(answer: SampleAnswer) -> dict[str, Any]:
    return {"model": answer.model, "created_at": _TIME}


def _message(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def _calls(answer: SampleAnswer) -> list[dict[str, Any]]:
    return [
        {
            "id": call.id,
            "function": {
                "index": place,
                "name": call.name,
                "arguments": json.loads(call.arguments),
            },
        }
        for place, call in enumerate(answer.tool_calls)
    ]


def _ending(answer: SampleAnswer, logprobs: Sequence[TokenLogprob] = ()) -> dict[str, Any]:
    # A tool call ends with "stop" as well.
    length = answer.finish_reason is FinishReason.LENGTH
    return {
        "done": True,
        "done_reason": "length" if length else "stop",
        "total_duration": 5_191_566_416,
        "load_duration": 2_154_458,
        "prompt_eval_count": answer.usage.input_tokens,
        "prompt_eval_duration": 383_809_000,
        "eval_count": answer.usage.output_tokens,
        "eval_duration": 4_799_921_000,
        **_logprobs(logprobs),
    }


def _logprobs(logprobs: Sequence[TokenLogprob]) -> dict[str, Any]:
    if not logprobs:
        return {}
    rows = []
    for one in logprobs:
        row: dict[str, Any] = _likely(one.token, one.logprob)
        if one.top:
            row["top_logprobs"] = [_likely(*other) for other in one.top]
        rows.append(row)
    return {"logprobs": rows}


def _likely(token: str, logprob: float) -> dict[str, Any]:
    return {"token": token, "logprob": logprob, "bytes": list(token.encode())}


def _model(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "model": name,
        "modified_at": _TIME,
        "size": 4_920_753_328,
        "digest": "46e0c10c039e019119339687c3c1757cc81b9da49709a3b3924863ba87ca666e",
        "details": _DETAILS,
        "capabilities": _CAPABILITIES,
    }


def _shown() -> dict[str, Any]:
    return {
        "template": "{{ .Prompt }}",
        "details": _DETAILS,
        "model_info": {"general.architecture": "llama", "llama.context_length": 131_072},
        "capabilities": _CAPABILITIES,
        "modified_at": _TIME,
    }


def _reply(status: int, body: Mapping[str, Any]) -> HTTPReply:
    headers = {"content-type": "application/json; charset=utf-8"}
    return HTTPReply(status=status, headers=headers, body=_line(body).rstrip(b"\n"))


def _line(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
