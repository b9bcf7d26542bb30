"""Replicate's predictions: jobs that are created, waited for or streamed, and cancelled."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from andon.chat import ChatDelta, ChatRequest
from andon.errors import (
    BackendError,
    ConfigurationError,
    SettingsError,
    UnsupportedParameterError,
    UnsupportedRoleError,
)
from andon.specs import BackendContext, ChatTemplateSpec, ModelCard, ModelProfile
from andon.wire.dialect import Dialect, HTTPCall, HTTPReply, Query
from andon.wire.json_values import to_json
from andon.wire.problems import malformed
from andon.wire.replicate_decode import (
    ReplicateStreamDecoder,
    is_pending,
    read_account,
    read_answer,
    read_cards,
    read_prediction,
)
from andon.wire.replicate_encode import (
    InputStyle,
    ReplicateOptions,
    prediction_input,
    prediction_path,
)
from andon.wire.replicate_errors import explain

__all__ = [
    "InputStyle",
    "ReplicateOptions",
    "ReplicatePredictions",
    "ReplicateStreamDecoder",
    "replicate_dialect",
]

if TYPE_CHECKING:
    from andon.templates import ChatTemplateEngine

#: A model of which nothing is known.
UNKNOWN = ModelProfile()

_HEADERS = {"content-type": "application/json", "accept": "application/json"}
_STREAM_HEADERS = {"accept": "text/event-stream", "cache-control": "no-store"}

#: Replicate's own list of language models; its list of all models has many thousands.
_MODELS = "/v1/collections/language-models"


class ReplicatePredictions(Dialect):
    """The dialect, at a base URL without a path, as in Replicate's SDK.

    A whole answer is waited for where Replicate holds the call, and asked for again and again
    after that. A streamed one is read from an address of its own. Whoever gives up in between
    has the prediction cancelled.

    :param options: what goes with every request.
    :param find_template: returns how a model's chats are written.
    """

    def __init__(
        self,
        options: ReplicateOptions | None = None,
        find_template: Callable[[str], ChatTemplateEngine] | None = None,
    ) -> None:
        self._options = options or ReplicateOptions()
        self._find_template = find_template or _find_template

    def encode(self, request: ChatRequest, profile: ModelProfile = UNKNOWN) -> HTTPCall:
        """Return the call that creates the prediction.

        :raises UnsupportedParameterError: the model has no field for what is asked.
        :raises InvalidRequestError: the request cannot be written as JSON.
        """
        path, version = prediction_path(request.model)
        body: dict[str, Any] = {} if version is None else {"version": version}
        body["input"] = prediction_input(request, self._options, self._render)
        headers = dict(_HEADERS)
        if request.stream:
            body["stream"] = True
        elif self._options.wait:
            held = self._options.wait
            headers["prefer"] = "wait" if held == 60 else f"wait={held}"
        # A second one would cost as much as the first.
        return HTTPCall(path=path, body=to_json(body), headers=headers, repeatable=False)

    def follow_up(self, request: ChatRequest, reply: HTTPReply) -> HTTPCall | None:
        """Return the call for the stream, or for the state, of a prediction that is not done."""
        prediction = read_prediction(reply)
        if not is_pending(prediction):
            return None
        fetch = _fetch(prediction, reply)
        cancel = HTTPCall(path=f"{fetch.path}/cancel", headers=_HEADERS)
        stream = _stream_address(prediction) if request.stream else None
        if stream is None:
            return HTTPCall(
                path=fetch.path,
                method="GET",
                headers=_HEADERS,
                delay=self._options.poll_interval,
                undo=cancel,
            )
        identifier = str(prediction["id"])
        decoder = partial(
            ReplicateStreamDecoder, fetch=fetch, identifier=identifier, model=request.model
        )
        return HTTPCall(
            path=stream, method="GET", headers=_STREAM_HEADERS, undo=cancel, decoder=decoder
        )

    def decode(self, reply: HTTPReply) -> Sequence[ChatDelta]:
        """Return the answer of a finished prediction, as one delta.

        :raises BackendError: it failed, or the reply is no prediction.
        """
        return (read_answer(read_prediction(reply), reply),)

    def decoder(self, headers: Mapping[str, str]) -> ReplicateStreamDecoder:
        """Return what reads a stream of which nothing else is known."""
        return ReplicateStreamDecoder(headers)

    def explain(self, reply: HTTPReply) -> BackendError:
        """Return the error that a reply stands for: Replicate's own words."""
        return explain(reply)

    def list_models(self) -> Query[Sequence[ModelCard]]:
        """Return how to ask for Replicate's language models."""
        return Query(HTTPCall(path=_MODELS, method="GET", headers=_HEADERS), read_cards)

    def health(self) -> Query[None]:
        """Return how to ask whether Replicate answers and takes the key."""
        return Query(HTTPCall(path="/v1/account", method="GET", headers=_HEADERS), read_account)

    def _render(self, request: ChatRequest) -> tuple[str, Sequence[str]]:
        model = request.model.removeprefix("deployments/").partition(":")[0]
        try:
            template = self._find_template(model.rpartition("/")[2])
            _demand_format(template)
            prompt = template.apply(
                request.messages, continue_final_message=request.continue_final_message
            )
        except (ConfigurationError, UnsupportedRoleError) as error:
            raise UnsupportedParameterError(
                f"the chat cannot be written here for {request.model!r}: {error}; or set "
                'input_style = "prompt" in [endpoints.replicate], for models that do it themselves'
            ) from error
        return prompt, template.stop


def replicate_dialect(context: BackendContext) -> ReplicatePredictions:
    """Return the dialect for a backend.

    :param context: its settings: ``input_style``, ``max_tokens_field``, ``wait`` (seconds) and
        ``poll_interval`` (seconds), all as texts; the last also from the environment variable
        ``REPLICATE_POLL_INTERVAL``.
    :raises SettingsError: a setting is wrong.
    """
    given = context.options
    interval = given.get("poll_interval") or context.environment.get("REPLICATE_POLL_INTERVAL")
    options = ReplicateOptions(
        input_style=_style(given.get("input_style")),
        max_tokens_field=_field(given.get("max_tokens_field")),
        wait=int(_seconds("wait", given.get("wait", "60"), 60, r"\d{1,2}")),
        poll_interval=_seconds("poll_interval", interval or "0.5", 3600, r"\d{1,6}(\.\d{1,6})?"),
    )

    @lru_cache(maxsize=64)
    def find_template(name: str) -> ChatTemplateEngine:
        return _find_template(name, context.chat_templates())

    return ReplicatePredictions(options, find_template)


def _find_template(name: str, specs: Sequence[ChatTemplateSpec] = ()) -> ChatTemplateEngine:
    # Most requests are not written here, and the templates take as long to load as all the rest.
    from andon.templates import ChatTemplateEngine

    return ChatTemplateEngine.from_model(name, specs=specs)


def _demand_format(template: ChatTemplateEngine) -> None:
    # Texts one after the other, for want of anything better: no model reads that as a chat.
    if template.format == "raw":
        raise ConfigurationError("its name does not tell its chat format")


def _fetch(prediction: Mapping[str, Any], reply: HTTPReply) -> HTTPCall:
    identifier = prediction.get("id")
    if not (isinstance(identifier, str) and re.fullmatch(r"[\w-]{1,100}", identifier, re.ASCII)):
        raise malformed("prediction with an id", reply.body)
    # As the SDK does: an address in the reply could lie anywhere.
    return HTTPCall(path=f"/v1/predictions/{identifier}", method="GET", headers=_HEADERS)


def _stream_address(prediction: Mapping[str, Any]) -> str | None:
    urls = prediction.get("urls")
    address = urls.get("stream") if isinstance(urls, Mapping) else None
    fits = isinstance(address, str) and address.startswith(("https://", "http://", "/"))
    return address if fits else None


def _style(value: object) -> InputStyle | None:
    if value is None:
        return None
    styles = [style.value for style in InputStyle]
    if value not in styles:
        raise SettingsError(
            f"input_style of the Replicate backend is one of {', '.join(styles)}, not {value!r:.40}"
        )
    return InputStyle(value)


def _field(value: object) -> str | None:
    if value is None or (isinstance(value, str) and re.fullmatch(r"\w{1,80}", value)):
        return value
    raise SettingsError(
        "max_tokens_field of the Replicate backend is the name of an input, like "
        f"max_new_tokens, not {value!r:.40}"
    )


def _seconds(name: str, value: object, most: float, pattern: str) -> float:
    if isinstance(value, str) and re.fullmatch(pattern, value.strip(), re.ASCII):
        seconds = float(value)
        if seconds <= most:
            return seconds
    raise SettingsError(
        f'{name} of the Replicate backend must be seconds as a text, like "5", at most {most:g}, '
        f"not {value!r:.40}"
    )
