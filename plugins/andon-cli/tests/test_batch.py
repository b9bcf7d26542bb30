"""``andon batch``: over real servers, stopped and started again, in a real terminal."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pexpect
import pytest

from andon.testing.server import Peer, ReceivedRequest, ScriptedServer, respond


class Upstream(ScriptedServer):
    """Answers, and counts what it is asked."""

    def __init__(self) -> None:
        super().__init__(self._answer)
        self.asked: list[str] = []
        #: Requests from this one on are answered when they are let go.
        self.silent_from = 10**9
        self.let_go = threading.Event()
        self._counting = threading.Lock()

    def _answer(self, request: ReceivedRequest) -> Any:
        name = request.json()["messages"][0]["content"]
        with self._counting:
            self.asked.append(name)
            silent = len(self.asked) > self.silent_from
        return [self._hold, *self._reply(name)] if silent else self._reply(name)

    def _hold(self, peer: Peer) -> None:
        self.holding.set()
        self.let_go.wait(60)

    def _reply(self, name: str) -> list[Any]:
        if name.startswith("bad"):
            return [respond(400, b'{"error": {"message": "no", "code": "bad"}}')]
        reply = {
            "id": f"id-{name}",
            "choices": [{"message": {"content": f"re {name}"}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 2, "completion_tokens": 3},
        }
        return [respond(200, json.dumps(reply).encode())]


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as server:
        yield server


@pytest.fixture
def home(tmp_path: Path, environment: dict[str, str], upstream: Upstream) -> Path:
    home = tmp_path / "home"
    environment["STUB_API_KEY"] = "key"
    environment["XDG_DATA_HOME"] = str(tmp_path / "data")
    settle(home, upstream)
    return home


def settle(home: Path, upstream: Upstream, more: str = "") -> None:
    (home / "andon.toml").write_text(
        f'{more}\n[endpoints.keyed]\nbase_url = "{upstream.url}/v1"\n'
        '[prices."keyed:*"]\ninput = "1000"\noutput = "1000"\n'
    )


def write(home: Path, *texts: str) -> None:
    with (home / "in.jsonl").open("w") as file:
        for number, text in enumerate(texts):
            body = {"model": "keyed:m", "messages": [{"role": "user", "content": text}]}
            line = {"custom_id": f"r{number}", "body": body | {"max_tokens": 9}}
            file.write(json.dumps(line) + "\n")


def answers(home: Path) -> dict[str, dict[str, Any]]:
    lines = [json.loads(line) for line in (home / "out.jsonl").read_text().splitlines()]
    records = {line["custom_id"]: line for line in lines}
    assert len(records) == len(lines)
    return records


def test_a_file_is_answered(run: Any, home: Path, upstream: Upstream) -> None:
    write(home, "a", "b", "c")
    done = run("batch", "in.jsonl", "-o", "out.jsonl")
    assert (done.returncode, done.stdout) == (0, "")
    assert "3 of 3 requests answered, $0.015" in done.stderr
    texts = [answers(home)[name]["response"]["body"]["choices"][0] for name in ("r0", "r1", "r2")]
    assert [choice["message"]["content"] for choice in texts] == ["re a", "re b", "re c"]
    # Started again, nothing is asked.
    done = run("batch", "in.jsonl", "-o", "out.jsonl")
    assert done.returncode == 0 and "0 of 3 requests answered, 3 before" in done.stderr
    assert len(upstream.asked) == 3


def test_errors_stand_in_their_lines(run: Any, home: Path, upstream: Upstream) -> None:
    write(home, "a", "bad b")
    done = run("batch", "in.jsonl", "-o", "out.jsonl")
    assert done.returncode == 1 and "1 with an error" in done.stderr
    assert answers(home)["r1"]["error"]["code"] == "bad"
    run("batch", "in.jsonl", "-o", "out.jsonl", "--retry-errors")
    assert sorted(upstream.asked) == ["a", "bad b", "bad b"]


def test_a_mistake_is_told_before_anything_is_sent(
    run: Any, home: Path, upstream: Upstream
) -> None:
    write(home, "a")
    with (home / "in.jsonl").open("a") as file:
        file.write("{}\n")
    done = run("batch", "in.jsonl", "-o", "out.jsonl")
    assert done.returncode == 2 and "line 2" in done.stderr
    assert not upstream.asked


def test_a_budget_stops_it_cleanly(run: Any, home: Path, upstream: Upstream) -> None:
    write(home, *map(str, range(8)))
    settle(home, upstream, 'daily_budget_usd = "0.13"')
    done = run("batch", "in.jsonl", "-o", "out.jsonl", "--concurrency", "1")
    assert done.returncode == 4
    assert "requests are left; the same command goes on" in done.stderr
    assert "daily_budget_usd" in done.stderr
    assert 0 < len(answers(home)) < 8
    settle(home, upstream, 'daily_budget_usd = "10"')
    assert run("batch", "in.jsonl", "-o", "out.jsonl").returncode == 0
    assert len(answers(home)) == 8 == len(upstream.asked)


def test_other_models(run: Any, home: Path) -> None:
    write(home, "a")
    done = run("batch", "in.jsonl", "-o", "out.jsonl", "-m", "keyed:other")
    assert done.returncode == 0
    assert answers(home)["r0"]["response"]["body"]["model"] == "keyed:other"


def test_engines(run: Any, home: Path) -> None:
    write(home, "a")
    done = run("batch", "in.jsonl", "-o", "out.jsonl", "--engine", "oxen")
    assert done.returncode == 2 and "pip install andon-oxen" in done.stderr
    done = run("batch", "in.jsonl", "-o", "out.jsonl", "--workers", "2")
    assert done.returncode == 2 and "--engine" in done.stderr


def test_the_bar_in_a_terminal(home: Path, environment: dict[str, str], upstream: Upstream) -> None:
    write(home, *map(str, range(5)))
    child = pexpect.spawn(
        sys.executable, ["-m", "andon_cli", "batch", "in.jsonl", "-o", "out.jsonl"],
        env=environment, cwd=str(home), encoding="utf-8", dimensions=(24, 60), timeout=30,
    )  # fmt: skip
    child.expect("5/5")
    child.expect("5 of 5 requests answered")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


@dataclass(slots=True)
class Running:
    """A batch in a process of its own, two requests of which are not answered yet."""

    arguments: list[str]
    process: subprocess.Popen[str]

    def interrupt(self, sent: signal.Signals) -> None:
        """Send a signal, and wait until it was heard."""
        self.process.send_signal(sent)
        assert self.process.stderr is not None
        assert any("what is under way is finished" in line for line in self.process.stderr)

    def end(self) -> str:
        return self.process.communicate(timeout=30)[1]


@pytest.fixture
def running(home: Path, environment: dict[str, str], upstream: Upstream) -> Iterator[Running]:
    write(home, *map(str, range(12)))
    upstream.silent_from = 5
    arguments = ["batch", "in.jsonl", "-o", "out.jsonl", "--concurrency", "2"]
    with subprocess.Popen(
        [sys.executable, "-m", "andon_cli", *arguments],
        env=environment, cwd=home, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            assert upstream.holding.wait(30)
            yield Running(arguments, process)
        finally:
            upstream.let_go.set()
            process.kill()


def test_killed_it_goes_on_and_pays_nothing_twice(
    home: Path, upstream: Upstream, running: Running, run: Any
) -> None:
    running.process.kill()
    running.end()
    assert 4 <= len(answers(home)) <= 5
    upstream.silent_from = 10**9
    done = run(*running.arguments)
    assert done.returncode == 1
    # Nothing was asked twice; what was under way, or about to be, may have been paid for.
    assert len(set(upstream.asked)) == len(upstream.asked) <= 12
    lost = [name for name, line in answers(home).items() if line["error"]]
    assert 1 <= len(lost) <= 2 and len(answers(home)) == 12
    assert {answers(home)[name]["error"]["code"] for name in lost} == {"AnswerLost"}
    assert f"{len(lost)} requests were under way" in done.stderr
    assert f"{12 - len(lost)} of 12" not in done.stderr and "--retry-errors" in done.stderr
    # Nobody asks them again unless told to.
    before = len(upstream.asked)
    assert run(*running.arguments).returncode == 1 and len(upstream.asked) == before
    assert run(*running.arguments, "--retry-errors").returncode == 0
    assert len(upstream.asked) == before + len(lost)
    assert not any(line["error"] for line in answers(home).values())


def test_killed_and_wanted_at_any_price(
    home: Path, upstream: Upstream, running: Running, run: Any
) -> None:
    running.process.kill()
    running.end()
    upstream.silent_from = 10**9
    assert run(*running.arguments, "--retry-errors").returncode == 0
    assert not any(line["error"] for line in answers(home).values())
    assert set(upstream.asked) == {str(number) for number in range(12)}


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_stopped_it_finishes_what_is_under_way(
    home: Path, upstream: Upstream, running: Running, run: Any, sent: signal.Signals
) -> None:
    running.interrupt(sent)
    upstream.let_go.set()
    told = running.end()
    assert running.process.returncode == 130 and "the same command goes on" in told
    assert len(answers(home)) == len(upstream.asked) < 12
    assert run(*running.arguments).returncode == 0
    assert sorted(upstream.asked, key=int) == [str(number) for number in range(12)]
    assert len(answers(home)) == 12


def test_stopped_twice_it_drops_what_is_under_way(
    home: Path, upstream: Upstream, running: Running, run: Any
) -> None:
    running.interrupt(signal.SIGINT)
    running.process.send_signal(signal.SIGINT)
    told = running.end()
    assert running.process.returncode == 130 and "the same command goes on" in told
    upstream.silent_from = 10**9
    assert run(*running.arguments).returncode == 1
    assert len(set(upstream.asked)) == len(upstream.asked)
    assert len(answers(home)) == 12
