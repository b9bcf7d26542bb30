"""llama.cpp's own ``/completion``: raw prompts, rendered here. Pure functions.

The source is ``tools/server/README.md`` of llama.cpp, and its server of October 2026.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from andon.chat import ChatDelta, ChatRequest, FinishReason, TokenLogprob, Usage
from andon.errors import BackendError, StreamInterrupted
from andon.specs import BackendContext, ModelProfile
from andon.wire.answer_text import reading_text
from andon.wire.completions import Completions, read_reply
from andon.wire.dialect import HTTPCall, HTTPReply
from andon.wire.json_values import SHAPE_ERRORS, name_of, to_json
from andon.wire.openai_decode import count_of, text_of
from andon.wire.openai_encode import UNKNOWN, refuse_unsupported
from andon.wire.openai_errors import explain_event
from andon.wire.openai_events import OpenAIEventDecoder
from andon.wire.openai_logprobs import read_rows
from andon.wire.openai_quirks import Quirks
from andon.wire.problems import malformed, request_id
from andon.wire.prompt_rendering import PromptRenderer, calls_in_text
from andon.wire.resumable import is_resumable

#: Why it stopped: an end of generation or a stop text, or its room was used up.
_REASONS = {"limit": FinishReason.LENGTH}


class LlamaServerCompletion(Completions):
    """The dialect. Questions besides the answer are those of the same server's other protocol."""

    def encode(self, request: ChatRequest, profile: ModelProfile = UNKNOWN) -> HTTPCall:
        """Return the call that asks for an answer.

        :raises UnsupportedParameterError: the server or the template cannot do what is asked.
        :raises TemplateError: the chat template cannot express the messages.
        :raises SettingsError: nobody knows the model's chat template.
        """
        raw = self._renderer.to_raw(request)
        refuse_unsupported(raw, self._quirks)
        call = HTTPCall(
            path="/completion", body=to_json(_body(raw)), headers=self._headers, at_root=True
        )
        return self._kept(request, reading_text(call, self, calls=calls_in_text(request)))

    def decode(self, reply: HTTPReply) -> Sequence[ChatDelta]:
        """Return a whole answer, as one delta.

        :raises BackendError: the reply is no answer.
        """
        body = read_reply(reply)
        identifier = request_id(reply.headers)
        try:
            if body["stop"] is not True:
                raise KeyError("stop")
            return (_last(body, text_of(body["content"]), identifier),)
        except SHAPE_ERRORS as error:
            raise malformed("answer", reply.body) from error
        except BackendError as error:
            error.request_id = identifier
            raise

    def decoder(self, headers: Mapping[str, str]) -> LlamaServerStreamDecoder:  # type: ignore[override]
        """Return what reads a stream that came with these headers."""
        return LlamaServerStreamDecoder(headers)


class LlamaServerStreamDecoder(OpenAIEventDecoder):
    """Reads one stream, which ends with the event that says ``stop``, without ``[DONE]``."""

    def _chunk(self, chunk: dict[str, Any], deltas: list[ChatDelta]) -> None:
        if chunk.get("error"):
            raise explain_event(chunk, self._headers)
        text = text_of(chunk["content"])
        if chunk.get("stop") is True:
            deltas.append(_last(chunk, text, self._id))
            self.done = True
        else:
            self._give(deltas, text, logprobs=_logprobs(chunk))

    def _broken_off(self, deltas: list[ChatDelta]) -> None:
        raise StreamInterrupted("the stream ended without its last event")


def _body(request: ChatRequest) -> dict[str, Any]:
    sampling, form = request.sampling, request.response_format
    asked = request.top_logprobs
    body = {
        "model": request.model,
        "prompt": request.prompt,
        "n_predict": sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "seed": sampling.seed,
        "stop": list(sampling.stop) or None,
        "json_schema": None if form.kind == "text" else form.schema or {"type": "object"},
        # The number is the switch as well.
        "n_probs": None if asked is None else max(1, asked),
        "stream": request.stream or None,
    }
    return {name: value for name, value in body.items() if value is not None}


def _last(body: Mapping[str, Any], text: str, identifier: str | None) -> ChatDelta:
    kind = name_of(body.get("stop_type"))
    return ChatDelta(
        text=text,
        finish_reason=_REASONS.get(kind or "", FinishReason.STOP),
        raw_finish_reason=kind,
        usage=_usage(body),
        model=name_of(body.get("model")),
        request_id=identifier,
        logprobs=_logprobs(body),
    )


def _usage(body: Mapping[str, Any]) -> Usage | None:
    if "tokens_evaluated" not in body:
        return None
    inputs = count_of(body, "tokens_evaluated")
    # tokens_cached counts what the cache holds now, the answer included.
    cached = count_of(body.get("timings") or {}, "cache_n")
    return Usage(inputs, count_of(body, "tokens_predicted"), min(cached, inputs))


def _logprobs(body: Mapping[str, Any]) -> tuple[TokenLogprob, ...]:
    rows = body.get("completion_probabilities") or ()
    # The token that ends the answer has no text.
    return read_rows(row for row in rows if row.get("bytes") != [])


def llama_server_dialect(quirks: Quirks) -> Callable[[BackendContext], LlamaServerCompletion]:
    """Return what makes the dialect for a backend.

    :param quirks: what the server does in its own way.
    """
    return lambda context: LlamaServerCompletion(
        PromptRenderer.from_context(context), quirks, resumable=is_resumable(context)
    )
