"""Many requests from a file: OpenAI's batch format, answered in parallel, resumable.

::

    requests.jsonl → check → ask, under the gates of a client → answers.jsonl

Each line of the requests has a ``custom_id`` and a ``body`` as for ``/v1/chat/completions``; each
line of the answers has its ``custom_id`` and the response. The answers are the journal as well:
what stands there is never asked again, so a batch that was killed is simply started again. What was
under way then may be billed: it is asked again where that is free, or where that is wanted.
"""

from __future__ import annotations

from andon.batch.asking import ask_one
from andon.batch.doubt import settle_doubt
from andon.batch.engine import BatchEngine, BatchJob, LocalEngine
from andon.batch.journal import AnswerFile
from andon.batch.records import BatchAnswer, BatchRequest, read_requests
from andon.batch.run import BatchProgress, BatchReport, run_batch

__all__ = [
    "AnswerFile",
    "BatchAnswer",
    "BatchEngine",
    "BatchJob",
    "BatchProgress",
    "BatchReport",
    "BatchRequest",
    "LocalEngine",
    "ask_one",
    "read_requests",
    "run_batch",
    "settle_doubt",
]
