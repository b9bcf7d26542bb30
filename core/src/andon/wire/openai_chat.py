"""OpenAI's Chat Completions, the protocol that most servers speak, each with its quirks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from andon.chat import ChatDelta, ChatRequest
from andon.errors import BackendError
from andon.specs import BackendContext, ModelCard, ModelProfile
from andon.wire.answer_text import reading_text, without_prefix
from andon.wire.dialect import Dialect, HTTPCall, HTTPReply, Query, StreamDecoder
from andon.wire.json_values import SHAPE_ERRORS, to_json
from andon.wire.openai_decode import read_message
from andon.wire.openai_encode import UNKNOWN, chat_body, prompt_body
from andon.wire.openai_errors import explain
from andon.wire.openai_models import models_query
from andon.wire.openai_quirks import OPENAI, Quirks
from andon.wire.openai_responses_encode import count_query
from andon.wire.openai_stream import OpenAIStreamDecoder
from andon.wire.problems import json_of, malformed, request_id
from andon.wire.resumable import is_resumable, kept, rejoin
from andon.wire.slot_questions import slots_question
from andon.wire.token_questions import token_question

__all__ = ["OPENAI", "OpenAIChat", "OpenAIStreamDecoder", "Quirks", "openai_dialect"]

_HEADERS = {"content-type": "application/json", "accept": "application/json"}


def _no_headers(context: BackendContext) -> Mapping[str, str]:
    return {}


class OpenAIChat(Dialect):
    """The dialect: chats at ``/chat/completions``, raw prompts at ``/completions``.

    :param quirks: what the server does in its own way.
    :param headers: further headers of every call, names in lower case.
    :param resumable: whether the server, a llama-server, is to keep streams for :meth:`reconnect`.
    """

    def __init__(
        self,
        quirks: Quirks = OPENAI,
        headers: Mapping[str, str] = MappingProxyType({}),
        *,
        resumable: bool = False,
    ) -> None:
        self._quirks = quirks
        self._headers = {**_HEADERS, **headers}
        self._resumable = resumable

    def encode(self, request: ChatRequest, profile: ModelProfile = UNKNOWN) -> HTTPCall:
        """Return the call that asks for an answer.

        :raises UnsupportedParameterError: the server cannot do what is asked.
        :raises InvalidRequestError: the request cannot be written as JSON.
        """
        if request.prompt is not None:
            call = self._call("/completions", prompt_body(request, self._quirks))
            if self._quirks.raw_below_v1:
                call = replace(call, path="/v1/completions", at_root=True)
        else:
            call = self._call("/chat/completions", chat_body(request, self._quirks, profile))
        if request.continue_final_message and self._quirks.prefix_echoed:
            prefix = request.messages[-1].text
            call = replace(call, reader=lambda reply: without_prefix(self.decode(reply), prefix))
        stop = request.sampling.stop if self._quirks.stop_echoed else ()
        return self._kept(request, reading_text(call, self, stop=stop))

    def _kept(self, request: ChatRequest, call: HTTPCall) -> HTTPCall:
        """Return the call, with its stream kept at the server where that is wanted."""
        if not (self._resumable and request.stream):
            return call
        return kept(call, call.decoder or self.decoder)

    def reconnect(self, decoder: StreamDecoder) -> HTTPCall | None:
        """Return the call that goes on with a stream whose connection broke, or None."""
        return rejoin(decoder, self._headers)

    def _call(self, path: str, body: Mapping[str, Any]) -> HTTPCall:
        return HTTPCall(path=path, body=to_json(body), headers=self._headers)

    def decode(self, reply: HTTPReply) -> Sequence[ChatDelta]:
        """Return a whole answer, as one delta.

        :raises BackendError: the reply is no answer.
        """
        body = json_of(reply)
        if isinstance(body, dict) and (body.get("error") or body.get("object") == "error"):
            raise explain(reply)
        identifier = request_id(reply.headers)
        try:
            return (read_message(body, identifier),)
        except SHAPE_ERRORS as error:
            raise malformed("answer", reply.body) from error
        except BackendError as error:
            error.request_id = identifier
            raise

    def decoder(self, headers: Mapping[str, str]) -> OpenAIStreamDecoder:
        """Return what reads a stream that came with these headers."""
        return OpenAIStreamDecoder(self._quirks, headers)

    def explain(self, reply: HTTPReply) -> BackendError:
        """Return the error that a reply stands for: the provider's message, code and request id."""
        return explain(reply)

    def list_models(self) -> Query[Sequence[ModelCard]] | None:
        """Return how to ask which models there are."""
        return models_query(self._headers)

    def health(self) -> Query[None] | None:
        """Return how to ask whether the server can serve, or None where one cannot."""
        path = self._quirks.health_path
        if path is None:
            return None
        call = HTTPCall(path=path, method="GET", headers=self._headers, at_root=True)
        return Query(call, lambda reply: None)

    def slots(self) -> Query[int | None] | None:
        """Return how to ask how many requests the server serves at a time, or None."""
        return slots_question(self._quirks.slots, self._headers)

    def count_tokens(
        self, request: ChatRequest, profile: ModelProfile = UNKNOWN
    ) -> Query[int] | None:
        """Return how to ask for the tokens of a request's prompt, or None where one cannot."""
        if self._quirks.counting is not None:
            return token_question(request, self._quirks, profile, self._headers)
        if not self._quirks.input_tokens or request.prompt is not None:
            return None
        return count_query(request, profile, self._headers)


def openai_dialect(
    quirks: Quirks = OPENAI, headers: Callable[[BackendContext], Mapping[str, str]] = _no_headers
) -> Callable[[BackendContext], OpenAIChat]:
    """Return what makes the dialect for a backend.

    :param quirks: what the server does in its own way.
    :param headers: finds further headers of every call in the backend's settings.
    """
    able = quirks.kept_streams is not None
    return lambda context: OpenAIChat(
        quirks, headers(context), resumable=is_resumable(context, able=able)
    )
