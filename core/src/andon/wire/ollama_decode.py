"""Answers in the form of Ollama's own protocol, whole or line by line."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from andon.chat import ChatDelta, FinishReason, TokenLogprob, ToolCallDelta, Usage
from andon.errors import ServerError, StreamInterrupted
from andon.specs import ModelCard
from andon.wire.dialect import HTTPReply
from andon.wire.item_stream import ItemStreamDecoder
from andon.wire.json_values import SHAPE_ERRORS, name_of, read_json
from andon.wire.ndjson import NDJSONDecoder
from andon.wire.ollama_errors import explain_event, is_error
from andon.wire.openai_decode import text_of
from andon.wire.problems import malformed, request_id

#: Ends of what was no generation: the server only loaded or unloaded the model.
_NO_ANSWER = {"load", "unload"}

#: What Ollama calls the capabilities of a model.
_CAPABILITIES = {
    "completion": "chat",
    "tools": "tools",
    "vision": "images",
    "thinking": "reasoning",
}

#: What reading JSON of another shape than expected can raise.
BAD_SHAPE = (*SHAPE_ERRORS, RecursionError, ValueError, OverflowError)


class AnswerReader:
    """Reads the objects of one answer, in order; a whole answer is a single one.

    :param headers: the headers that it came with.
    """

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._id = request_id(headers)
        self._calls = 0
        self._started = False

    def read(self, part: Mapping[str, Any]) -> ChatDelta | None:
        """Return what an object adds to the answer, or None where that is nothing.

        :raises ServerError: there was no generation.
        """
        # Chats have a message, completions of a raw prompt have its fields beside the others.
        message = part.get("message") or {}
        text = text_of(message.get("content") or part.get("response"))
        thoughts = text_of(message.get("thinking") or part.get("thinking"))
        calls = self._read_calls(message.get("tool_calls") or ())
        likely = _logprobs(part.get("logprobs") or ())
        if part.get("done") is True:
            return self._last(part, ChatDelta(text, thoughts, calls, logprobs=likely))
        if not (text or thoughts or calls or likely):
            return None
        if self._started:
            return ChatDelta(text, thoughts, calls, logprobs=likely)
        # The first one tells who answers, for answers that never reach their end.
        self._started = True
        model = name_of(part.get("model"))
        return ChatDelta(text, thoughts, calls, model=model, request_id=self._id, logprobs=likely)

    def _last(self, part: Mapping[str, Any], delta: ChatDelta) -> ChatDelta:
        raw = name_of(part.get("done_reason"))
        if raw in _NO_ANSWER:
            raise ServerError(
                f"the server did nothing but {raw} the model: it took the request for an empty one"
            )
        reason = FinishReason.LENGTH if raw == "length" else FinishReason.STOP
        # It ends with "stop" after a tool call as well.
        if self._calls and reason is FinishReason.STOP:
            reason = FinishReason.TOOL_CALLS
        return ChatDelta(
            delta.text,
            delta.reasoning,
            delta.tool_calls,
            finish_reason=reason,
            raw_finish_reason=raw,
            usage=_usage(part),
            model=name_of(part.get("model")),
            request_id=self._id,
            logprobs=delta.logprobs,
        )

    def _read_calls(self, calls: Sequence[Mapping[str, Any]]) -> tuple[ToolCallDelta, ...]:
        # Each comes whole; the server's own index starts again in every line.
        deltas = tuple(_call(self._calls + place, call) for place, call in enumerate(calls))
        self._calls += len(deltas)
        return deltas


class OllamaStreamDecoder(ItemStreamDecoder[str]):
    """Reads one stream of lines; only a line with ``"done": true`` is its end.

    :param headers: the headers that the stream came with.
    """

    def __init__(self, headers: Mapping[str, str]) -> None:
        super().__init__(NDJSONDecoder())
        self._headers = headers
        self._reader = AnswerReader(headers)

    def _last_items(self, deltas: list[ChatDelta]) -> None:
        # A half of a line is no junk, but the sign of a connection that was cut.
        lines = self._splitter.finish()
        if all(_is_json(line) for line in lines):
            for line in lines:
                self._item(line, deltas)

    def _item(self, item: str, deltas: list[ChatDelta]) -> None:
        delta = self._line(item)
        if delta is not None:
            deltas.append(delta)

    def _broken_off(self, deltas: list[ChatDelta]) -> None:
        raise StreamInterrupted("the stream ended without its line of done: true")

    def _line(self, line: str) -> ChatDelta | None:
        try:
            part = read_json(line)
        except ValueError:
            raise malformed("JSON", line) from None
        if is_error(part):
            raise explain_event(part, self._headers)
        try:
            delta = self._reader.read(part)
        except BAD_SHAPE as error:
            raise malformed("line of an answer", line) from error
        self.done = delta is not None and delta.finish_reason is not None
        return delta


def read_answer(body: Mapping[str, Any], headers: Mapping[str, str]) -> ChatDelta:
    """Return a whole answer.

    :param body: the reply's JSON object.
    :param headers: the reply's headers.
    :raises StreamInterrupted: the server gave it up before its end.
    """
    delta = AnswerReader(headers).read(body)
    # A key that every answer has; its absence is not "unfinished".
    if body["done"] is not True or delta is None:
        text = "" if delta is None else delta.text
        raise StreamInterrupted("the server gave the answer up: it is not done", partial=text)
    return delta


def read_cards(reply: HTTPReply) -> tuple[ModelCard, ...]:
    """Return the models that the server has.

    :raises ValueError: the reply has another shape.
    """
    return tuple(_card(model) for model in read_json(reply.body)["models"])


def read_version(reply: HTTPReply) -> None:
    """Check that the server says which version it is.

    :raises TypeError: it is no Ollama.
    """
    if not isinstance(read_json(reply.body)["version"], str):
        raise TypeError("a version is a text")


def remote_host(model: Mapping[str, Any]) -> str:
    """Return the host that a model's requests are sent on to; empty where it runs here.

    :param model: what the server tells of a model.
    """
    return str(model.get("remote_host") or model.get("remote_model") or "")


def _card(model: Mapping[str, Any]) -> ModelCard:
    details = model.get("details") or {}
    told = model.get("capabilities") or ("completion",)
    known = frozenset(_CAPABILITIES[name] for name in told if name in _CAPABILITIES)
    host = remote_host(model)
    return ModelCard(
        name=model.get("model") or model["name"],
        context_window=_count(details.get("context_length")) or None,
        capabilities=known | {"json_schema"} if "chat" in known else known,
        description=f"sent on to {host}" if host else "",
    )


def _call(place: int, call: Mapping[str, Any]) -> ToolCallDelta:
    function = call["function"]
    return ToolCallDelta(
        place,
        # Servers before 0.12.10 give none.
        id=str(call.get("id") or f"call_{place}"),
        name=str(function["name"]),
        arguments=json.dumps(
            function.get("arguments") or {}, ensure_ascii=False, separators=(",", ":")
        ),
    )


def _logprobs(tokens: Sequence[Mapping[str, Any]]) -> tuple[TokenLogprob, ...]:
    return tuple(
        TokenLogprob(
            str(token["token"]),
            float(token["logprob"]),
            tuple(
                (str(other["token"]), float(other["logprob"]))
                for other in token.get("top_logprobs") or ()
            ),
        )
        for token in tokens
    )


def _usage(part: Mapping[str, Any]) -> Usage | None:
    prompt, answer = part.get("prompt_eval_count"), part.get("eval_count")
    if not isinstance(prompt, int) and not isinstance(answer, int):
        return None
    # Older servers leave the prompt's count out where all of it was cached.
    known = isinstance(prompt, int)
    return Usage(_count(prompt), _count(answer), estimated=not known)


def _count(value: Any) -> int:
    return value if type(value) is int and value > 0 else 0


def _is_json(line: str) -> bool:
    try:
        read_json(line)
    except ValueError:
        return False
    return True
