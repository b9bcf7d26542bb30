"""``andon batch``: over real servers, stopped and started again, in a real terminal."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest

from andon.testing.server import ReceivedRequest, ScriptedServer, hold, respond


class Upstream(ScriptedServer):
    """Answers, and counts what it is asked."""

    def __init__(self) -> None:
        super().__init__(self._answer)
        self.asked: list[str] = []
        #: Requests from this one on are never answered.
        self.silent_from = 10**9

    def _answer(self, request: ReceivedRequest) -> Any:
        name = request.json()["messages"][0]["content"]
        self.asked.append(name)
        if len(self.asked) > self.silent_from:
            return [hold]
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


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_it_goes_on_where_it_was_stopped(
    home: Path, environment: dict[str, str], upstream: Upstream, sent: signal.Signals, run: Any
) -> None:
    write(home, *map(str, range(12)))
    upstream.silent_from = 5
    arguments = ["batch", "in.jsonl", "-o", "out.jsonl", "--concurrency", "2"]
    child = subprocess.Popen(
        [sys.executable, "-m", "andon_cli", *arguments],
        env=environment, cwd=home, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert upstream.holding.wait(30)
    os.kill(child.pid, sent)
    told = child.communicate(timeout=30)[1]
    if sent is signal.SIGINT:
        assert child.returncode == 130 and "the same command goes on" in told
    kept = answers(home)
    assert 4 <= len(kept) <= 5
    upstream.silent_from = 10**9
    before = len(upstream.asked)
    assert run(*arguments).returncode == 0
    assert len(answers(home)) == 12
    assert len(upstream.asked) - before == 12 - len(kept)
