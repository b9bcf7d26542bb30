"""Predictions of Replicate: what they say, whole or as a stream of events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from andon.chat import ChatDelta, FinishReason, Usage
from andon.errors import BackendError, RequestTimeout, StreamInterrupted
from andon.specs import ModelCard
from andon.wire.dialect import HTTPCall, HTTPReply
from andon.wire.item_stream import ItemStreamDecoder
from andon.wire.json_values import SHAPE_ERRORS, name_of, read_json
from andon.wire.problems import json_of, malformed
from andon.wire.replicate_errors import explain_failure
from andon.wire.sse import Event, SSEDecoder

#: A prediction that is still to come, or at work.
_PENDING = {"starting", "processing", "queued"}

#: What models call the most tokens of an answer, and what predictions call the tokens used.
_MOST_TOKENS = ("max_tokens", "max_completion_tokens", "max_new_tokens")
_INPUT_TOKENS = ("input_token_count", "token_input_count")
_OUTPUT_TOKENS = ("output_token_count", "token_output_count")

#: How often a prediction is asked for its usage that is not done yet although its stream is, and
#: the seconds in between.
_ASKED_FOR_USAGE = 5
_PAUSE = 0.2

#: What reading JSON of another shape than expected can raise.
BAD_SHAPE = (*SHAPE_ERRORS, RecursionError)


def read_prediction(reply: HTTPReply) -> Mapping[str, Any]:
    """Return a prediction.

    :raises BackendError: the reply is none.
    """
    value = json_of(reply)
    if not (isinstance(value, dict) and isinstance(value.get("status"), str)):
        raise malformed("prediction", reply.body)
    return value


def is_pending(prediction: Mapping[str, Any]) -> bool:
    """Return whether a prediction is not finished yet."""
    return prediction["status"] in _PENDING


def read_answer(prediction: Mapping[str, Any], reply: HTTPReply) -> ChatDelta:
    """Return the answer of a prediction that is finished.

    :raises BackendError: it failed, or was given up.
    """
    try:
        text = _output(prediction.get("output"))
        ending = _ending(prediction, reply.headers)
    except BAD_SHAPE as error:
        raise malformed("prediction of a language model", reply.body) from error
    return replace(ending, text=text)


class ReplicateStreamDecoder(ItemStreamDecoder[Event]):
    """Reads the events of one prediction; only ``done`` is its end.

    The tokens used and the finish reason are told by the prediction alone, which is asked for
    once its stream has ended.

    :param headers: the headers that the stream came with.
    :param fetch: asks for the prediction, or None where it is not known.
    :param identifier: the prediction's id.
    :param model: the model's name.
    """

    def __init__(
        self,
        headers: Mapping[str, str],
        fetch: HTTPCall | None = None,
        identifier: str | None = None,
        model: str | None = None,
    ) -> None:
        super().__init__(SSEDecoder())
        self._headers = headers
        self._fetch = fetch
        self._id = identifier
        self._model = model
        self._started = False
        self._concluded = False
        self._asked = 0

    def finish(self) -> Sequence[ChatDelta]:
        """Return what is left when the connection has ended in order.

        :raises StreamInterrupted: the stream's own end is missing.
        """
        deltas = super().finish()
        return deltas if self._fetch is not None else [*deltas, *self.conclude(None)]

    def follow_up(self) -> HTTPCall | None:
        """Return the call for the prediction, until it has told its usage."""
        if self._concluded or self._fetch is None:
            return None
        self._asked += 1
        return replace(self._fetch, delay=_PAUSE) if self._asked > 1 else self._fetch

    def conclude(self, reply: HTTPReply | None) -> Sequence[ChatDelta]:
        """Return the end of the answer, with the usage where it could be had.

        :raises BackendError: the prediction failed after all.
        """
        prediction = None if reply is None else read_prediction(reply)
        pending = prediction is not None and is_pending(prediction)
        if pending and self._asked < _ASKED_FOR_USAGE:
            return ()
        self._concluded = True
        if reply is not None and prediction is not None and not pending:
            return (self._tell(prediction, reply),)
        if self._error is not None:
            raise self._error
        ending = ChatDelta(finish_reason=FinishReason.STOP, raw_finish_reason="done")
        return (replace(ending, model=self._model, request_id=self._id),)

    def _tell(self, prediction: Mapping[str, Any], reply: HTTPReply) -> ChatDelta:
        try:
            return _ending(prediction, reply.headers)
        except BAD_SHAPE as error:
            raise malformed("prediction", reply.body) from error
        except BackendError as error:
            self._error = error
            raise

    def _broken_off(self, deltas: list[ChatDelta]) -> None:
        raise StreamInterrupted("the stream ended without its event done")

    def _item(self, item: Event, deltas: list[ChatDelta]) -> None:
        data = item.data
        match item.name:
            case "output" if data and self._started:
                deltas.append(ChatDelta(data))
            case "output" if data:
                # It tells who answers, for answers that never reach their end.
                self._started = True
                deltas.append(ChatDelta(data, model=self._model, request_id=self._id))
            case "error":
                raise explain_failure(_json_or_text(data), self._headers, self._id)
            case "done":
                self._end(_json_or_text(data))

    def _end(self, value: Any) -> None:
        reason = value.get("reason") if isinstance(value, Mapping) else None
        if reason == "error":
            raise explain_failure(None, self._headers, self._id)
        if reason:
            raise StreamInterrupted(f"the prediction was given up: {reason!s:.80}")
        self.done = True


def read_cards(reply: HTTPReply) -> tuple[ModelCard, ...]:
    """Return the models of a collection.

    :raises ValueError: the reply has another shape.
    """
    models = read_json(reply.body)["models"]
    return tuple(
        ModelCard(
            name="/".join(filter(None, (model["owner"], model["name"]))),
            description=str(model.get("description") or "").partition("\n")[0],
        )
        for model in models
    )


def read_account(reply: HTTPReply) -> None:
    """Check that Replicate knows the account.

    :raises ValueError: the reply has another shape.
    """
    if not isinstance(read_json(reply.body)["username"], str):
        raise TypeError("a name is a text")


def _ending(prediction: Mapping[str, Any], headers: Mapping[str, str]) -> ChatDelta:
    status, identifier = prediction["status"], name_of(prediction.get("id"))
    match status:
        case "succeeded":
            usage = _usage(prediction.get("metrics") or {})
            return ChatDelta(
                finish_reason=_reason(prediction.get("input") or {}, usage),
                raw_finish_reason=status,
                usage=usage,
                model=name_of(prediction.get("model")),
                request_id=identifier,
            )
        case "failed":
            raise explain_failure(prediction.get("error"), headers, identifier)
        case "aborted":
            raise RequestTimeout(
                "the prediction was aborted: its deadline passed before it could start",
                request_id=identifier,
            )
        case "canceled":
            raise StreamInterrupted(
                "the prediction was canceled by its user or at its deadline",
                partial=_output(prediction.get("output")),
            )
    raise TypeError("no status of a prediction that is finished")


def _output(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, list):
        return "".join(value)
    raise TypeError("the output is no text")


def _reason(given: Mapping[str, Any], usage: Usage | None) -> FinishReason:
    # Predictions do not say it; an answer of as many tokens as it may have was cut off.
    most = _count(given, _MOST_TOKENS)
    cut = usage is not None and 0 < most <= usage.output_tokens
    return FinishReason.LENGTH if cut else FinishReason.STOP


def _usage(metrics: Mapping[str, Any]) -> Usage | None:
    if not any(name in metrics for name in (*_INPUT_TOKENS, *_OUTPUT_TOKENS)):
        return None
    return Usage(_count(metrics, _INPUT_TOKENS), _count(metrics, _OUTPUT_TOKENS))


def _count(counts: Mapping[str, Any], names: Sequence[str]) -> int:
    found = (counts[name] for name in names if type(counts.get(name)) is int)
    return max(0, next(found, 0))


def _json_or_text(data: str) -> Any:
    try:
        return read_json(data)
    except ValueError:
        return data
