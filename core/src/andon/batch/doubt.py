"""Requests that were asked and whose answers are not known: nothing is paid for twice unasked.

A process that is killed leaves requests under way. Their provider may have answered and billed
them, and no provider says afterwards whether it did. So it is written down which requests are
asked, before they are; those without an answer are asked again where that is free, and else
become errors, which are asked again on request.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from andon.batch.files import APPENDING, lines_of, sync_folder, write_all
from andon.batch.records import BatchAnswer, BatchRequest, lost
from andon.errors import InvalidRequestError, UnknownPriceError
from andon.options import read_models
from andon.pricing.token_pricing import TokenPricing

if TYPE_CHECKING:
    from andon.batch.engine import BatchJob
    from andon.client import AsyncClient


class AskedFile:
    """The names of requests that are asked, on the disk before each is.

    It lies beside the file of answers while a batch runs, and is gone when that ends in order.

    :param answers: the file of answers, which is open, and so no other process's.
    """

    def __init__(self, answers: Path) -> None:
        self._path = answers.with_name(f"{answers.name}.asked")

    @property
    def names(self) -> frozenset[str]:
        """Who is there; a last name that is only half written was not asked yet.

        :raises InvalidRequestError: the file is somebody else's.
        """
        try:
            lines = [line for _, line in lines_of(self._path) if line.endswith(b"\n")]
            names = [json.loads(line) for line in lines]
        except FileNotFoundError:
            return frozenset()
        except ValueError:
            names = [None]
        if not all(isinstance(name, str) for name in names):
            raise InvalidRequestError(
                f"{self._path} is not of a batch, and would be overwritten; move it, or name "
                "another file for the answers"
            )
        return frozenset(names)

    def noting(self, requests: Iterable[BatchRequest]) -> Iterator[BatchRequest]:
        """Give requests, each when its name is on the disk.

        :param requests: what is to be asked.
        :raises OSError: the file cannot be written.
        """
        file = os.open(self._path, APPENDING, 0o666)
        try:
            sync_folder(self._path)
            for request in requests:
                write_all(file, json.dumps(request.custom_id).encode() + b"\n")
                os.fsync(file)
                yield request
        finally:
            os.close(file)

    def remove(self) -> None:
        """Forget them all: no answer is missing that was paid for."""
        self._path.unlink(missing_ok=True)


def settle_doubt(requests: Iterable[BatchRequest], job: BatchJob) -> list[BatchAnswer]:
    """Return answers that say that nobody knows the answer; none where asking again is free.

    :param requests: what was asked; nobody knows whether it was answered.
    :param job: how they are asked.
    """
    return asyncio.run(_settle(requests, job))


async def _settle(requests: Iterable[BatchRequest], job: BatchJob) -> list[BatchAnswer]:
    async with job.make_client() as client:
        return [lost(request) for request in requests if not _is_free(request, job, client)]


def _is_free(request: BatchRequest, job: BatchJob, client: AsyncClient) -> bool:
    named = job.models or request.body["model"]
    try:
        prices = [client.price(str(ref)) for ref in read_models(named, job.settings.routes)]
    except UnknownPriceError:
        return False
    return all(TokenPricing.from_price(price).is_free for price in prices)
