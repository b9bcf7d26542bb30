"""Traces and metrics by OpenTelemetry's semantic conventions for generative AI."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from andon import ObserverSpec, hookimpl

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from andon.events import Event
    from andon_otel.observer import Observer

__all__ = ["OpenTelemetry", "andon_register_observers"]


class OpenTelemetry:
    """The plugin with settings of its own, for ``Client(plugins=[OpenTelemetry()])``.

    :param capture_content: whether prompts, answers and the texts of errors are written to spans;
        None goes by the variable ``OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT``, and
        without it leaves them out.
    :param tracer_provider: where spans go; the process's own where None.
    :param meter_provider: where measurements go; the process's own where None.
    """

    def __init__(
        self,
        *,
        capture_content: bool | None = None,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
    ) -> None:
        self._capture_content = capture_content
        self._tracer_provider = tracer_provider
        self._meter_provider = meter_provider

    @hookimpl
    def andon_register_observers(self) -> Sequence[ObserverSpec]:
        """Offer an observer, which keeps the requests of one client apart from another's."""
        made: list[Observer] = []
        lock = threading.Lock()

        def observe(event: Event) -> None:
            if not made:
                with lock:
                    made.extend([] if made else [self._observer()])
            made[0].observe(event)

        return [ObserverSpec(name="otel", observe=observe)]

    def _observer(self) -> Observer:
        # At the first event, since it imports OpenTelemetry.
        from andon_otel.observer import Observer

        return Observer(self._capture_content, self._tracer_provider, self._meter_provider)


@hookimpl
def andon_register_observers() -> Sequence[ObserverSpec]:
    """Offer an observer that tells the process's own providers."""
    specs: Sequence[ObserverSpec] = OpenTelemetry().andon_register_observers()
    return specs
