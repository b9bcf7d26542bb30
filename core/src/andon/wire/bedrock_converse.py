"""Amazon Bedrock's Converse, one protocol for the models of many makers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from andon.chat import ChatDelta, ChatRequest
from andon.errors import BackendError
from andon.specs import BackendContext, ModelProfile
from andon.wire.bedrock_decode import read_answer, read_count
from andon.wire.bedrock_encode import converse_body, count_body, model_path
from andon.wire.bedrock_errors import explain, explain_stop, is_error
from andon.wire.bedrock_stream import BedrockStreamDecoder
from andon.wire.dialect import Dialect, HTTPCall, HTTPReply, Query
from andon.wire.json_values import SHAPE_ERRORS, read_json, to_json
from andon.wire.problems import json_of, malformed, request_id

__all__ = ["BedrockConverse", "BedrockStreamDecoder", "bedrock_dialect"]

#: A model of which nothing is known.
UNKNOWN = ModelProfile()

_HEADERS = {"content-type": "application/json"}


class BedrockConverse(Dialect):
    """The dialect: chats at ``/model/…/converse`` and ``/converse-stream`` of a runtime endpoint.

    Which models there are is told by another service, at another host, and health by none.
    """

    def encode(self, request: ChatRequest, profile: ModelProfile = UNKNOWN) -> HTTPCall:
        """Return the call that asks for an answer.

        :raises UnsupportedParameterError: the protocol cannot say what is asked.
        :raises InvalidRequestError: the request cannot be read, or not be written as JSON.
        """
        path = model_path(request.model, "converse-stream" if request.stream else "converse")
        body = to_json(converse_body(request, profile))
        return HTTPCall(path=path, body=body, headers=_HEADERS)

    def decode(self, reply: HTTPReply) -> Sequence[ChatDelta]:
        """Return a whole answer, as one delta.

        :raises BackendError: the reply is no answer.
        """
        body = json_of(reply)
        if is_error(body):
            raise explain(reply)
        try:
            delta = read_answer(body, request_id(reply.headers))
        except (*SHAPE_ERRORS, RecursionError, ValueError) as error:
            raise malformed("answer", reply.body) from error
        unusable = explain_stop(delta.raw_finish_reason or "", reply.headers)
        if unusable is not None:
            raise unusable
        return (delta,)

    def decoder(self, headers: Mapping[str, str]) -> BedrockStreamDecoder:
        """Return what reads a stream that came with these headers."""
        return BedrockStreamDecoder(headers)

    def explain(self, reply: HTTPReply) -> BackendError:
        """Return the error that a reply stands for: the provider's message, code and request id."""
        return explain(reply)

    def count_tokens(self, request: ChatRequest, profile: ModelProfile = UNKNOWN) -> Query[int]:
        """Return how to ask for the tokens of a request's prompt, which some models can tell.

        :raises UnsupportedParameterError: the protocol cannot say what is asked.
        """
        path = model_path(request.model, "count-tokens")
        call = HTTPCall(path=path, body=to_json(count_body(request, profile)), headers=_HEADERS)
        return Query(call, lambda reply: read_count(read_json(reply.body)))


def bedrock_dialect(context: BackendContext) -> BedrockConverse:
    """Return the dialect for a backend."""
    return BedrockConverse()
