"""Text Generation Inference's own ``/generate``: raw prompts, rendered here. Pure functions.

The source is the router of text-generation-inference 3.3 (``router/src/server.rs``, ``lib.rs``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from andon.chat import ChatDelta, ChatRequest, TokenLogprob, Usage
from andon.errors import BackendError, StreamInterrupted
from andon.specs import BackendContext, ModelProfile
from andon.wire.answer_text import reading_text
from andon.wire.completions import Completions, read_reply
from andon.wire.dialect import HTTPCall, HTTPReply
from andon.wire.json_values import SHAPE_ERRORS, name_of, to_json
from andon.wire.openai_decode import count_of, read_finish, text_of
from andon.wire.openai_encode import UNKNOWN, refuse_unsupported
from andon.wire.openai_errors import explain_event
from andon.wire.openai_events import OpenAIEventDecoder
from andon.wire.openai_quirks import Quirks
from andon.wire.problems import malformed, request_id
from andon.wire.prompt_rendering import PromptRenderer, calls_in_text


class TGIGenerate(Completions):
    """The dialect. Questions besides the answer are those of the same server's other protocol."""

    def encode(self, request: ChatRequest, profile: ModelProfile = UNKNOWN) -> HTTPCall:
        """Return the call that asks for an answer.

        :raises UnsupportedParameterError: the server or the template cannot do what is asked.
        :raises TemplateError: the chat template cannot express the messages.
        :raises SettingsError: nobody knows the model's chat template.
        """
        raw = self._renderer.to_raw(request)
        refuse_unsupported(raw, self._quirks)
        logprobs = request.top_logprobs is not None
        call = HTTPCall(
            path="/generate_stream" if raw.stream else "/generate",
            body=to_json({"inputs": raw.prompt, "parameters": _parameters(raw)}),
            headers=self._headers,
            at_root=True,
            decoder=lambda headers: TGIStreamDecoder(headers, logprobs=logprobs),
            reader=lambda reply: self._read(reply, logprobs),
        )
        # The server leaves the stop text at the end of the answer.
        return reading_text(call, self, stop=raw.sampling.stop, calls=calls_in_text(request))

    def decode(self, reply: HTTPReply) -> Sequence[ChatDelta]:
        """Return a whole answer, as one delta.

        :raises BackendError: the reply is no answer.
        """
        return self._read(reply, True)

    def _read(self, reply: HTTPReply, logprobs: bool) -> Sequence[ChatDelta]:
        body = read_reply(reply)
        try:
            # The route for hosted models gives a list.
            delta = _answer(body[0] if isinstance(body, list) else body, reply.headers)
        except SHAPE_ERRORS as error:
            raise malformed("answer", reply.body) from error
        except BackendError as error:
            error.request_id = request_id(reply.headers)
            raise
        return (delta if logprobs else replace(delta, logprobs=()),)

    def decoder(self, headers: Mapping[str, str]) -> TGIStreamDecoder:  # type: ignore[override]
        """Return what reads a stream that came with these headers."""
        return TGIStreamDecoder(headers)


class TGIStreamDecoder(OpenAIEventDecoder):
    """Reads one stream, which ends with the event that has the whole text, without ``[DONE]``.

    :param headers: the headers that the stream came with.
    :param logprobs: whether the request asked for log probabilities; they come anyway.
    """

    def __init__(self, headers: Mapping[str, str], *, logprobs: bool = True) -> None:
        super().__init__(headers)
        self._logprobs = logprobs

    def _chunk(self, chunk: dict[str, Any], deltas: list[ChatDelta]) -> None:
        if chunk.get("error"):
            raise explain_event(chunk, self._headers)
        token = chunk["token"]
        if not token.get("special"):
            rows = _logprob(token, chunk.get("top_tokens") or ()) if self._logprobs else ()
            self._give(deltas, text_of(token["text"]), logprobs=rows)
        if chunk.get("generated_text") is not None:
            self._end(chunk.get("details") or {}, deltas)

    def _end(self, details: Mapping[str, Any], deltas: list[ChatDelta]) -> None:
        usage = None
        if "input_length" in details:
            usage = Usage(count_of(details, "input_length"), count_of(details, "generated_tokens"))
        raw = name_of(details.get("finish_reason"))
        reason = read_finish(raw, calls=False, refused=False)
        deltas.append(
            ChatDelta(finish_reason=reason, raw_finish_reason=raw, usage=usage, request_id=self._id)
        )
        self.done = True

    def _broken_off(self, deltas: list[ChatDelta]) -> None:
        raise StreamInterrupted("the stream ended without its last event")


def _parameters(request: ChatRequest) -> dict[str, Any]:
    sampling, form = request.sampling, request.response_format
    greedy = sampling.temperature == 0
    schema = None if form.kind == "text" else form.schema or {"type": "object"}
    parameters = {
        "max_new_tokens": sampling.max_tokens,
        # A temperature of 0 is an error; without sampling the likeliest token is taken.
        "do_sample": None if sampling.temperature is None else not greedy,
        "temperature": None if greedy else sampling.temperature,
        # So is a top_p of 1.
        "top_p": None if sampling.top_p == 1 else sampling.top_p,
        "seed": sampling.seed,
        "stop": list(sampling.stop) or None,
        "grammar": None if schema is None else {"type": "json", "value": schema},
        "top_n_tokens": request.top_logprobs or None,
        # Without them neither usage nor finish reason is told.
        "details": True,
    }
    return {name: value for name, value in parameters.items() if value is not None}


def _answer(body: Mapping[str, Any], headers: Mapping[str, str]) -> ChatDelta:
    details = body.get("details") or {}
    raw = name_of(details.get("finish_reason"))
    return ChatDelta(
        text=_text(body["generated_text"]),
        finish_reason=read_finish(raw, calls=False, refused=False),
        raw_finish_reason=raw,
        usage=_usage(details, headers),
        request_id=request_id(headers),
        logprobs=_logprobs(details),
    )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("the generated text is no text")
    return value


def _usage(details: Mapping[str, Any], headers: Mapping[str, str]) -> Usage | None:
    # The prompt's tokens stand in a header alone.
    prompt = headers.get("x-prompt-tokens", "")
    if not (prompt.isascii() and prompt.isdigit() and len(prompt) < 16):
        return None
    return Usage(int(prompt), count_of(details, "generated_tokens"))


def _logprobs(details: Mapping[str, Any]) -> tuple[TokenLogprob, ...]:
    tokens: Sequence[Any] = details.get("tokens") or ()
    tops: Sequence[Any] = details.get("top_tokens") or [()] * len(tokens)
    rows = zip(tokens, tops, strict=False)
    return tuple(
        row for token, top in rows if not token.get("special") for row in _logprob(token, top)
    )


def _logprob(token: Mapping[str, Any], top: Sequence[Any]) -> tuple[TokenLogprob, ...]:
    if token.get("logprob") is None:
        return ()
    ranked = sorted(((str(t["text"]), float(t["logprob"])) for t in top), key=lambda row: -row[1])
    return (TokenLogprob(str(token["text"]), float(token["logprob"]), tuple(ranked)),)


def tgi_dialect(quirks: Quirks) -> Callable[[BackendContext], TGIGenerate]:
    """Return what makes the dialect for a backend.

    :param quirks: what the server does in its own way.
    """
    return lambda context: TGIGenerate(PromptRenderer.from_context(context), quirks)
