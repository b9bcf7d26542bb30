"""Gemini's generateContent, the protocol of Google's models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from andon.chat import ChatDelta, ChatRequest
from andon.errors import BackendError, StreamInterrupted
from andon.specs import ModelCard, ModelProfile
from andon.wire.dialect import Dialect, HTTPCall, HTTPReply, Query
from andon.wire.gemini_decode import UNREADABLE, AnswerReader, read_cards, read_count
from andon.wire.gemini_encode import count_body, generate_body
from andon.wire.gemini_errors import explain
from andon.wire.gemini_models import model_path
from andon.wire.gemini_stream import GeminiStreamDecoder
from andon.wire.json_values import read_json, to_json
from andon.wire.problems import json_of, malformed

__all__ = ["GeminiGenerateContent", "GeminiStreamDecoder"]

#: A model of which nothing is known.
UNKNOWN = ModelProfile()

_HEADERS = {"content-type": "application/json"}


class GeminiGenerateContent(Dialect):
    """The dialect, at a base URL that ends with the API's version.

    :param parent: what stands before a model's path, with its leading slash:
        ``/projects/…/locations/…``, or nothing where an API key says whose call it is.
    """

    def __init__(self, parent: str = "") -> None:
        self._parent = parent

    def encode(self, request: ChatRequest, profile: ModelProfile = UNKNOWN) -> HTTPCall:
        """Return the call that asks for an answer.

        :raises UnsupportedParameterError: the protocol cannot say what is asked.
        :raises InvalidRequestError: the request cannot be written as JSON.
        """
        method = "streamGenerateContent?alt=sse" if request.stream else "generateContent"
        body = to_json(generate_body(request))
        return HTTPCall(path=self._path(request.model, method), body=body, headers=_HEADERS)

    def decode(self, reply: HTTPReply) -> Sequence[ChatDelta]:
        """Return a whole answer: what it says, and how it ended.

        :raises BackendError: the reply is no answer.
        """
        body = json_of(reply)
        answer = AnswerReader(reply.headers)
        try:
            delta = answer.read(body)
            last = answer.end()
        except (*UNREADABLE, StreamInterrupted) as error:
            raise malformed("answer", reply.body) from error
        except BackendError as error:
            error.request_id = error.request_id or answer.request_id
            raise
        return (last,) if delta is None else (delta, last)

    def decoder(self, headers: Mapping[str, str]) -> GeminiStreamDecoder:
        """Return what reads a stream that came with these headers."""
        return GeminiStreamDecoder(headers)

    def explain(self, reply: HTTPReply) -> BackendError:
        """Return the error that a reply stands for: the provider's message, code and request id."""
        return explain(reply)

    def list_models(self) -> Query[Sequence[ModelCard]]:
        """Return how to ask which models of Google's there are, for whatever project."""
        call = HTTPCall(path="/publishers/google/models", method="GET", headers=_HEADERS)
        return Query(call, lambda reply: read_cards(read_json(reply.body)))

    def count_tokens(self, request: ChatRequest, profile: ModelProfile = UNKNOWN) -> Query[int]:
        """Return how to ask for the tokens of a request's prompt.

        :raises UnsupportedParameterError: the protocol cannot say what is asked.
        """
        path = self._path(request.model, "countTokens")
        call = HTTPCall(path=path, body=to_json(count_body(request)), headers=_HEADERS)
        return Query(call, lambda reply: read_count(read_json(reply.body)))

    def _path(self, model: str, method: str) -> str:
        path = model_path(model)
        parent = "" if path.startswith("projects/") else self._parent
        return f"{parent}/{path}:{method}"
