"""A batch that is killed at any moment, over and over: nothing is lost, and nothing paid twice."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from andon import CircuitBreakerConfig, CostCircuitBreaker
from andon.budget.sqlite import SQLiteLedger
from andon.testing.server import ReceivedRequest, ScriptedServer, respond

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is POSIX's")

REQUESTS, CONCURRENCY = 40, 4

#: What is killed: answers a batch with one client, over real connections.
WORKER = """
import sys
from pathlib import Path
from types import ModuleType
from andon import AsyncClient, Locality, Price, hookimpl
from andon.backends.http_backend import http_backend_spec
from andon.batch import BatchJob, run_batch
from andon.settings import Settings
from andon.wire.endpoint import EndpointSpec
from andon.wire.openai_chat import openai_dialect

url, folder, concurrency = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
endpoint = EndpointSpec(base_url=url + "/v1", locality=Locality.PUBLIC)
spec = http_backend_spec("up", endpoint, openai_dialect())
plugin = ModuleType("up")
plugin.andon_register_backends = hookimpl(lambda: [spec])

def make_client():
    return AsyncClient(
        discover=False, plugins=[plugin], prices={"up:m": Price(input=1_000_000, output=1_000_000)},
        ledger=f"sqlite:///{folder}/spend.db", daily_budget_usd=1_000_000,
        endpoints={"up": {"base_url": url + "/v1"}},
    )

job = BatchJob(make_client=make_client, settings=Settings(), concurrency=concurrency)
report = run_batch(
    folder / "requests.jsonl", folder / "answers.jsonl", job, retry_errors=len(sys.argv) > 4
)
assert report.stopped is None and report.done == report.total, report
"""


class Upstream(ScriptedServer):
    """Counts what it is asked, and kills who asks at a moment of its choice."""

    def __init__(self) -> None:
        super().__init__(self._answer)
        self.asked: list[str] = []
        self.kill_at: int | None = None
        self.victim: subprocess.Popen[bytes] | None = None
        self._counting = threading.Lock()

    def _answer(self, request: ReceivedRequest) -> Any:
        name = request.json()["messages"][0]["content"]
        with self._counting:
            self.asked.append(name)
            due = self.kill_at is not None and len(self.asked) >= self.kill_at
        completion = {
            "id": f"id-{name}",
            "model": "m",
            "choices": [
                {"index": 0, "message": {"content": f"re {name}"}, "finish_reason": "stop"}
            ],
            "usage": {"prompt_tokens": 2, "completion_tokens": 3},
        }
        answer = respond(200, json.dumps(completion).encode())
        return [lambda peer: self._kill(), answer] if due else [answer]

    def _kill(self) -> None:
        assert self.victim is not None
        os.kill(self.victim.pid, signal.SIGKILL)

    def run(self, folder: Path, kill_at: int | None, *more: str) -> int:
        """Run the batch until it is killed at so many further requests, or to its end."""
        with self._counting:
            self.kill_at = None if kill_at is None else len(self.asked) + kill_at
            # Nothing is asked before the process that is to be killed is known.
            self.victim = subprocess.Popen(
                [sys.executable, "-c", WORKER, self.url, str(folder), str(CONCURRENCY), *more],
                stdout=subprocess.DEVNULL,
            )
        return self.victim.wait(60)


def answered(folder: Path) -> list[str]:
    """Return the names in the file, without a last line that is not whole."""
    path = folder / "answers.jsonl"
    if not path.exists():
        return []
    lines = path.read_bytes().splitlines(keepends=True)
    return [json.loads(line)["custom_id"] for line in lines if line.endswith(b"\n")]


def read(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the lines of a whole file, by name."""
    lines = (folder / "answers.jsonl").read_text().splitlines()
    return {record["custom_id"]: record for record in map(json.loads, lines)}


@pytest.mark.parametrize("seed", range(3))
def test_killed_at_any_moment(tmp_path: Path, seed: int) -> None:
    choose = random.Random(seed)
    names = [f"r{number}" for number in range(REQUESTS)]
    with (tmp_path / "requests.jsonl").open("w") as file:
        for name in names:
            body = {"model": "up:m", "messages": [{"role": "user", "content": name}]}
            file.write(json.dumps({"custom_id": name, "body": body | {"max_tokens": 9}}) + "\n")
    kills = 0
    with Upstream() as upstream:
        while True:
            before, heard = answered(tmp_path), len(upstream.asked)
            code = upstream.run(tmp_path, choose.randint(1, 15) if kills < 5 else None)
            # What was on disk is never asked again.
            assert not set(before) & set(upstream.asked[heard:])
            if code == 0:
                break
            assert code == -signal.SIGKILL
            kills += 1
        records = read(tmp_path)
        lost = {name for name, record in records.items() if record["error"]}
        # No request is asked a second time, and what was under way when it was killed is no answer.
        assert max(Counter(upstream.asked).values()) == 1
        assert set(upstream.asked) - lost == set(names) - lost
        assert 0 < len(lost) <= kills * CONCURRENCY
        for name, record in records.items():
            if name in lost:
                assert record["error"]["code"] == "AnswerLost"
            else:
                text = record["response"]["body"]["choices"][0]["message"]["content"]
                assert text == f"re {name}"
        before = len(upstream.asked)
        assert upstream.run(tmp_path, None, "retry") == 0
        assert set(upstream.asked[before:]) == lost
        received = len(upstream.asked)
    assert sorted(answered(tmp_path)) == sorted(names)
    assert not any(record["error"] for record in read(tmp_path).values())
    assert kills > 1
    # Whatever was asked is in the ledger: settled, or held by a process that is no more.
    ledger = SQLiteLedger(tmp_path / "spend.db")
    spent = CostCircuitBreaker(CircuitBreakerConfig(), ledger=ledger).spent_today_usd
    ledger.close()
    assert spent >= 5 * received
