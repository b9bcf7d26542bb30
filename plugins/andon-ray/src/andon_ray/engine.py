"""The engine: requests go to workers, answers come back to where the batch was started."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import RayActorError, RayTaskError

from andon import AndonError, ConfigurationError
from andon.batch import BatchAnswer, BatchJob, BatchRequest, settle_doubt
from andon.batch.engine import Deliver
from andon_ray.cluster_settings import check_settings
from andon_ray.worker import Stop, Worker

#: How many workers may die before the batch is given up: something kills them all.
MOST_DEATHS = 20


class RayEngine:
    """Asks with workers of a Ray cluster, which is this machine where none is named."""

    def run(
        self, requests: Iterator[BatchRequest], job: BatchJob, deliver: Deliver
    ) -> AndonError | None:
        """Ask requests; see :class:`andon.batch.BatchEngine`.

        :raises ConfigurationError: the workers would not share the budgets.
        :raises PrivacyViolation: the requests would leave this machine, or could, and must not.
        """
        started = _start(job.workers)
        try:
            machines = sum(bool(node["Alive"]) for node in _nodes())
            check_settings(job.settings, machines)
            crew = _Crew(job, job.workers or machines)
            # Ctrl-C interrupts this thread, not one that is writing answers.
            with ThreadPoolExecutor(1, "andon-batch") as writer:
                try:
                    return crew.run(requests, lambda came: writer.submit(deliver, came).result())
                finally:
                    crew.dismiss()
        finally:
            if started:
                ray.shutdown()


def _nodes() -> list[dict[str, Any]]:
    nodes: Any = ray.nodes  # it has no types
    found: list[dict[str, Any]] = nodes()
    return found


def _start(workers: int | None) -> bool:
    """Connect to Ray, or start one; return whether ending it is ours."""
    if ray.is_initialized():
        return False
    address = os.environ.get("RAY_ADDRESS")
    if address:
        ray.init(address=address, log_to_driver=False)
    else:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        cpus = max(workers or 1, os.cpu_count() or 1)
        ray.init(address="local", num_cpus=cpus, include_dashboard=False, log_to_driver=False)
    return True


@dataclass(slots=True)
class _Crew:
    """The workers of one batch.

    :param job: how they answer.
    :param size: how many they are.
    """

    job: BatchJob
    size: int
    #: The workers, each as often as it can take a request.
    free: deque[Any] = field(default_factory=deque)
    workers: list[Any] = field(default_factory=list)
    #: What is under way: who was asked what.
    asked: dict[Any, tuple[Any, BatchRequest]] = field(default_factory=dict)
    again: deque[BatchRequest] = field(default_factory=deque)
    deaths: int = 0
    stopped: AndonError | None = None

    def run(self, requests: Iterator[BatchRequest], deliver: Deliver) -> AndonError | None:
        """Ask until there are no more, or no further one can be answered."""
        for _ in range(self.size):
            self._hire()
        try:
            while self._ask(requests):
                ready, others = ray.wait(list(self.asked), num_returns=1)
                more = ray.wait(others, num_returns=len(others), timeout=0)[0] if others else []
                answers = [answer for ref in (*ready, *more) for answer in self._take(ref)]
                if answers:
                    deliver(answers)
        except BaseException:
            # What has come is paid for, whatever ends the batch.
            self._save(deliver)
            raise
        return self.stopped

    def dismiss(self) -> None:
        """Let the workers go."""
        for worker in self.workers:
            with suppress(Exception):  # It ends below in any case.
                ray.get(worker.close.remote(), timeout=10)
            ray.kill(worker)

    def _hire(self) -> None:
        kind: Any = ray.remote(Worker)
        worker = kind.options(
            num_cpus=1,
            max_restarts=0,
            max_concurrency=self.job.concurrency + 1,
            scheduling_strategy="SPREAD",
        ).remote(self.job.settings, self.job.models)
        self.workers.append(worker)
        self.free.extend([worker] * self.job.concurrency)

    def _ask(self, requests: Iterator[BatchRequest]) -> bool:
        """Give every free worker something to do; return whether anything is under way."""
        while self.free and self.stopped is None:
            request = self.again.popleft() if self.again else next(requests, None)
            if request is None:
                break
            worker = self.free.popleft()
            self.asked[worker.ask.remote(request)] = (worker, request)
        return bool(self.asked)

    def _take(self, ref: Any) -> Iterator[BatchAnswer]:
        """Give the answer that came, if it is one."""
        worker, request = self.asked.pop(ref)
        try:
            result = ray.get(ref)
        except RayTaskError as error:
            raise error.cause from error
        except RayActorError as error:
            lost = settle_doubt([request], self.job)
            if not lost:
                self.again.append(request)
            self._replace(worker, error)
            yield from lost
            return
        self.free.append(worker)
        if isinstance(result, Stop):
            self.stopped = self.stopped or result.error
        else:
            yield result

    def _replace(self, worker: Any, error: Exception) -> None:
        """Put another worker in the place of one that died."""
        if worker not in self.workers:
            return  # Another of its requests has told already.
        self.workers.remove(worker)
        self.free = deque(each for each in self.free if each is not worker)
        self.deaths += 1
        if self.deaths > MOST_DEATHS:
            raise ConfigurationError(f"{self.deaths} workers died, the last one of: {error}")
        self._hire()

    def _save(self, deliver: Deliver) -> None:
        ready = ray.wait(list(self.asked), num_returns=len(self.asked), timeout=0)[0]
        answers = []
        for ref in ready:
            try:
                result = ray.get(ref)
            except Exception:  # noqa: BLE001, S112  there is nothing to keep
                continue
            if isinstance(result, BatchAnswer):
                answers.append(result)
        if answers:
            deliver(answers)
