"""What is measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.metrics import Meter

# The boundaries that the conventions ask for; for time to first chunk they are those of
# ``gen_ai.server.time_to_first_token``.
_SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_FIRST = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75),
    *(1.0, 2.5, 5.0, 7.5, 10.0),
)
_TOKENS = tuple(float(4**power) for power in range(14))


class Instruments:
    """Every histogram and counter.

    :param meter: makes them.
    """

    def __init__(self, meter: Meter) -> None:
        self.duration = meter.create_histogram(
            "gen_ai.client.operation.duration",
            unit="s",
            description="GenAI operation duration.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self.first_chunk = meter.create_histogram(
            "gen_ai.client.operation.time_to_first_chunk",
            unit="s",
            description="Time to the first piece of a stream.",
            explicit_bucket_boundaries_advisory=_FIRST,
        )
        self.tokens = meter.create_histogram(
            "gen_ai.client.token.usage",
            unit="{token}",
            description="Number of input and output tokens used.",
            explicit_bucket_boundaries_advisory=_TOKENS,
        )
        self.attempt = meter.create_histogram(
            "andon.attempt.duration",
            unit="s",
            description="Seconds that one backend was asked.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self.queue = meter.create_histogram(
            "andon.queue.duration",
            unit="s",
            description="Seconds that a request waited for its turn.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self.cost = meter.create_counter(
            "andon.cost", unit="{USD}", description="What was spent, in US dollars."
        )
