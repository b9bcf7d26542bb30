"""A server is killed while it answers, and another one goes on: the caller's text is the same."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import andon_llama_cpp
from andon import Client
from andon.settings import Settings

#: Questions that the demo model was not trained on.
QUESTIONS = Path(__file__).parents[2] / "plugins/andon-demo-model/tests/data/held_out.jsonl"


@dataclass(frozen=True, slots=True)
class Run:
    """One answer whose server was killed.

    :param whole: the answer without that.
    :param joined: the answer that the caller got.
    :param modes: how it went on.
    :param gap: seconds between the last piece of the old and the first of the new.
    """

    whole: str
    joined: str
    modes: tuple[str, ...]
    gap: float


def questions(*, tools: bool = False) -> Iterator[dict[str, Any]]:
    """Give what the demo model was not trained on: ``messages``, and ``tools`` where wanted."""
    for line in QUESTIONS.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if bool(row.get("tools")) is tools:
            yield row


def connect(endpoints: Mapping[str, Mapping[str, Any]], *plugins: Any) -> Client:
    """Return a client of several endpoints of llama.cpp, and of further plugins."""
    settings = Settings(endpoints={name: dict(table) for name, table in endpoints.items()})
    return Client(settings=settings, discover=False, plugins=[andon_llama_cpp, *plugins])


def killed(
    client: Client,
    models: tuple[str, str],
    chat: list[dict[str, Any]],
    after: int,
    kill: Callable[[], None],
    **options: Any,
) -> Run | None:
    """Ask, kill the server after so many pieces, and return what became of the answer.

    :param client: knows both models.
    :param models: who answers, and who goes on.
    :param chat: what is asked.
    :param after: pieces of text after which the server is killed.
    :param kill: kills it.
    :param options: the call's.
    :return: None where the answer was complete before.
    """
    whole = client.chat(models[1], chat, temperature=0, **options)
    stream = client.stream(list(models), chat, temperature=0, **options)
    seen = gap = 0.0
    died: float | None = None
    text, modes = [], []
    for delta in stream:
        text.append(delta.text)
        if delta.failover is not None:
            modes.append(delta.failover.mode)
        if delta.text or delta.tool_calls:
            seen += 1
            if died is not None and modes and not gap:
                gap = time.monotonic() - died
        if seen == after and died is None:
            kill()
            died = time.monotonic()
    if not modes:
        return None
    if whole.tool_calls:
        made = [(call.name, call.arguments) for call in stream.response.tool_calls]
        wanted = [(call.name, call.arguments) for call in whole.tool_calls]
        return Run(str(wanted), str(made), tuple(modes), gap)
    return Run(whole.text, "".join(text), tuple(modes), gap)


SCHEMA = {
    "type": "object",
    "properties": {"country": {"type": "string"}, "capital": {"type": "string"}},
    "required": ["country", "capital"],
    "additionalProperties": False,
}
PLAIN = list(questions())
TOOLS = list(questions(tools=True))


class Victim:
    """A llama-server that is killed and started again."""

    def __init__(self, spawn: Callable[[], tuple[subprocess.Popen[str], str]]) -> None:
        self._spawn = spawn
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> str:
        """Start it; return its address."""
        self.kill()
        self._process, address = self._spawn()
        return address

    def kill(self) -> None:
        """Kill it with the signal that nobody can catch."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


@pytest.fixture
def run(spawn_llama_server: Any, llama_server: str) -> Iterator[Callable[..., Run | None]]:
    """Asks a fresh server, kills it after so many pieces, and lets another go on."""
    import andon_demo_model

    victim = Victim(spawn_llama_server)

    def make(row: dict[str, Any], after: int, second: str, **options: Any) -> Run | None:
        endpoints: dict[str, dict[str, Any]] = {
            "first": {"backend": "llama-cpp", "base_url": f"{victim.start()}/v1"},
            "server": {"backend": "llama-cpp", "base_url": f"{llama_server}/v1"},
        }
        plugins: list[Any] = [andon_demo_model]
        if second.startswith("candle"):
            import andon_transformers

            plugins.append(andon_transformers)
        with connect(endpoints, *plugins) as client:
            models = ("first:demo", second)
            return killed(client, models, row["messages"], after, victim.kill, **options)

    yield make
    victim.kill()


def check(runs: list[Run | None], least: int) -> None:
    """Check that every answer was the same, byte for byte, and was really broken."""
    broken = [run for run in runs if run is not None]
    assert [(run.joined, run.modes) for run in broken if run.joined != run.whole] == []
    assert len(broken) >= least
    assert all(len(run.modes) == 1 for run in broken)


@pytest.mark.parametrize("after", range(1, 9))
def test_another_server_goes_on(run: Callable[..., Any], after: int) -> None:
    # Eight cuts of 26 prompts each: every prompt once, every place of a cut 26 times.
    rows = PLAIN[after - 1 :: 8]
    check([run(row, after, "server:demo") for row in rows], least=len(rows) // 3)


@pytest.mark.parametrize("after", range(1, 6))
def test_an_engine_in_this_process_goes_on(run: Callable[..., Any], after: int) -> None:
    rows = PLAIN[after - 1 : 60 : 5]
    check([run(row, after, "llama-cpp:demo") for row in rows], least=len(rows) // 2)


def test_an_engine_of_another_make_goes_on(run: Callable[..., Any]) -> None:
    pytest.importorskip("torch")
    rows = PLAIN[:12]
    check([run(row, 1 + at % 5, "candle:demo") for at, row in enumerate(rows)], least=8)


def test_json_stays_valid(run: Callable[..., Any]) -> None:
    rows = [row for row in PLAIN if row["category"] == "JSON answers"]
    runs = [
        run(row, 1 + at % 9, "server:demo", response_format=SCHEMA) for at, row in enumerate(rows)
    ]
    check(runs, least=len(rows) // 3)
    for one in filter(None, runs):
        assert set(json.loads(one.joined)) == {"country", "capital"}
        assert one.modes == ("replay",)


def test_tool_calls_stay_whole(run: Callable[..., Any]) -> None:
    rows = [row for row in TOOLS if row["expected"].startswith("<tool_call>")]
    runs = [run(row, 1 + at % 4, "server:demo", tools=row["tools"]) for at, row in enumerate(rows)]
    check(runs, least=len(rows) // 3)
    assert any(one.whole.startswith("[(") for one in runs if one), "no call was made"
    assert {one.modes for one in runs if one} <= {("replay",), ("continue",)}
