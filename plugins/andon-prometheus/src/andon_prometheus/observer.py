"""The observer: events are counted."""

from __future__ import annotations

from andon import events
from andon_prometheus.metrics import Metrics


class Observer:
    """Counts what happens to the requests of one client.

    :param metrics: where it counts.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        # When each request that is under way came, by its number.
        self._began: dict[int, float] = {}

    def observe(self, event: events.Event) -> None:
        """Take an event.

        :param event: what happened.
        """
        metrics = self._metrics
        match event:
            case events.RequestReceived():
                self._began[event.request_id] = event.at
                metrics.in_progress.inc()
            case events.RequestAdmitted():
                metrics.queue_seconds.observe(event.waited)
            case events.AnswerStarted():
                where = metrics.where(event.backend, event.model)
                metrics.first_token_seconds.labels(*where).observe(event.seconds)
            case events.AttemptEnded():
                self._attempt(event)
            case events.AnswerFinished():
                self._end(event, event.backend, event.model, "answered")
            case events.RequestFailed():
                self._end(event, event.backend, event.model, "failed")
            case events.AnswerAbandoned():
                self._end(event, event.backend, event.model, "abandoned")
            case _:
                self._note(event)

    def _end(
        self, event: events.Event, backend: str | None, model: str | None, outcome: str
    ) -> None:
        began = self._began.pop(event.request_id, None)
        if began is None:
            # Whoever begins to listen in the middle has not heard the beginning.
            return
        metrics = self._metrics
        ends = (*metrics.where(backend, model), outcome)
        metrics.in_progress.dec()
        metrics.requests.labels(*ends).inc()
        metrics.request_seconds.labels(*ends).observe(event.at - began)

    def _attempt(self, event: events.AttemptEnded) -> None:
        metrics, usage = self._metrics, event.usage
        where = metrics.where(event.backend, event.model)
        metrics.attempts.labels(*where, _outcome(event.error)).inc()
        metrics.tokens.labels(*where, "input").inc(usage.input_tokens)
        metrics.tokens.labels(*where, "output").inc(usage.output_tokens)
        metrics.cost.labels(*where).inc(float(event.cost_usd))

    def _note(self, event: events.Event) -> None:
        metrics = self._metrics
        match event:
            case events.AnswerContinued(failover=failover):
                where = metrics.where(failover.backend, failover.model)
                metrics.failovers.labels(*where).inc()
            case events.StreamReconnected():
                metrics.reconnections.labels(*metrics.where(event.backend, event.model)).inc()
            case events.HedgeStarted():
                metrics.hedges.labels(*metrics.where(event.backend, event.model)).inc()
            case events.ChatTruncated():
                metrics.truncations.labels(*metrics.where(event.backend, event.model)).inc()
            case events.ParameterDropped():
                metrics.dropped.labels(*metrics.where(event.backend, event.model)).inc()


def _outcome(error: BaseException | None) -> str:
    if error is None:
        return "answered"
    return type(error).__name__ if isinstance(error, Exception) else "cancelled"
