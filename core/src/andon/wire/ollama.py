"""Ollama's own protocol: chats at ``/api/chat``, raw prompts at ``/api/generate``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from andon.chat import ChatDelta, ChatRequest
from andon.errors import (
    BackendError,
    PrivacyViolation,
    SettingsError,
)
from andon.specs import BackendContext, ModelCard, ModelProfile
from andon.wire.dialect import Dialect, HTTPCall, HTTPReply, Query
from andon.wire.json_values import read_json, to_json
from andon.wire.ollama_decode import (
    BAD_SHAPE,
    OllamaStreamDecoder,
    read_answer,
    read_cards,
    read_version,
    remote_host,
)
from andon.wire.ollama_encode import (
    OllamaOptions,
    chat_body,
    continuation_body,
    prompt_body,
    rendering_body,
)
from andon.wire.ollama_errors import explain, is_error
from andon.wire.problems import json_of, malformed

__all__ = ["OllamaChat", "OllamaOptions", "OllamaStreamDecoder", "is_cloud", "ollama_dialect"]

#: A model of which nothing is known.
UNKNOWN = ModelProfile()

_HEADERS = {"content-type": "application/json", "accept": "application/json, application/x-ndjson"}

#: How the server tells the models that it sends on: their tag is ``cloud``, or ends so
#: (``internal/modelref`` of ollama/ollama, 2026-08-21).
_CLOUD = re.compile(r":([^/:]*-)?cloud$", re.IGNORECASE)


class OllamaChat(Dialect):
    """The dialect.

    :param options: what goes with every request.
    :param local_only: whether a model that the server only relays to must be refused. Its name
        need not tell, so the server is asked for every request, before it is sent the prompt.
    """

    def __init__(self, options: OllamaOptions | None = None, *, local_only: bool = False) -> None:
        self._options = options or OllamaOptions()
        self._local_only = local_only

    def encode(self, request: ChatRequest, profile: ModelProfile = UNKNOWN) -> HTTPCall:
        """Return the call that asks for an answer.

        :raises UnsupportedParameterError: the protocol cannot say what is asked.
        :raises InvalidRequestError: the request cannot be written as JSON.
        :raises PrivacyViolation: the model is not on this machine, and nothing may leave it.
        """
        call = self._call(request)
        if not self._local_only:
            return call
        if is_cloud(request.model):
            raise _relayed(request.model, "another host")
        return _post("/api/show", {"model": request.model})

    def follow_up(self, request: ChatRequest, reply: HTTPReply) -> HTTPCall | None:
        """Return the request itself once the server has told what had to be known before.

        :raises PrivacyViolation: the model is not on this machine, and nothing may leave it.
        :raises BackendError: the server does not tell how it writes a chat.
        """
        if not (self._local_only or request.continue_final_message):
            return None
        told = read_json(reply.body)
        if not isinstance(told, dict) or is_error(told):
            return None
        # No answer has these, and what tells of a model has both.
        if self._local_only and "model_info" in told and "details" in told:
            if host := remote_host(told):
                raise _relayed(request.model, host)
            return self._call(request)
        # The continuation itself has a response, be it an empty one.
        if request.continue_final_message and "response" not in told:
            body = continuation_body(request, _rendered(told), self._options)
            return _post("/api/generate", body)
        return None

    def decode(self, reply: HTTPReply) -> Sequence[ChatDelta]:
        """Return a whole answer, as one delta.

        :raises BackendError: the reply is no answer.
        """
        body = json_of(reply)
        if is_error(body):
            raise explain(reply)
        try:
            return (read_answer(body, reply.headers),)
        except BAD_SHAPE as error:
            raise malformed("answer", reply.body) from error

    def decoder(self, headers: Mapping[str, str]) -> OllamaStreamDecoder:
        """Return what reads a stream that came with these headers."""
        return OllamaStreamDecoder(headers)

    def explain(self, reply: HTTPReply) -> BackendError:
        """Return the error that a reply stands for: the server's own message."""
        return explain(reply)

    def list_models(self) -> Query[Sequence[ModelCard]]:
        """Return how to ask which models the server has."""
        return Query(HTTPCall(path="/api/tags", method="GET", headers=_HEADERS), read_cards)

    def health(self) -> Query[None]:
        """Return how to ask whether the server is there."""
        return Query(HTTPCall(path="/api/version", method="GET", headers=_HEADERS), read_version)

    def _call(self, request: ChatRequest) -> HTTPCall:
        if request.prompt is not None:
            return _post("/api/generate", prompt_body(request, request.prompt, self._options))
        if request.continue_final_message:
            # Only some models continue a last message themselves, and the server does not say
            # which; so it writes the chat, and the answer's beginning is added to that here.
            return _post("/api/chat", rendering_body(request, self._options))
        return _post("/api/chat", chat_body(request, self._options))


def ollama_dialect(context: BackendContext) -> OllamaChat:
    """Return the dialect for a backend.

    :param context: its settings: ``num_ctx`` (tokens) and ``keep_alive`` (seconds, or a text
        like ``5m``), both as texts.
    :raises SettingsError: a setting is wrong.
    """
    options = OllamaOptions(
        num_ctx=_num_ctx(context.options.get("num_ctx")),
        keep_alive=_keep_alive(context.options.get("keep_alive")),
    )
    return OllamaChat(options, local_only=context.no_relay)


def is_cloud(model: str) -> bool:
    """Return whether a model's name says that the server sends its requests on to a cloud."""
    return _CLOUD.search(model.strip()) is not None


def _post(path: str, body: Mapping[str, Any]) -> HTTPCall:
    return HTTPCall(path=path, body=to_json(body), headers=_HEADERS)


def _rendered(told: Mapping[str, Any]) -> str:
    info = told.get("_debug_info")
    rendered = info.get("rendered_template") if isinstance(info, Mapping) else None
    if not isinstance(rendered, str):
        raise BackendError(
            "the server does not tell how it writes a chat, which continue_final_message needs: "
            "that takes Ollama 0.11.5 or later, and a model that runs there"
        )
    return rendered


def _relayed(model: str, host: str) -> PrivacyViolation:
    return PrivacyViolation(
        f"Ollama does not run {model!r} itself but sends its requests on to {host}, which the "
        "privacy tier forbids; take a model that was pulled to this machine"
    )


def _num_ctx(value: object) -> int | None:
    if value is None:
        return None
    if not (isinstance(value, str) and re.fullmatch(r"[1-9]\d{0,9}", value, re.ASCII)):
        raise SettingsError(
            f'num_ctx of the Ollama backend must be a number of tokens as a text, like "8192", '
            f"not {value!r:.40}"
        )
    return int(value)


def _keep_alive(value: object) -> float | str | None:
    if value is None:
        return None
    if isinstance(value, str):
        text = value.strip()
        # The server takes a number without a unit only as a number.
        if re.fullmatch(r"-?\d{1,15}(\.\d{1,9})?", text, re.ASCII):
            return float(text) if "." in text else int(text)
        if re.fullmatch(r"-?(\d{1,15}(\.\d{1,9})?(ns|us|µs|ms|s|m|h))+", text, re.ASCII):
            return text
    raise SettingsError(
        'keep_alive of the Ollama backend must be seconds or a time as a text, like "300", "5m" '
        f'or "-1" (for ever), not {value!r:.40}'
    )
