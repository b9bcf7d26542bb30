"""What asks the requests of a batch: an engine. The one here is asyncio, in this process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from andon.batch.asking import ask_one
from andon.batch.records import BatchAnswer, BatchRequest
from andon.errors import AndonError

if TYPE_CHECKING:
    from andon.client import AsyncClient
    from andon.settings import Settings

#: Writes answers to the disk; when it returns, they count as done.
Deliver = Callable[[Sequence[BatchAnswer]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchJob:
    """How a batch is answered.

    :param make_client: makes a client in this process.
    :param settings: what other processes make theirs of.
    :param models: who may answer, in order of preference, in the place of the model that each
        request names; that one where empty.
    :param concurrency: how many requests are under way at once; with workers, in each of them.
    :param workers: how many processes share the work, for engines that have several; theirs to
        choose where None.
    """

    make_client: Callable[[], AsyncClient]
    settings: Settings
    models: tuple[str, ...] = ()
    concurrency: int = 8
    workers: int | None = None


class BatchEngine(Protocol):
    """What asks the requests of a batch."""

    def run(
        self, requests: Iterator[BatchRequest], job: BatchJob, deliver: Deliver
    ) -> AndonError | None:
        """Ask requests until there are no more, or no further one can be answered.

        No more requests are under way or not yet delivered than ``job.concurrency`` (for each
        worker), so that a crash costs no more than these. To return, whatever ends the batch, says
        that nothing is under way any more. Where the answer to a request is lost otherwise,
        :func:`settle_doubt` says whether it may be asked again.

        :param requests: what to ask; each counts as asked, and maybe paid for, when it is taken.
        :param job: how.
        :param deliver: takes answers as they come; called by one thread at a time or by several.
        :return: why it stopped early, or None where it did not.
        :raises ConfigurationError: the engine cannot be used like this.
        """
        ...


class LocalEngine:
    """Asks with one client of this process."""

    def run(
        self, requests: Iterator[BatchRequest], job: BatchJob, deliver: Deliver
    ) -> AndonError | None:
        """Ask requests; see :class:`BatchEngine`."""
        return asyncio.run(self.arun(requests, job, deliver))

    async def arun(
        self, requests: Iterator[BatchRequest], job: BatchJob, deliver: Deliver
    ) -> AndonError | None:
        """Ask requests in the event loop that runs; see :class:`BatchEngine`."""
        return await _Work(requests, job, deliver).run()


class _Work:
    """The requests of a batch in one event loop."""

    def __init__(self, requests: Iterator[BatchRequest], job: BatchJob, deliver: Deliver) -> None:
        self._requests = requests
        self._job = job
        self._deliver = deliver
        self._stopped: AndonError | None = None
        self._unwritten: list[tuple[BatchAnswer, asyncio.Future[None]]] = []
        self._news = asyncio.Event()
        self._writing = threading.Lock()

    async def run(self) -> AndonError | None:
        async with self._job.make_client() as client:
            writer = asyncio.create_task(self._write())
            asking = [asyncio.create_task(self._ask(client)) for _ in range(self._job.concurrency)]
            everybody: asyncio.Future[list[None]] = asyncio.gather(*asking)
            try:
                # The writer never ends by itself, but it may fail.
                either: list[asyncio.Future[Any]] = [everybody, writer]
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
                if writer.done():
                    await writer
                await everybody
            finally:
                for task in (*asking, writer):
                    task.cancel()
                await asyncio.gather(everybody, *asking, writer, return_exceptions=True)
                # What was paid for is kept, whatever ended the batch.
                self._flush()
        return self._stopped

    async def _ask(self, client: AsyncClient) -> None:
        """Ask one request after the other; the next when the answer of the last is on disk."""
        while self._stopped is None:
            request = next(self._requests, None)
            if request is None:
                return
            try:
                answer = await ask_one(client, request, self._job.models)
            except AndonError as error:
                self._stop(error)
                return
            on_disk = asyncio.get_running_loop().create_future()
            self._unwritten.append((answer, on_disk))
            self._news.set()
            await on_disk

    def _stop(self, error: AndonError) -> None:
        # The first of them is told; the others say the same.
        if self._stopped is None:
            self._stopped = error

    async def _write(self) -> None:
        """Write what has come since the last time, all in one piece."""
        while True:
            await self._news.wait()
            self._news.clear()
            for on_disk in await asyncio.to_thread(self._flush):
                if not on_disk.done():
                    on_disk.set_result(None)

    def _flush(self) -> list[asyncio.Future[None]]:
        """Write what is not written yet, once; return whom to tell.

        A task can be cancelled at any of its steps, while a thread of its goes on. So it is not
        for a task to say what was written: the list does, and one thread at a time may look.
        """
        with self._writing:
            batch = list(self._unwritten)
            if batch:
                self._deliver([answer for answer, _ in batch])
                del self._unwritten[: len(batch)]
            return [on_disk for _, on_disk in batch]
