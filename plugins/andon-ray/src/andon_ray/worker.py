"""What runs on the machines of a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from andon import (
    AndonError,
    AsyncClient,
    BudgetError,
    ConfigurationError,
    PrivacyViolation,
    Settings,
)
from andon.batch import BatchAnswer, BatchRequest, ask_one

#: The kinds of errors that end a batch; an error itself may not travel between processes.
_KINDS = (BudgetError, ConfigurationError, PrivacyViolation)


@dataclass(frozen=True, slots=True)
class Stop:
    """Why no further request can be answered.

    :param kind: which of the kinds of errors, by its place.
    :param message: its text.
    """

    kind: int
    message: str

    @classmethod
    def of(cls, error: AndonError) -> Stop:
        """Return what travels of an error."""
        for number, kind in enumerate(_KINDS):
            if issubclass(type(error), kind):
                return cls(number, str(error))
        return cls(-1, str(error))

    @property
    def error(self) -> AndonError:
        """The error, of its kind."""
        return AndonError(self.message) if self.kind < 0 else _KINDS[self.kind](self.message)


class Worker:
    """Asks requests with a client of its own.

    :param settings: what the client is made of.
    :param models: who may answer; the model that each request names where empty.
    """

    def __init__(self, settings: Settings, models: Sequence[str]) -> None:
        self._client = AsyncClient(settings=settings)
        self._models = models

    async def ask(self, request: BatchRequest) -> BatchAnswer | Stop:
        """Ask one request."""
        try:
            return await ask_one(self._client, request, self._models)
        except AndonError as error:
            return Stop.of(error)

    async def close(self) -> None:
        """Close the client."""
        await self._client.aclose()
