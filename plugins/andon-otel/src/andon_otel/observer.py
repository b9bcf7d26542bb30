"""The observer: events become spans and measurements."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from opentelemetry import metrics, trace
from opentelemetry.trace import Span, SpanKind, StatusCode

from andon import ChatRequest, Usage, events
from andon_otel import content, names
from andon_otel.instruments import Instruments

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

CAPTURE_VARIABLE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"

Attributes = dict[str, Any]


@dataclass(slots=True)
class _Attempt:
    span: Span
    began: float


@dataclass(slots=True)
class _Request:
    """A request that is under way.

    :param span: its span.
    :param began: when it came, by andon's clock.
    :param stream: whether the caller wants pieces.
    :param common: attributes of whatever is measured of it.
    """

    span: Span
    began: float
    stream: bool
    common: Attributes
    first: float | None = None
    attempts: dict[int, _Attempt] = field(default_factory=dict)


class Observer:
    """Tells OpenTelemetry what happens to the requests of one client.

    :param capture_content: whether content is written to spans; None goes by the environment.
    :param tracer_provider: where spans go; the process's own where None.
    :param meter_provider: where measurements go; the process's own where None.
    """

    def __init__(
        self,
        capture_content: bool | None,
        tracer_provider: TracerProvider | None,
        meter_provider: MeterProvider | None,
    ) -> None:
        scope = ("andon", version("andon-otel"))
        self._tracer = trace.get_tracer(*scope, tracer_provider=tracer_provider)
        self._measure = Instruments(metrics.get_meter(*scope, meter_provider=meter_provider))
        self._content = _wanted() if capture_content is None else capture_content
        self._requests: dict[int, _Request] = {}

    def observe(self, event: events.Event) -> None:
        """Take an event.

        :param event: what happened.
        """
        if isinstance(event, events.RequestReceived):
            self._requests[event.request_id] = self._begin(event)
            return
        request = self._requests.get(event.request_id)
        if request is None:
            # Whoever begins to listen in the middle has not heard the beginning.
            return
        match event:
            case events.RequestAdmitted():
                self._admitted(request, event)
            case events.AttemptStarted():
                self._attempt_began(request, event)
            case events.AnswerStarted():
                self._answer_began(request, event)
            case events.AttemptEnded():
                self._attempt_ended(request, event)
            case events.AnswerFinished():
                self._finished(request, event)
            case events.RequestFailed():
                self._failed(request, event)
            case events.AnswerAbandoned():
                self._abandoned(request, event)
            case _ if type(event) in _NOTES:
                name, read = _NOTES[type(event)]
                request.span.add_event(name, read(event))

    # -- The request -----------------------------------------------------------------------------

    def _begin(self, event: events.RequestReceived) -> _Request:
        backend, _, model = event.models[0].partition(":")
        asked = event.request
        common = {
            names.OPERATION: "chat" if asked.prompt is None else "text_completion",
            names.PROVIDER: names.provider(backend),
            names.REQUEST_MODEL: model,
        }
        span = self._tracer.start_span(
            f"{common[names.OPERATION]} {model}",
            kind=SpanKind.CLIENT,
            attributes=common | _asked(asked) | _labels(event.labels),
        )
        if self._content and span.is_recording():
            span.set_attribute(names.INPUT_MESSAGES, content.input_messages(asked))
            if asked.tools:
                span.set_attribute(names.TOOL_DEFINITIONS, content.tool_definitions(asked))
        return _Request(span, event.at, asked.stream, common)

    def _admitted(self, request: _Request, event: events.RequestAdmitted) -> None:
        self._measure.queue.record(event.waited, request.common)
        if event.waited:
            request.span.set_attribute(names.WAITED, event.waited)

    def _finished(self, request: _Request, event: events.AnswerFinished) -> None:
        answered = {
            names.PROVIDER: names.provider(event.backend),
            names.RESPONSE_MODEL: event.model,
        }
        span, response = request.span, event.response
        span.set_attributes(answered | _used(event.usage))
        span.set_attribute(names.FINISH_REASONS, [event.finish_reason.value])
        if response is not None and response.request_id:
            span.set_attribute(names.RESPONSE_ID, response.request_id)
        if response is not None and self._content and span.is_recording():
            span.set_attribute(names.OUTPUT_MESSAGES, content.output_messages(response))
        if request.stream and request.first is not None:
            span.set_attribute(names.TIME_TO_FIRST_CHUNK, request.first)
            self._measure.first_chunk.record(request.first, request.common | answered)
        self._end(request, event, event.cost_usd, answered)

    def _failed(self, request: _Request, event: events.RequestFailed) -> None:
        kind = {names.ERROR_TYPE: type(event.error).__name__}
        self._mark(request.span, event.error)
        self._end(request, event, event.cost_usd, kind | _last(event.backend, event.model))

    def _abandoned(self, request: _Request, event: events.AnswerAbandoned) -> None:
        kind = {names.ERROR_TYPE: names.CANCELLED}
        request.span.set_attributes(kind)
        self._end(request, event, event.cost_usd, kind | _last(event.backend, event.model))

    def _end(
        self, request: _Request, event: events.Event, cost: Any, attributes: Attributes
    ) -> None:
        self._requests.pop(event.request_id, None)
        for attempt in request.attempts.values():
            # Its own end was not told: a ledger that failed stood before it.
            attempt.span.end()
        request.span.set_attribute(names.COST, float(cost))
        self._measure.duration.record(event.at - request.began, request.common | attributes)
        request.span.end()

    # -- Attempts --------------------------------------------------------------------------------

    def _attempt_began(self, request: _Request, event: events.AttemptStarted) -> None:
        attributes: Attributes = {
            names.PROVIDER: names.provider(event.backend),
            names.REQUEST_MODEL: event.model,
            names.ATTEMPT: event.attempt,
            names.RESERVED: float(event.reserved_usd),
        }
        if event.input_tokens is not None:
            attributes[names.ATTEMPT_INPUT_TOKENS] = event.input_tokens
        span = self._tracer.start_span(
            f"attempt {event.backend}:{event.model}",
            context=trace.set_span_in_context(request.span),
            kind=SpanKind.INTERNAL,
            attributes=attributes,
        )
        request.attempts[event.attempt] = _Attempt(span, event.at)

    def _answer_began(self, request: _Request, event: events.AnswerStarted) -> None:
        if request.first is None:
            request.first = event.at - request.began
        attempt = request.attempts.get(event.attempt)
        if attempt is not None:
            attempt.span.set_attribute(names.TIME_TO_FIRST_CHUNK, event.seconds)

    def _attempt_ended(self, request: _Request, event: events.AttemptEnded) -> None:
        attempt = request.attempts.pop(event.attempt, None)
        if attempt is None:
            return
        where = {
            names.OPERATION: request.common[names.OPERATION],
            names.PROVIDER: names.provider(event.backend),
            names.REQUEST_MODEL: event.model,
        }
        failed: Attributes = {}
        if event.error is not None:
            gone = not isinstance(event.error, Exception)
            failed = {names.ERROR_TYPE: names.CANCELLED if gone else type(event.error).__name__}
        self._measure_usage(where, event)
        self._measure.attempt.record(event.at - attempt.began, where | failed)
        span = attempt.span
        span.set_attributes(
            {
                names.ATTEMPT_INPUT_TOKENS: event.usage.input_tokens,
                names.ATTEMPT_OUTPUT_TOKENS: event.usage.output_tokens,
                names.ESTIMATED: event.usage.estimated,
                names.COST: float(event.cost_usd),
                **failed,
            }
        )
        if isinstance(event.error, Exception):
            self._mark(span, event.error)
        span.end()

    def _measure_usage(self, where: Attributes, event: events.AttemptEnded) -> None:
        usage = event.usage
        if usage.input_tokens:
            self._measure.tokens.record(usage.input_tokens, where | {names.TOKEN_TYPE: "input"})
        if usage.output_tokens:
            self._measure.tokens.record(usage.output_tokens, where | {names.TOKEN_TYPE: "output"})
        if event.cost_usd:
            self._measure.cost.add(float(event.cost_usd), where)

    def _mark(self, span: Span, error: Exception) -> None:
        """Mark a span as failed; the text of an error may quote the prompt."""
        span.set_attribute(names.ERROR_TYPE, type(error).__name__)
        span.set_status(StatusCode.ERROR, str(error) if self._content else None)


def _wanted() -> bool:
    # The words of OpenTelemetry's own instrumentations.
    value = os.environ.get(CAPTURE_VARIABLE, "").strip().lower()
    return value in {"true", "span_only", "span_and_event"}


def _asked(request: ChatRequest) -> Attributes:
    sampling = request.sampling
    given = {
        names.REQUEST_MAX_TOKENS: sampling.max_tokens,
        names.REQUEST_TEMPERATURE: sampling.temperature,
        names.REQUEST_TOP_P: sampling.top_p,
        names.REQUEST_STOP: sampling.stop or None,
        names.REQUEST_SEED: sampling.seed,
        names.REQUEST_STREAM: request.stream or None,
        names.OUTPUT_TYPE: "text" if request.response_format.kind == "text" else "json",
    }
    return {name: value for name, value in given.items() if value is not None}


def _labels(labels: Mapping[str, str]) -> Attributes:
    return {f"{names.LABEL}{name}": str(value) for name, value in labels.items()}


def _used(usage: Usage) -> Attributes:
    parts = {
        names.CACHE_READ_TOKENS: usage.cached_input_tokens,
        names.CACHE_WRITE_TOKENS: usage.cache_write_tokens,
        names.REASONING_TOKENS: usage.reasoning_tokens,
    }
    return {
        names.INPUT_TOKENS: usage.input_tokens,
        names.OUTPUT_TOKENS: usage.output_tokens,
        **{name: count for name, count in parts.items() if count},
    }


def _last(backend: str | None, model: str | None) -> Attributes:
    if backend is None:
        return {}
    return {names.PROVIDER: names.provider(backend), names.REQUEST_MODEL: model}


def _where(event: Any) -> Attributes:
    return {names.BACKEND: event.backend, names.MODEL: event.model}


_NOTES: Mapping[type, tuple[str, Callable[[Any], Attributes]]] = {
    events.AttemptFailed: (
        "andon.attempt_failed",
        lambda event: _where(event) | {names.ERROR_TYPE: type(event.error).__name__},
    ),
    events.HedgeStarted: ("andon.hedge_started", _where),
    events.AnswerContinued: (
        "andon.answer_continued",
        lambda event: (
            _where(event.failover)
            | {"andon.from_backend": event.failover.from_backend, "andon.mode": event.failover.mode}
        ),
    ),
    events.StreamReconnected: (
        "andon.stream_reconnected",
        lambda event: (
            _where(event) | {"andon.silent_seconds": event.seconds, "andon.tries": event.tries}
        ),
    ),
    events.ChatTruncated: (
        "andon.chat_truncated",
        lambda event: _where(event) | {"andon.dropped_messages": len(event.dropped)},
    ),
    events.ParameterDropped: (
        "andon.parameter_dropped",
        lambda event: _where(event) | {"andon.parameter": event.parameter},
    ),
    events.BudgetThresholdPassed: (
        "andon.budget_threshold_passed",
        lambda event: {
            "andon.budget": event.warning.budget,
            "andon.used_usd": float(event.warning.used_usd),
            "andon.limit_usd": float(event.warning.limit_usd),
        },
    ),
}
