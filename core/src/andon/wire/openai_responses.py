"""OpenAI's Responses, its newer protocol, without any state at the server unless it is wanted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from urllib.parse import quote, urlencode

from andon.chat import ChatDelta, ChatRequest
from andon.errors import BackendError, SettingsError
from andon.specs import BackendContext, ModelCard, ModelProfile
from andon.wire.dialect import Dialect, HTTPCall, HTTPReply, Query, StreamDecoder
from andon.wire.json_values import SHAPE_ERRORS, read_json, to_json
from andon.wire.openai_encode import UNKNOWN
from andon.wire.openai_errors import explain
from andon.wire.openai_models import models_query
from andon.wire.openai_responses_decode import check_response, read_response
from andon.wire.openai_responses_encode import count_query, response_body
from andon.wire.openai_responses_stream import ResponsesStreamDecoder
from andon.wire.problems import malformed, request_id
from andon.wire.resumable import is_resumable

__all__ = ["SUMMARY_OPTION", "OpenAIResponses", "ResponsesStreamDecoder", "responses_dialect"]

#: The setting that says how much of a model's thoughts to tell.
SUMMARY_OPTION = "reasoning_summary"
_SUMMARIES = ("auto", "concise", "detailed")

_HEADERS = {"content-type": "application/json", "accept": "application/json"}


class OpenAIResponses(Dialect):
    """The dialect: chats at ``/responses``. Nothing is stored there, but for streams to resume.

    :param headers: further headers of every call, names in lower case.
    :param summary: how much of a model's thoughts to tell: ``"auto"``, ``"concise"``,
        ``"detailed"``, or None for nothing.
    :param resumable: whether streams come from responses in the background, which are stored
        there and outlive their connection, for :meth:`reconnect`.
    """

    def __init__(
        self,
        headers: Mapping[str, str] = MappingProxyType({}),
        summary: str | None = None,
        *,
        resumable: bool = False,
    ) -> None:
        self._headers = {**_HEADERS, **headers}
        self._summary = summary
        self._resumable = resumable

    def encode(self, request: ChatRequest, profile: ModelProfile = UNKNOWN) -> HTTPCall:
        """Return the call that asks for an answer.

        :raises UnsupportedParameterError: the protocol cannot say what is asked.
        :raises InvalidRequestError: the request cannot be written as JSON.
        """
        body = response_body(request, profile, self._summary)
        if not (self._resumable and request.stream):
            return HTTPCall(path="/responses", body=to_json(body), headers=self._headers)
        include = tuple(body.get("include", ()))
        body |= {"background": True, "store": True}
        # Nobody but us would stop the first one, were it asked for twice.
        return HTTPCall(
            path="/responses",
            body=to_json(body),
            headers=self._headers,
            repeatable=False,
            decoder=lambda headers: ResponsesStreamDecoder(headers, include),
        )

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

    def reconnect(self, decoder: StreamDecoder) -> HTTPCall | None:
        """Return the call that goes on with a stream whose connection broke, or None.

        It asks for the events after the last one that has come.
        """
        if not (self._resumable and isinstance(decoder, ResponsesStreamDecoder)):
            return None
        if decoder.response is None or decoder.number is None:
            return None
        path = f"/responses/{quote(decoder.response, safe='')}"
        query = [("include[]", name) for name in decoder.include]
        query += [("starting_after", str(decoder.number)), ("stream", "true")]
        return HTTPCall(
            path=f"{path}?{urlencode(query)}",
            method="GET",
            headers=self._headers,
            undo=HTTPCall(path=f"{path}/cancel", headers=self._headers),
            decoder=lambda headers: decoder.rejoined(),
        )

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
        return OpenAIResponses(headers(context), summary, resumable=is_resumable(context))

    return create
