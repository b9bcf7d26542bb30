"""The public types, as mypy and pyright show them to users."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent / "typed"
MISTAKES = HERE / "mistakes.py"


def mypy(path: Path, cache: Path) -> set[int]:
    """Return the lines that mypy objects to."""
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", "", "--no-error-summary"]
    command += ["--hide-error-context", "--cache-dir", str(cache), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=HERE)
    assert not done.stderr, done.stderr
    lines = [line for line in done.stdout.splitlines() if ": error:" in line]
    return {int(line.split(":")[1]) for line in lines if path.name in line.split(":")[0]}


def pyright(path: Path) -> set[int]:
    """Return the lines that pyright objects to."""
    command = ["pyright", "--outputjson", "--pythonpath", sys.executable, str(path)]
    program = shutil.which("pyright", path=str(Path(sys.executable).parent))
    if program is None:
        pytest.skip("pyright is not installed")
    done = subprocess.run(
        [program, *command[1:]], capture_output=True, text=True, check=False, cwd=HERE
    )
    if not done.stdout.strip().startswith("{"):
        pytest.skip(f"pyright cannot be had: {done.stderr[-200:]}")
    found = json.loads(done.stdout)["generalDiagnostics"]
    return {item["range"]["start"]["line"] + 1 for item in found if item["severity"] == "error"}


def wrong_lines() -> set[int]:
    """Return the lines that say that they are wrong."""
    text = MISTAKES.read_text(encoding="utf-8").splitlines()
    return {number for number, line in enumerate(text, 1) if "# wrong" in line}


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_what_users_write_has_the_types_that_they_expect(checker: str, tmp_path: Path) -> None:
    path = HERE / "user_code.py"
    assert (mypy(path, tmp_path) if checker == "mypy" else pyright(path)) == set()


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_mistakes_are_found(checker: str, tmp_path: Path) -> None:
    found = mypy(MISTAKES, tmp_path) if checker == "mypy" else pyright(MISTAKES)
    assert found == wrong_lines()
