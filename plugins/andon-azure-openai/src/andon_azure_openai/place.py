"""Where the calls go: Azure's v1 API, or the older one with a path for every deployment."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar
from urllib.parse import quote

from andon.chat import ChatDelta, ChatRequest
from andon.errors import BackendError, SettingsError
from andon.specs import BackendContext, ModelCard, ModelProfile
from andon.wire.api_choice import choose_api
from andon.wire.dialect import Dialect, HTTPCall, HTTPReply, Query, StreamDecoder
from andon.wire.openai_chat import openai_dialect
from andon.wire.openai_responses import responses_dialect

T = TypeVar("T")

#: Versions of the v1 API; every other one is a date, and belongs to the older API.
_V1 = ("v1", "preview", "latest")

#: The calls that the older API has under the deployment's path. (openai-python, lib/azure.py.)
_OF_DEPLOYMENTS = ("/chat/completions", "/completions")

_DIALECTS = {"chat": openai_dialect(), "responses": responses_dialect()}


def find_version(context: BackendContext) -> str | None:
    """Return the version of the API that the settings name, or None.

    :raises SettingsError: it is none.
    """
    version = context.options.get("api_version") or context.environment.get("OPENAI_API_VERSION")
    if not version:
        return None
    if isinstance(version, str) and re.fullmatch(r"[\w.-]+", version, re.ASCII):
        return version
    raise SettingsError(
        "api_version of 'azure-openai' must be a version like 2024-10-21, or be left out for the "
        f"v1 API, not {version!r:.80}"
    )


def find_base_url(context: BackendContext) -> str:
    """Return the address of the API of the resource that the settings name.

    :raises SettingsError: they name none.
    """
    named = context.options.get("azure_endpoint")
    endpoint = str(named or context.environment.get("AZURE_OPENAI_ENDPOINT") or "").strip()
    if not endpoint:
        raise SettingsError(
            "'azure-openai' has another address for everybody: set the environment variable "
            "AZURE_OPENAI_ENDPOINT to that of your resource, like "
            "https://NAME.openai.azure.com, or azure_endpoint of [endpoints.azure-openai]"
        )
    # The portal shows it with and without the path of an API.
    resource = re.sub(r"/+(openai(/v1)?/*)?$", "", endpoint)
    return f"{resource}/openai" if _is_old(find_version(context)) else f"{resource}/openai/v1"


def make_dialect(context: BackendContext) -> Dialect:
    """Return the protocol for the version of the API that the settings name.

    :raises SettingsError: a setting is wrong.
    """
    version = find_version(context)
    base_url = str(context.options.get("base_url") or "")
    deployments = _is_old(version) and "/deployments" not in base_url
    return AzureDialect(choose_api(_DIALECTS)(context), version, deployments=deployments)


def _is_old(version: str | None) -> bool:
    return version is not None and version not in _V1


class AzureDialect(Dialect):
    """A protocol of OpenAI's with Azure's paths.

    :param inner: the protocol itself.
    :param version: the version of the API, told with every call; None tells nothing.
    :param deployments: whether the calls of a model go under its deployment's path.
    """

    def __init__(self, inner: Dialect, version: str | None, *, deployments: bool) -> None:
        self._inner = inner
        self._query = "" if version is None else f"api-version={version}"
        self._deployments = deployments

    def encode(self, request: ChatRequest, profile: ModelProfile) -> HTTPCall:
        """Return the call that asks for an answer.

        :raises UnsupportedParameterError: the protocol cannot say what is asked.
        """
        call = self._inner.encode(request, profile)
        if self._deployments and call.path in _OF_DEPLOYMENTS:
            deployment = quote(request.model, safe="")
            call = replace(call, path=f"/deployments/{deployment}{call.path}")
        return self._versioned(call)

    def decode(self, reply: HTTPReply) -> Sequence[ChatDelta]:
        """Return a whole answer.

        :raises BackendError: the reply is no answer.
        """
        return self._inner.decode(reply)

    def decoder(self, headers: Mapping[str, str]) -> StreamDecoder:
        """Return what reads a stream that came with these headers."""
        return self._inner.decoder(headers)

    def reconnect(self, decoder: StreamDecoder) -> HTTPCall | None:
        """Return the call that goes on with a stream whose connection broke, or None."""
        call = self._inner.reconnect(decoder)
        if call is None:
            return None
        undo = None if call.undo is None else self._versioned(call.undo)
        return replace(self._versioned(call), undo=undo)

    def explain(self, reply: HTTPReply) -> BackendError:
        """Return the error that a reply stands for."""
        return self._inner.explain(reply)

    def list_models(self) -> Query[Sequence[ModelCard]] | None:
        """Return how to ask which models the resource may deploy, under their own names."""
        return self._asked(self._inner.list_models())

    def health(self) -> Query[None] | None:
        """Return None: the list of models shows as well that the resource answers."""
        return self._asked(self._inner.health())

    # Tokens are not counted: Azure's v1 API answers 404 to /responses/input_tokens.
    # (learn.microsoft.com, questions/5889782, May 2026.)

    def _asked(self, query: Query[T] | None) -> Query[T] | None:
        return None if query is None else replace(query, call=self._versioned(query.call))

    def _versioned(self, call: HTTPCall) -> HTTPCall:
        if not self._query:
            return call
        mark = "&" if "?" in call.path else "?"
        return replace(call, path=f"{call.path}{mark}{self._query}")
