"""The protocol: pure functions that encode a request, decode a reply, feed on a stream, explain.

The one written here is made up: a request is ``{"model", "turns": [[role, text], …]}``; a reply
``{"text", "end", "tokens": [in, out]}``; a stream has one JSON object a line, ``{"text"}`` and at
its end ``{"end", "tokens"}``; an error is ``{"error": {"message", "code"}}``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from andon import (
    BackendError,
    ChatDelta,
    ChatRequest,
    FinishReason,
    ModelCard,
    ModelProfile,
    StreamInterrupted,
    UnsupportedParameterError,
    Usage,
)
from andon.messages import ImagePart
from andon.wire.dialect import Dialect, HTTPCall, HTTPReply, Query, StreamDecoder
from andon.wire.item_stream import ItemStreamDecoder
from andon.wire.json_values import read_json, to_json
from andon.wire.ndjson import NDJSONDecoder
from andon.wire.problems import Problem, malformed, request_id, to_error

HEADERS = {"content-type": "application/json", "accept": "application/json"}
#: What the server says at the end of an answer.
ENDS = {"done": FinishReason.STOP, "limit": FinishReason.LENGTH}
#: What reading a reply of another shape raises.
SHAPES = (ValueError, TypeError, KeyError, IndexError, AttributeError)


class LinesDialect(Dialect):
    """The protocol of {{ cookiecutter.name }}."""

    def encode(self, request: ChatRequest, profile: ModelProfile) -> HTTPCall:
        """Return the call that asks for an answer.

        :raises UnsupportedParameterError: the protocol cannot say what is asked.
        """
        refuse(request)
        sampling = request.sampling
        body: dict[str, Any] = {
            "model": request.model,
            "turns": [[message.role.value, message.text] for message in request.messages],
            "stream": request.stream,
        }
        options = {
            "limit": sampling.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": sampling.seed,
            "stop": list(sampling.stop) or None,
        }
        body |= {name: value for name, value in options.items() if value is not None}
        return HTTPCall(path="/answers", body=to_json(body), headers=HEADERS)

    def decode(self, reply: HTTPReply) -> Sequence[ChatDelta]:
        """Return a whole answer, as one delta.

        :raises BackendError: the reply is no answer.
        """
        return [_read(reply.body, reply.headers, whole=True)]

    def decoder(self, headers: Mapping[str, str]) -> StreamDecoder:
        """Return what reads a stream that came with these headers."""
        return LinesDecoder(headers)

    def explain(self, reply: HTTPReply) -> BackendError:
        """Return the error that a reply stands for."""
        try:
            return _error(read_json(reply.body)["error"], reply.status, reply.headers)
        except SHAPES:
            said = reply.body.decode("utf-8", "replace").strip()
            return to_error(Problem(said[:1000]), reply.status, reply.headers)

    def list_models(self) -> Query[Sequence[ModelCard]]:
        """Return how to ask which models there are."""
        call = HTTPCall(path="/models", method="GET", headers=HEADERS)
        return Query(call, lambda reply: [ModelCard(name=name) for name in _names(reply)])


class LinesDecoder(ItemStreamDecoder[str]):
    """Reads one stream of lines; the line with ``end`` is its end.

    :param headers: the headers that the stream came with.
    """

    def __init__(self, headers: Mapping[str, str]) -> None:
        super().__init__(NDJSONDecoder())
        self._headers = headers

    def _last_items(self, deltas: list[ChatDelta]) -> None:
        # What is left without its line feed was cut off.
        pass

    def _item(self, item: str, deltas: list[ChatDelta]) -> None:
        delta = _read(item, self._headers)
        self.done = delta.finish_reason is not None
        deltas.append(delta)

    def _broken_off(self, deltas: list[ChatDelta]) -> None:
        raise StreamInterrupted("the stream ended without its last line")


def refuse(request: ChatRequest) -> None:
    """Refuse what the protocol cannot say.

    :raises UnsupportedParameterError: it is asked for.
    """
    asked = {
        "tools": bool(request.tools),
        "response_format": request.response_format.kind != "text",
        "reasoning_effort": request.reasoning_effort is not None,
        "top_logprobs": request.top_logprobs is not None,
        "continue_final_message": request.continue_final_message,
        "prompt": request.prompt is not None,
    }
    for parameter, wanted in asked.items():
        if wanted:
            raise UnsupportedParameterError(f"it takes no {parameter}", parameter=parameter)
    for message in request.messages:
        parts = () if isinstance(message.content, str) else message.content
        if any(isinstance(part, ImagePart) for part in parts):
            raise UnsupportedParameterError("it takes no images", parameter="images")
        if message.tool_calls or message.tool_call_id:
            raise UnsupportedParameterError("it takes no calls of tools", parameter="tools")


def _read(data: bytes | str, headers: Mapping[str, str], whole: bool = False) -> ChatDelta:
    """Return what a reply, or a line of a stream, says."""
    try:
        body = read_json(data)
        if "error" in body:
            raise _error(body["error"], None, headers)
        text = body["text"] if whole else body.get("text", "")
        if not isinstance(text, str):
            raise TypeError("a text is a text")
        end = body["end"] if whole else body.get("end")
        usage = _usage(body["tokens"]) if end is not None else None
        reason = None if end is None else ENDS[end]
    except SHAPES as error:
        raise malformed("answer", data) from error
    return ChatDelta(
        text,
        finish_reason=reason,
        raw_finish_reason=end,
        usage=usage,
        request_id=request_id(headers),
    )


def _usage(tokens: Sequence[int]) -> Usage:
    given, made = tokens
    return Usage(int(given), int(made))


def _error(told: Any, status: int | None, headers: Mapping[str, str]) -> BackendError:
    return to_error(Problem(str(told["message"]), code=str(told["code"])), status, headers)


def _names(reply: HTTPReply) -> list[str]:
    return [str(name) for name in read_json(reply.body)["models"]]
