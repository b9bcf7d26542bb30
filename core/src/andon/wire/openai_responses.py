"""OpenAI's Responses, its newer protocol, without any state at the server."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from andon.chat import ChatDelta, ChatRequest
from andon.errors import BackendError, SettingsError
from andon.specs import BackendContext, ModelCard, ModelProfile
from andon.wire.dialect import Dialect, HTTPCall, HTTPReply, Query
from andon.wire.json_values import SHAPE_ERRORS, read_json, to_json
from andon.wire.openai_encode import UNKNOWN
from andon.wire.openai_errors import explain
from andon.wire.openai_models import models_query
from andon.wire.openai_responses_decode import check_response, read_response
from andon.wire.openai_responses_encode import count_query, response_body
from andon.wire.openai_responses_stream import ResponsesStreamDecoder
from andon.wire.problems import malformed, request_id

__all__ = ["SUMMARY_OPTION", "OpenAIResponses", "ResponsesStreamDecoder", "responses_dialect"]

#: The setting that says how much of a model's thoughts to tell.
SUMMARY_OPTION = "reasoning_summary"
_SUMMARIES = ("auto", "concise", "detailed")

_HEADERS = {"content-type": "application/json", "accept": "application/json"}


class OpenAIResponses(Dialect):
    """The dialect: chats at ``/responses``. Nothing is stored there.

    :param headers: further headers of every call, names in lower case.
    :param summary: how much of a model's thoughts to tell: ``"auto"``, ``"concise"``,
        ``"detailed"``, or None for nothing.
    """

    def __init__(
        self,
        headers: Mapping[str, str] = MappingProxyType({}),
        summary: str | None = None,
    ) -> None:
        self._headers = {**_HEADERS, **headers}
        self._summary = summary

    def encode(self, request: ChatRequest, profile: ModelProfile = UNKNOWN) -> HTTPCall:
        """Return the call that asks for an answer.

        :raises UnsupportedParameterError: the protocol cannot say what is asked.
        :raises InvalidRequestError: the request cannot be written as JSON.
        """
        body = to_json(response_body(request, profile, self._summary))
        return HTTPCall(path="/responses", body=body, headers=self._headers)

    def decode(self, reply: HTTPReply) -> Sequence[ChatDelta]:
        """Return a whole answer, as one delta.

        :raises BackendError: the reply is no answer.
        """
        identifier = request_id(reply.headers)
        try:
            delta = read_response(check_response(read_json(reply.body)), reply.headers)
        except SHAPE_ERRORS as error:
            raise malformed("response", reply.body) from error
        except ValueError:
            raise malformed("JSON", reply.body) from None
        except BackendError as error:
            error.request_id = error.request_id or identifier
            raise
        return (replace(delta, request_id=identifier or delta.request_id),)

    def decoder(self, headers: Mapping[str, str]) -> ResponsesStreamDecoder:
        """Return what reads a stream that came with these headers."""
        return ResponsesStreamDecoder(headers)

    def explain(self, reply: HTTPReply) -> BackendError:
        """Return the error that a reply stands for: the provider's message, code and request id."""
        return explain(reply)

    def list_models(self) -> Query[Sequence[ModelCard]] | None:
        """Return how to ask which models there are."""
        return models_query(self._headers)

    def count_tokens(
        self, request: ChatRequest, profile: ModelProfile = UNKNOWN
    ) -> Query[int] | None:
        """Return how to ask for the tokens of a request's prompt, or None for a raw one."""
        if request.prompt is not None:
            return None
        return count_query(request, profile, self._headers)


def responses_dialect(
    headers: Callable[[BackendContext], Mapping[str, str]] = lambda context: {},
) -> Callable[[BackendContext], OpenAIResponses]:
    """Return what makes the dialect for a backend.

    :param headers: finds further headers of every call in the backend's settings.
    """

    def create(context: BackendContext) -> OpenAIResponses:
        summary = context.options.get(SUMMARY_OPTION)
        if summary not in (None, *_SUMMARIES):
            known = ", ".join(f'"{word}"' for word in _SUMMARIES)
            raise SettingsError(f"{SUMMARY_OPTION} must be one of {known}, not {summary!r}")
        return OpenAIResponses(headers(context), summary)

    return create
