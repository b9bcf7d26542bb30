"""The two doors: what ``make`` does once everything is there, tried with a stand-in for andon."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")

STAND_IN = '#!/bin/sh\nfor argument; do printf "<%s>" "$argument"; done\n'


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Make a checkout in which `make chat` has been run before."""
    for name in ("Makefile", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path / name)
    for path in ROOT.glob("plugins/*/pyproject.toml"):
        copied = tmp_path / path.relative_to(ROOT)
        copied.parent.mkdir(parents=True)
        copied.touch()
    (tmp_path / "core").mkdir()
    (tmp_path / "core/pyproject.toml").touch()
    [llama] = [
        line.partition("==")[2]
        for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
        if line.startswith("llama-cpp-python==")
    ]
    for made in (".tools/uv.env", f".tools/wheels/llama-cpp-{llama}.stamp", ".venv/chat.stamp"):
        (tmp_path / made).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / made).touch()
    andon = tmp_path / ".venv/bin/andon"
    andon.parent.mkdir()
    andon.write_text(STAND_IN, encoding="utf-8")
    andon.chmod(0o755)
    return tmp_path


def make(folder: Path, *arguments: str) -> str:
    # The tests themselves may run under make, which tells its children so.
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(
        ["make", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_a_second_start_runs_andon_and_nothing_else(checkout: Path) -> None:
    assert make(checkout, "-n", "chat") == "exec .venv/bin/andon chat 'llama-cpp:demo'"


@pytest.mark.parametrize(
    "question",
    [
        "What is the capital of France?",
        'What\'s $5 and "x"?',
        "`id`; echo (y) #z & *",
        "Größe = 1 % 2 | 日本",
    ],
)
def test_a_question_arrives_as_it_was_asked(checkout: Path, question: str) -> None:
    assert make(checkout, "chat", f"Q={question}") == f"<chat><llama-cpp:demo><{question}>"


def test_another_model(checkout: Path) -> None:
    assert make(checkout, "chat", "MODEL=ollama:llama3.1:8b") == "<chat><ollama:llama3.1:8b>"


def test_help_names_the_doors(checkout: Path) -> None:
    printed = make(checkout)
    assert "make chat" in printed
    assert "make test" in printed


def test_a_new_dependency_renews_the_environment(checkout: Path) -> None:
    later = (checkout / ".venv/chat.stamp").stat().st_mtime + 10
    os.utime(checkout / "core/pyproject.toml", (later, later))
    assert "uv pip install" in make(checkout, "-n", "chat")
