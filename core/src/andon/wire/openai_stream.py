"""Streams in the form of OpenAI's Chat Completions: from bytes to deltas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from andon.chat import ChatDelta, Usage
from andon.errors import StreamInterrupted
from andon.wire.json_values import name_of
from andon.wire.openai_decode import (
    ToolCalls,
    calls_of,
    id_of,
    read_finish,
    reasoning_of,
    text_of,
    usage_of,
)
from andon.wire.openai_errors import explain_event
from andon.wire.openai_events import OpenAIEventDecoder
from andon.wire.openai_logprobs import logprobs_of
from andon.wire.openai_quirks import Quirks


class OpenAIStreamDecoder(OpenAIEventDecoder):
    """Reads one stream of chunks.

    The finish reason is held back until the usage, ``[DONE]`` or the end of the stream has come,
    for most servers send the usage after it.

    :param quirks: what the server does in its own way.
    :param headers: the headers that the stream came with.
    """

    def __init__(self, quirks: Quirks, headers: Mapping[str, str]) -> None:
        super().__init__(headers)
        self._quirks = quirks
        self._calls = ToolCalls()
        self._refused = False
        self._finished = False
        self._raw_finish: str | None = None
        self._usage: Usage | None = None

    def _chunk(self, chunk: dict[str, Any], deltas: list[ChatDelta]) -> None:
        if chunk.get("error") or chunk.get("object") == "error":
            raise explain_event(chunk, self._headers)
        choices = chunk.get("choices")
        if choices:
            choice = choices[0]
            # Together names the end of a raw completion beside the choices.
            finish = choice.get("finish_reason") or chunk.get("finish_reason")
            delta = choice.get("delta") or {}
            # Nearly every chunk of a long answer is text and nothing else.
            if self._started and not finish and len(delta) == 1 and not chunk.get("usage"):
                text = delta.get("content")
                plain = "x_groq" not in chunk and choice.get("logprobs") is None
                if text and type(text) is str and plain:
                    deltas.append(ChatDelta(text))
                    return
            self._piece(chunk, choice, delta, deltas)
            if finish:
                self._finished, self._raw_finish = True, name_of(finish)
        self._note(chunk, deltas)

    def _piece(
        self,
        chunk: dict[str, Any],
        choice: dict[str, Any],
        delta: dict[str, Any],
        deltas: list[ChatDelta],
    ) -> None:
        self._model = self._model or name_of(chunk.get("model"))
        self._id = self._id or id_of(chunk)
        text = text_of(delta.get("content") or choice.get("text"))
        if refusal := text_of(delta.get("refusal")):
            self._refused = True
            text += refusal
        calls = self._calls.read(calls_of(delta))
        self._give(deltas, text, reasoning_of(delta), calls, logprobs_of(choice, text))

    def _note(self, chunk: dict[str, Any], deltas: list[ChatDelta]) -> None:
        groq = chunk.get("x_groq")
        if groq and groq.get("error"):
            raise explain_event(groq, self._headers)
        usage = usage_of(chunk)
        if usage is not None:
            self._usage = usage
            if self._finished:
                self._end(deltas)

    def _done_mark(self, deltas: list[ChatDelta]) -> None:
        self._end(deltas)

    def _broken_off(self, deltas: list[ChatDelta]) -> None:
        if self._finished and self._quirks.done_required:
            raise StreamInterrupted("the stream ended without [DONE]")
        self._end(deltas)

    def _end(self, deltas: list[ChatDelta]) -> None:
        if not self._finished:
            raise StreamInterrupted("the stream ended without its finish reason")
        reason = read_finish(self._raw_finish, calls=bool(self._calls), refused=self._refused)
        deltas.append(
            ChatDelta(
                tool_calls=self._calls.missing_ids(),
                finish_reason=reason,
                raw_finish_reason=self._raw_finish,
                usage=self._usage,
                model=self._model,
                request_id=self._id,
            )
        )
        self.done = True
