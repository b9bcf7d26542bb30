"""OpenAI's Chat Completions, the protocol that most servers speak, each with its quirks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from andon.chat import ChatDelta, ChatRequest
from andon.errors import BackendError
from andon.specs import BackendContext, ModelProfile
from andon.wire.dialect import Dialect, HTTPCall, HTTPReply
from andon.wire.openai_decode import SHAPE_ERRORS, read_json, read_message
from andon.wire.openai_encode import chat_body, prompt_body, to_json
from andon.wire.openai_errors import explain
from andon.wire.openai_quirks import OPENAI, Quirks
from andon.wire.openai_stream import OpenAIStreamDecoder
from andon.wire.problems import malformed, request_id

__all__ = ["OPENAI", "OpenAIChat", "OpenAIStreamDecoder", "Quirks", "openai_dialect"]

#: A model of which nothing is known.
UNKNOWN = ModelProfile()

_HEADERS = {"content-type": "application/json", "accept": "application/json"}


class OpenAIChat(Dialect):
    """The dialect: chats at ``/chat/completions``, raw prompts at ``/completions``.

    :param quirks: what the server does in its own way.
    """

    def __init__(self, quirks: Quirks = OPENAI) -> None:
        self._quirks = quirks

    def encode(self, request: ChatRequest, profile: ModelProfile = UNKNOWN) -> HTTPCall:
        """Return the call that asks for an answer.

        :raises UnsupportedParameterError: the server cannot do what is asked.
        :raises InvalidRequestError: the request cannot be written as JSON.
        """
        if request.prompt is not None:
            path, body = "/completions", prompt_body(request, self._quirks)
        else:
            path, body = "/chat/completions", chat_body(request, self._quirks)
        return HTTPCall(path=path, body=to_json(body), headers=_HEADERS)

    def decode(self, reply: HTTPReply) -> Sequence[ChatDelta]:
        """Return a whole answer, as one delta.

        :raises BackendError: the reply is no answer.
        """
        try:
            body = read_json(reply.body)
        except ValueError:
            raise malformed("JSON", reply.body) from None
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


def openai_dialect(quirks: Quirks = OPENAI) -> Callable[[BackendContext], OpenAIChat]:
    """Return what makes the dialect for a backend.

    :param quirks: what the server does in its own way.
    """
    return lambda context: OpenAIChat(quirks)
