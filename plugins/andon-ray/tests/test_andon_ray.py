"""Batches on a real Ray of this machine, with two workers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import pytest

from andon import (
    AuthenticationError,
    ConfigurationError,
    DailyBudgetExceeded,
    Plugins,
    PrivacyTier,
    PrivacyViolation,
    Settings,
)
from andon.settings import NetworkSettings
from andon.testing.server import ReceivedRequest, ScriptedServer, respond
from andon_ray.cluster_settings import check_settings
from andon_ray.worker import Stop

# Ray takes its time to begin and to end, the more so on a busy machine.
pytestmark = pytest.mark.timeout(300)

HERE = Path(__file__).parent

#: Answers a batch; in a process of its own, since Ray's workers take over its environment.
DRIVER = """
import json, sys
from pathlib import Path
from andon import AsyncClient, AndonError, Plugins
from andon.batch import BatchJob, run_batch
from andon.settings import Settings, override

folder, options = Path(sys.argv[1]), json.loads(sys.argv[2])
again = options.pop("retry_errors", False)
settings = override(Settings(), ledger=f"sqlite:///{folder}/spend.db", **options)
job = BatchJob(
    make_client=lambda: AsyncClient(settings=settings), settings=settings, concurrency=4, workers=2
)
engine = Plugins().batch_engine("ray").create()
report = run_batch(
    folder / "requests.jsonl", folder / "answers.jsonl", job, engine=engine, retry_errors=again
)
stopped = report.stopped
print(report.done, report.failed, type(stopped).__name__, str(stopped))
"""


class Upstream(ScriptedServer):
    """Counts what it is asked and by whom, and kills whoever asks the fatal question."""

    def __init__(self) -> None:
        super().__init__(self._answer)
        self.asked: list[str] = []
        self.fatal: set[str] = set()
        self.pids: set[str] = set()
        self._counting = threading.Lock()

    def _answer(self, request: ReceivedRequest) -> Any:
        name = request.json()["messages"][0]["content"]
        with self._counting:
            self.asked.append(name)
            self.pids.add(request.target.split("/")[1])
            fatal = name in self.fatal
            self.fatal.discard(name)
        reply = {
            "id": f"id-{name}",
            "choices": [{"message": {"content": f"re {name}"}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 2, "completion_tokens": 3},
        }
        answer = respond(200, json.dumps(reply).encode())
        # Each worker tells its process in the address.
        pid = int(request.target.split("/")[1])
        return [lambda peer: os.kill(pid, signal.SIGKILL), answer] if fatal else [answer]


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as server:
        yield server


class Folder:
    """A machine with the plugin of the tests, and a batch."""

    def __init__(self, path: Path, upstream: Upstream) -> None:
        self.path = path
        info = path / "site" / "andon_upstream-1.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: andon-upstream\nVersion: 1\n")
        (info / "entry_points.txt").write_text("[andon]\nup = andon_upstream\n")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("ANDON_", "RAY_"))}
        search = [str(path / "site"), str(HERE), os.environ.get("PYTHONPATH", "")]
        self.environment = kept | {
            "PYTHONPATH": os.pathsep.join(part for part in search if part),
            "HOME": str(path),
            "ANDON_TEST_UPSTREAM": upstream.url,
        }

    def write(self, count: int) -> None:
        with (self.path / "requests.jsonl").open("w") as file:
            for number in range(count):
                name = f"r{number}"
                body = {"model": "up:m", "messages": [{"role": "user", "content": name}]}
                file.write(json.dumps({"custom_id": name, "body": body | {"max_tokens": 9}}) + "\n")

    def start(self, **options: Any) -> subprocess.Popen[str]:
        prices = {"up:m": {"input": "1000000", "output": "1000000"}}
        settings = json.dumps({"prices": prices, **options})
        return subprocess.Popen(
            [sys.executable, "-c", DRIVER, str(self.path), settings],
            env=self.environment, cwd=self.path, text=True, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip

    def run(self, **options: Any) -> str:
        driver = self.start(**options)
        try:
            told, errors = driver.communicate(timeout=240)
        finally:
            if driver.poll() is None:
                os.killpg(driver.pid, signal.SIGKILL)
        assert driver.returncode == 0, errors
        return told.strip().splitlines()[-1]

    @property
    def _records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.path / "answers.jsonl").read_text().splitlines()]

    @property
    def names(self) -> list[str]:
        return [record["custom_id"] for record in self._records]

    @property
    def lost(self) -> set[str]:
        return {record["custom_id"] for record in self._records if record["error"]}


@pytest.fixture
def folder(tmp_path: Path, upstream: Upstream) -> Folder:
    return Folder(tmp_path, upstream)


def test_two_workers_share_the_work_and_one_dies(folder: Folder, upstream: Upstream) -> None:
    folder.write(60)
    upstream.fatal = {"r20"}
    done, failed, *_ = folder.run(daily_budget_usd="100000").split(" ")
    assert sorted(folder.names) == sorted({f"r{number}" for number in range(60)})
    # What the dead worker had under way may be paid for: it is not asked again unasked.
    assert done == "60" and int(failed) == len(folder.lost) and "r20" in folder.lost
    assert 1 <= len(folder.lost) <= 4
    assert max(Counter(upstream.asked).values()) == 1
    # Both workers asked, and the one that came in a worker's place.
    assert len(upstream.pids) == 3
    # Started again, only that is asked.
    before, lost = len(upstream.asked), folder.lost
    assert folder.run(retry_errors=True).startswith("60 0")
    assert set(upstream.asked[before:]) == lost and not folder.lost


def test_a_budget_holds_for_all_workers_together(folder: Folder, upstream: Upstream) -> None:
    folder.write(30)
    told = folder.run(daily_budget_usd="200")
    done, failed, kind, *words = told.split(" ")
    assert (failed, kind) == ("0", "BudgetError") and "daily_budget_usd" in " ".join(words)
    assert 0 < int(done) < 30
    assert len(upstream.asked) == int(done) == len(folder.names)
    assert int(done) * 5 <= 200


def test_a_driver_that_is_killed(folder: Folder, upstream: Upstream) -> None:
    folder.write(40)
    upstream.fatal = set()
    half = threading.Event()
    answer = upstream.otherwise

    def notice(request: ReceivedRequest) -> Any:
        script = answer(request)
        if len(upstream.asked) >= 20:
            half.set()
        return script

    upstream.otherwise = notice
    driver = folder.start()
    try:
        assert half.wait(200)
    finally:
        os.kill(driver.pid, signal.SIGKILL)
        driver.communicate()
        # Ray's own processes would end a little later by themselves.
        os.killpg(driver.pid, signal.SIGKILL)
    assert folder.run().startswith("40 ")
    assert sorted(folder.names) == sorted({f"r{number}" for number in range(40)})
    assert max(Counter(upstream.asked).values()) == 1
    assert 1 <= len(folder.lost) <= 2 * 4


# -- Without Ray -------------------------------------------------------------------------------------


def test_the_plugin_is_found() -> None:
    assert Plugins().batch_engine("ray") is not None


def test_what_would_not_hold_on_many_machines_is_refused() -> None:
    near = Settings(privacy=PrivacyTier.SOVEREIGN)
    with pytest.raises(PrivacyViolation, match="unset RAY_ADDRESS"):
        check_settings(near, 2)
    check_settings(Settings(privacy=PrivacyTier.PRIVATE), 2)
    budget = Decimal(10)
    with pytest.raises(ConfigurationError, match="name a ledger"):
        check_settings(Settings(daily_budget_usd=budget), 1)
    file = Settings(daily_budget_usd=budget, ledger="sqlite:///spend.db")
    check_settings(file, 1)
    with pytest.raises(ConfigurationError, match="redis"):
        check_settings(file, 3)
    check_settings(Settings(daily_budget_usd=budget, ledger="redis://one:6379"), 3)
    check_settings(Settings(), 3)


@pytest.mark.parametrize("installed", [True, False])
def test_the_guard_sees_what_workers_do(
    monkeypatch: pytest.MonkeyPatch, *, installed: bool
) -> None:
    spec = ModuleSpec("uvloop", None) if installed else None
    monkeypatch.setattr("andon_ray.cluster_settings.find_spec", lambda _: spec)
    near = Settings(privacy=PrivacyTier.SOVEREIGN)
    if not installed:
        check_settings(near, 1)
        return
    with pytest.raises(PrivacyViolation, match="uninstall uvloop"):
        check_settings(near, 1)
    check_settings(Settings(privacy=PrivacyTier.SOVEREIGN, network=NetworkSettings(guard=False)), 1)


def test_errors_travel_as_their_kind() -> None:
    refused = DailyBudgetExceeded("no money")
    assert isinstance(Stop.of(refused).error, type(refused).__mro__[2])
    assert str(Stop.of(refused).error) == "no money"
    assert str(Stop.of(AuthenticationError("wrong key")).error) == "wrong key"
