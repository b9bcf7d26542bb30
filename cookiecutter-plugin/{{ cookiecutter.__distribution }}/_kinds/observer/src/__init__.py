"""{{ cookiecutter.summary }}."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from andon import ObserverSpec, hookimpl
from andon.events import AnswerFinished, AttemptFailed, Event

_LOGGER = logging.getLogger(__name__)


@hookimpl
def andon_register_observers() -> Iterable[ObserverSpec]:
    """Offer the observer ``{{ cookiecutter.name }}``."""
    return [ObserverSpec(name="{{ cookiecutter.name }}", observe=observe)]


def observe(event: Event) -> None:
    """Write one line for each answer and each failure; kinds of events not known are passed over.

    It is called in the thread where the event happens, and so must not block.

    :param event: what happened.
    """
    match event:
        case AnswerFinished():
            used = event.usage
            _LOGGER.info(
                "request %d: %s:%s answered, %d + %d tokens, %s USD",
                event.request_id,
                event.backend,
                event.model,
                used.input_tokens,
                used.output_tokens,
                event.cost_usd,
            )
        case AttemptFailed():
            kind = type(event.error).__name__
            _LOGGER.warning(
                "request %d: %s:%s failed: %s", event.request_id, event.backend, event.model, kind
            )
