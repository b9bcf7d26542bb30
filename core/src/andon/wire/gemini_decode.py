"""Answers in the form of Gemini's generateContent, whole or in chunks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from andon.chat import ChatDelta, FinishReason, TokenLogprob, ToolCallDelta, Usage
from andon.errors import BadRequestError, ServerError, StreamInterrupted
from andon.specs import ModelCard
from andon.wire.gemini_errors import explain_value
from andon.wire.gemini_replay import Keeper
from andon.wire.json_values import SHAPE_ERRORS, name_of
from andon.wire.problems import request_id

#: What reading JSON of another shape than expected can raise.
UNREADABLE = (*SHAPE_ERRORS, ValueError, RecursionError)

#: Words for the end of an answer (google-genai 3.4, types.FinishReason); a word that is missing
#: here and below is an ordinary end.
_REASONS = {
    "MAX_TOKENS": FinishReason.LENGTH,
    "CONTINUATION": FinishReason.LENGTH,
    "SAFETY": FinishReason.CONTENT_FILTER,
    "RECITATION": FinishReason.CONTENT_FILTER,
    "LANGUAGE": FinishReason.CONTENT_FILTER,
    "BLOCKLIST": FinishReason.CONTENT_FILTER,
    "PROHIBITED_CONTENT": FinishReason.CONTENT_FILTER,
    "SPII": FinishReason.CONTENT_FILTER,
    "MODEL_ARMOR": FinishReason.CONTENT_FILTER,
    "ESCALATION": FinishReason.CONTENT_FILTER,
    "PUP_LIMITED_DISABLED": FinishReason.CONTENT_FILTER,
    "IMAGE_SAFETY": FinishReason.CONTENT_FILTER,
    "IMAGE_PROHIBITED_CONTENT": FinishReason.CONTENT_FILTER,
    "IMAGE_RECITATION": FinishReason.CONTENT_FILTER,
}

#: Words for an answer that failed.
_FAILURES = {
    "MALFORMED_FUNCTION_CALL",
    "UNEXPECTED_TOOL_CALL",
    "TOO_MANY_TOOL_CALLS",
    "MALFORMED_RESPONSE",
    "MISSING_THOUGHT_SIGNATURE",
    "NO_IMAGE",
    "IMAGE_OTHER",
    "OTHER",
}

_COUNTS = (
    "promptTokenCount",
    "toolUsePromptTokenCount",
    "cachedContentTokenCount",
    "candidatesTokenCount",
    "thoughtsTokenCount",
)

#: What a prompt and an answer consist of, for those kinds of content that have their own prices.
_DETAILS = ("promptTokensDetails", "candidatesTokensDetails")
_KINDS = ("IMAGE", "AUDIO")


class AnswerReader:
    """Puts together what the chunks of one answer say; a whole answer is one chunk.

    :param headers: the headers that the answer came with.
    """

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = headers
        self._counts: dict[str, int] = {}
        self._keeper = Keeper()
        self._calls = 0
        self._started = False
        self._model: str | None = None
        self._finish: str | None = None
        self._said = ""
        self._blocked: str | None = None
        #: The provider's id of the request, as far as it is known.
        self.request_id = request_id(headers)

    def read(self, chunk: Any) -> ChatDelta | None:
        """Return what the next chunk adds, or None where that is nothing.

        :raises BackendError: the chunk is an error.
        """
        # Errors may come wrapped in a list; answers never do.
        first = chunk[0] if isinstance(chunk, list) else chunk
        if first.get("error"):
            raise explain_value(first, self._headers)
        self._note(chunk)
        candidates = chunk.get("candidates")
        return self._candidate(candidates[0]) if candidates else None

    def end(self) -> ChatDelta:
        """Return the last piece.

        :raises StreamInterrupted: the answer has no end.
        :raises BackendError: the answer's end is a failure.
        """
        return ChatDelta(
            finish_reason=self._reason(),
            raw_finish_reason=self._finish or self._blocked,
            usage=_usage(self._counts),
            model=self._model,
            request_id=self.request_id,
            provider_state=self._keeper.state(),
        )

    def _note(self, chunk: Mapping[str, Any]) -> None:
        self._model = self._model or name_of(chunk.get("modelVersion"))
        self.request_id = self.request_id or name_of(chunk.get("responseId"))
        # Each chunk counts from the beginning; some have a part of the counts only.
        for name, count in (chunk.get("usageMetadata") or {}).items():
            if name in _COUNTS and type(count) is int and count >= 0:
                self._counts[name] = count
            elif name in _DETAILS:
                self._counts.update(_kinds(name, count))
        blocked = name_of((chunk.get("promptFeedback") or {}).get("blockReason"))
        if blocked != "BLOCKED_REASON_UNSPECIFIED":
            self._blocked = self._blocked or blocked

    def _candidate(self, candidate: Mapping[str, Any]) -> ChatDelta | None:
        finish = name_of(candidate.get("finishReason"))
        if finish is not None and finish != "FINISH_REASON_UNSPECIFIED":
            self._finish = finish
            self._said = name_of(candidate.get("finishMessage")) or ""
        texts: dict[str, str] = {"text": "", "thought": ""}
        calls: list[ToolCallDelta] = []
        for part in (candidate.get("content") or {}).get("parts") or ():
            signature = name_of(part.get("thoughtSignature")) or ""
            if call := part.get("functionCall"):
                calls.append(self._call(call, signature))
            else:
                kind = "thought" if part.get("thought") else "text"
                text = name_of(part.get("text")) or ""
                texts[kind] += text
                self._keeper.add_text(kind, len(text), signature)
        logprobs = _logprobs(candidate.get("logprobsResult"))
        if not (texts["text"] or texts["thought"] or calls or logprobs):
            return None
        return self._delta(texts["text"], texts["thought"], tuple(calls), logprobs)

    def _delta(
        self,
        text: str,
        reasoning: str,
        calls: tuple[ToolCallDelta, ...],
        logprobs: tuple[TokenLogprob, ...],
    ) -> ChatDelta:
        if self._started:
            return ChatDelta(text, reasoning, calls, logprobs=logprobs)
        # The first one tells who answers, for answers that never reach their end.
        self._started = True
        return ChatDelta(
            text,
            reasoning,
            calls,
            model=self._model,
            request_id=self.request_id,
            logprobs=logprobs,
        )

    def _call(self, call: Mapping[str, Any], signature: str) -> ToolCallDelta:
        place, self._calls = self._calls, self._calls + 1
        name, given = name_of(call["name"]), name_of(call.get("id")) or ""
        arguments = call.get("args")
        if name is None or not isinstance(arguments, dict | None):
            raise TypeError("a call of a tool is a name and an object")
        self._keeper.add_call(given, signature)
        # Most models give their calls no ids; the made-up ones are always the same.
        return ToolCallDelta(place, given or f"call_{place}", name, _to_json(arguments or {}))

    def _reason(self) -> FinishReason:
        finish = self._finish
        if finish is None:
            if self._blocked is not None:
                return FinishReason.CONTENT_FILTER
            raise StreamInterrupted("the answer ended without its finish reason")
        if finish in _FAILURES:
            lacking = finish == "MISSING_THOUGHT_SIGNATURE"
            raise (BadRequestError if lacking else ServerError)(
                f"the model failed with the finish reason {finish}"
                + (f": {self._said[:500]}" if self._said else ""),
                code=finish,
            )
        usual = FinishReason.TOOL_CALLS if self._calls else FinishReason.STOP
        return _REASONS.get(finish, usual)


def read_cards(body: Any) -> Sequence[ModelCard]:
    """Return the models of a reply to the question which there are.

    :raises TypeError: it is no such reply.
    """
    found = body.get("publisherModels") or ()
    return [ModelCard(name=_short(name_of(model["name"]) or "")) for model in found]


def read_count(body: Any) -> int:
    """Return the tokens of a prompt out of a reply to ``:countTokens``.

    :raises ValueError: it is no such reply.
    """
    count = body.get("totalTokens", 0)  # protobuf's JSON leaves out a zero
    if type(count) is not int or count < 0 or not body:
        raise ValueError("there is no count")
    return count


def _short(name: str) -> str:
    """Return a model's name as one asks for it."""
    publisher, _, model = name.removeprefix("publishers/").partition("/models/")
    if not model:
        return name
    return model if publisher == "google" else f"{publisher}/{model}"


def _usage(counts: Mapping[str, int]) -> Usage | None:
    if not counts:
        return None
    prompt, used, cached, answer, thoughts = (counts.get(name, 0) for name in _COUNTS)
    seen, heard, drawn, spoken = (
        counts.get(f"{name}/{kind}", 0) for name in _DETAILS for kind in _KINDS
    )
    # Thoughts are counted beside the answer, and what Google's own tools found beside the prompt.
    return Usage(
        prompt + used,
        answer + thoughts,
        cached_input_tokens=min(cached, prompt + used),
        reasoning_tokens=thoughts,
        image_input_tokens=min(seen, prompt),
        audio_input_tokens=min(heard, prompt),
        image_output_tokens=min(drawn, answer),
        audio_output_tokens=min(spoken, answer),
    )


def _kinds(name: str, details: Any) -> Iterator[tuple[str, int]]:
    """Give the tokens of each kind of content that a list of details tells."""
    for detail in details if isinstance(details, list) else ():
        count = detail.get("tokenCount") if isinstance(detail, Mapping) else None
        if type(count) is int and count >= 0:
            yield f"{name}/{detail.get('modality')}", count


def _logprobs(result: Any) -> tuple[TokenLogprob, ...]:
    if not result:
        return ()
    chosen = result.get("chosenCandidates") or []
    tops = result.get("topCandidates") or []
    read = []
    for place, choice in enumerate(chosen):
        top = tops[place].get("candidates") or () if place < len(tops) else ()
        read.append(TokenLogprob(*_token(choice), tuple(map(_token, top))))
    return tuple(read)


def _token(candidate: Mapping[str, Any]) -> tuple[str, float]:
    logprob = candidate.get("logProbability", 0)  # protobuf's JSON leaves out a zero
    if type(logprob) not in {int, float}:
        raise TypeError("a log probability is a number")
    return name_of(candidate.get("token")) or "", float(logprob)


def _to_json(arguments: Mapping[str, Any]) -> str:
    return json.dumps(arguments, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
