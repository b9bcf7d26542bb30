"""A batch from its file of requests to its file of answers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import takewhile
from pathlib import Path
from threading import Event, Lock

from andon.batch.doubt import AskedFile, settle_doubt
from andon.batch.engine import BatchEngine, BatchJob, LocalEngine
from andon.batch.journal import AnswerFile
from andon.batch.records import BatchAnswer, BatchRequest, check_body, read_requests
from andon.errors import AndonError, InvalidRequestError
from andon.options import read_models

#: How many mistakes in the requests are told at once.
_MOST_MISTAKES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchProgress:
    """How far a batch is.

    :param total: how many requests there are.
    :param done: how many of them are answered, earlier ones included.
    :param failed: how many of these answers say what went wrong.
    :param cost_usd: what this run has cost, in US dollars.
    """

    total: int
    done: int
    failed: int
    cost_usd: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchReport(BatchProgress):
    """How a run of a batch ended.

    :param earlier: how many requests were answered before it.
    :param lost: how many of this run's answers say that nobody knows the answer, which may have
        been paid for: what asked was killed, before this run or, with workers, in it.
    :param stopped: why it ended before all requests were answered, or None where all are, or it
        was told to stop.
    """

    earlier: int
    lost: int = 0
    stopped: AndonError | None = None


@dataclass(slots=True)
class _Count:
    """Writes answers, and counts them."""

    file: AnswerFile
    total: int
    told: Callable[[BatchProgress], None]
    cost: Decimal = Decimal(0)
    lost: int = 0
    lock: Lock = field(default_factory=Lock)

    def deliver(self, answers: Sequence[BatchAnswer]) -> None:
        self.file.append(answers)
        with self.lock:
            self.cost += sum((answer.cost_usd for answer in answers), Decimal(0))
            self.lost += sum(answer.lost for answer in answers)
            self.told(self.progress)

    @property
    def progress(self) -> BatchProgress:
        return BatchProgress(
            total=self.total,
            done=len(self.file.done),
            failed=self.file.failed,
            cost_usd=self.cost,
        )


def run_batch(
    requests: Path,
    answers: Path,
    job: BatchJob,
    *,
    engine: BatchEngine | None = None,
    retry_errors: bool = False,
    on_progress: Callable[[BatchProgress], None] = lambda progress: None,
    stop: Event | None = None,
) -> BatchReport:
    """Answer what is not answered yet.

    All requests are checked before the first is asked. An answer counts as done when it is on the
    disk, and is never asked for again. Requests that were under way when a process died are asked
    again where that is free; else they become errors, of the kind :class:`andon.AnswerLost`.

    :param requests: the file of requests, one JSON object a line.
    :param answers: the file of answers; it is made, or continued.
    :param job: how.
    :param engine: what asks; this process where None.
    :param retry_errors: whether requests whose answer says what went wrong are asked again, and
        those that were under way when a process died, even if that may pay twice.
    :param on_progress: told whenever answers came, and once at the beginning.
    :param stop: when it is set, no further request is asked, and those under way are finished.
    :raises InvalidRequestError: a request is wrong, or the file of answers is not this batch's.
    :raises ConfigurationError: a model's name, or the engine, is wrong.
    """
    names = check_requests(requests, job)
    with AnswerFile(answers, names, retry_errors=retry_errors) as file:
        count = _Count(file, len(names), on_progress)
        earlier = len(file.done)
        on_progress(count.progress)
        asked = AskedFile(answers)
        doubted = asked.names - file.done
        if doubted and not retry_errors:
            count.deliver(settle_doubt(_named(requests, doubted), job))
        asked.remove()
        left = _until(stop, _named(requests, names - file.done))
        stopped = (engine or LocalEngine()).run(asked.noting(left), job, count.deliver)
        # It ended in order: whatever was asked is answered, or was refused before it cost anything.
        asked.remove()
        now = count.progress
        return BatchReport(
            total=now.total,
            done=now.done,
            failed=now.failed,
            cost_usd=now.cost_usd,
            earlier=earlier,
            lost=count.lost,
            stopped=stopped,
        )


def check_requests(requests: Path, job: BatchJob) -> frozenset[str]:
    """Return the names of all requests, every one of them checked.

    :raises InvalidRequestError: some are wrong; says which, and why.
    :raises ConfigurationError: a model's name is none.
    """
    if job.models:
        read_models(job.models, job.settings.routes)
    names: set[str] = set()
    mistakes: list[str] = []
    for request in read_requests(requests):
        try:
            _check(request, names, job)
        except AndonError as error:
            mistakes.append(f"{request.custom_id!r}: {error}")
        names.add(request.custom_id)
        if len(mistakes) == _MOST_MISTAKES:
            break
    if mistakes:
        raise InvalidRequestError(f"{requests}: nothing was sent: " + "; ".join(mistakes))
    if not names:
        raise InvalidRequestError(f"{requests} has no requests")
    return frozenset(names)


def _check(request: BatchRequest, names: set[str], job: BatchJob) -> None:
    if request.custom_id in names:
        raise InvalidRequestError("two requests have this custom_id")
    model = check_body(request, job.models[0] if job.models else None)
    read_models(model, job.settings.routes)


def _named(requests: Path, names: Collection[str]) -> Iterator[BatchRequest]:
    return (request for request in read_requests(requests) if request.custom_id in names)


def _until(stop: Event | None, requests: Iterator[BatchRequest]) -> Iterator[BatchRequest]:
    return takewhile(lambda _: stop is None or not stop.is_set(), requests)
