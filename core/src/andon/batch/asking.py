"""One request of a batch is asked."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from andon.batch.records import BatchAnswer, BatchRequest, answered, body_for, failed
from andon.errors import (
    AndonError,
    AuthenticationError,
    BudgetExceeded,
    ConfigurationError,
    LedgerError,
    PrivacyViolation,
    RoutingError,
)
from andon.wire.openai_server import read_call

if TYPE_CHECKING:
    from andon.client import AsyncClient

#: What would befall every further request as well: it ends the batch and is nobody's answer.
STOPPING = (
    BudgetExceeded,
    LedgerError,
    ConfigurationError,
    PrivacyViolation,
    AuthenticationError,
)


async def ask_one(
    client: AsyncClient, request: BatchRequest, models: Sequence[str] = ()
) -> BatchAnswer:
    """Ask one request, and return its answer or what went wrong.

    :param client: what answers.
    :param request: the request.
    :param models: who may answer, in order of preference; the model that the request names where
        empty.
    :raises AndonError: no further request could be answered either: a budget is used up, a key
        is wrong, the privacy tier forbids it.
    """
    call = read_call(body_for(request, models[0] if models else None))
    try:
        response = await client.chat(models or call.model, call.messages, **call.options)
    except AndonError as error:
        reason = _reason_to_stop(error)
        if reason is not None:
            raise reason from error
        return failed(request, error)
    return answered(request, response, created=int(time.time()))


def _reason_to_stop(error: AndonError) -> AndonError | None:
    if isinstance(error, STOPPING):
        return error
    if not isinstance(error, RoutingError):
        return None
    errors = [attempt.error for attempt in error.attempts if attempt.error is not None]
    return errors[0] if errors and all(isinstance(each, STOPPING) for each in errors) else None
