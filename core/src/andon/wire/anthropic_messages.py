"""Anthropic's Messages, the protocol of the Claude models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from andon.chat import ChatDelta, ChatRequest
from andon.errors import BackendError
from andon.specs import BackendContext, ModelCard, ModelProfile
from andon.wire.anthropic_decode import read_cards, read_count, read_message
from andon.wire.anthropic_encode import LATEST, count_body, message_body, version_for
from andon.wire.anthropic_errors import explain, is_error
from andon.wire.anthropic_stream import AnthropicStreamDecoder
from andon.wire.dialect import Dialect, HTTPCall, HTTPReply, Query
from andon.wire.json_values import SHAPE_ERRORS, read_json, to_json
from andon.wire.problems import json_of, malformed, request_id

__all__ = ["AnthropicMessages", "AnthropicStreamDecoder", "anthropic_dialect"]

#: A model of which nothing is known.
UNKNOWN = ModelProfile()

#: The largest page of models; there are a few dozen.
_MODELS = "/v1/models?limit=1000"


class AnthropicMessages(Dialect):
    """The dialect: chats at ``/v1/messages`` of a base URL without a path, as in Anthropic's SDK.

    Its version is that of Anthropic's SDK, unless the request sets ``temperature`` or ``top_p``:
    only the version before still has them.
    """

    def encode(self, request: ChatRequest, profile: ModelProfile = UNKNOWN) -> HTTPCall:
        """Return the call that asks for an answer.

        :raises UnsupportedParameterError: the protocol cannot say what is asked.
        :raises InvalidRequestError: the request cannot be written as JSON.
        """
        body = to_json(message_body(request, profile))
        return HTTPCall(path="/v1/messages", body=body, headers=_headers(version_for(request)))

    def decode(self, reply: HTTPReply) -> Sequence[ChatDelta]:
        """Return a whole answer, as one delta.

        :raises BackendError: the reply is no answer.
        """
        body = json_of(reply)
        if is_error(body):
            raise explain(reply)
        try:
            return (read_message(body, request_id(reply.headers)),)
        except (*SHAPE_ERRORS, RecursionError) as error:
            raise malformed("answer", reply.body) from error

    def decoder(self, headers: Mapping[str, str]) -> AnthropicStreamDecoder:
        """Return what reads a stream that came with these headers."""
        return AnthropicStreamDecoder(headers)

    def explain(self, reply: HTTPReply) -> BackendError:
        """Return the error that a reply stands for: the provider's message, code and request id."""
        return explain(reply)

    def list_models(self) -> Query[Sequence[ModelCard]]:
        """Return how to ask which models there are."""
        call = HTTPCall(path=_MODELS, method="GET", headers=_headers(LATEST))
        return Query(call, lambda reply: read_cards(read_json(reply.body)))

    def count_tokens(self, request: ChatRequest, profile: ModelProfile = UNKNOWN) -> Query[int]:
        """Return how to ask for the tokens of a request's prompt.

        :raises UnsupportedParameterError: the protocol cannot say what is asked.
        """
        body = to_json(count_body(request, profile))
        call = HTTPCall(path="/v1/messages/count_tokens", body=body, headers=_headers(LATEST))
        return Query(call, lambda reply: read_count(read_json(reply.body)))


def anthropic_dialect(context: BackendContext) -> AnthropicMessages:
    """Return the dialect for a backend."""
    return AnthropicMessages()


def _headers(version: str) -> Mapping[str, str]:
    return {
        "content-type": "application/json",
        "accept": "application/json",
        "anthropic-version": version,
    }
