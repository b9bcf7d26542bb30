"""A plugin with models for tests, installed and handed over; and the real command."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import TypeAlias

import pytest
from click.testing import CliRunner, Result

from andon_cli.app import App
from andon_cli.main import cli

STUBS = Path(__file__).parent / "stubs"

Invoke: TypeAlias = Callable[..., Result]
Run: TypeAlias = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def stub() -> ModuleType:
    spec = importlib.util.spec_from_file_location("andon_stub", STUBS / "andon_stub.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def invoke(stub: ModuleType) -> Invoke:
    """Run the command line in this process, with the stub as its only plugin."""

    def run(*arguments: str, app: App | None = None, stdin: str | bytes = "") -> Result:
        app = app or App(plugins=[stub], discover=False)
        return CliRunner().invoke(cli, arguments, input=stdin, obj=app, prog_name="andon")

    return run


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Make a machine where the distributions of the stub and of a broken plugin are installed."""
    site = tmp_path / "site"
    for name in ("stub", "wreck"):
        info = site / f"andon_{name}-1.2.dist-info"
        info.mkdir(parents=True)
        metadata = f"Metadata-Version: 2.1\nName: andon-{name}\nVersion: 1.2\n"
        (info / "METADATA").write_text(metadata)
        (info / "entry_points.txt").write_text(f"[andon]\n{name} = andon_{name}\n")
    (tmp_path / "home").mkdir()
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith("ANDON_") and key not in {"NO_COLOR", "COLUMNS", "LINES"}
    }
    search = [str(site), str(STUBS), os.environ.get("PYTHONPATH", "")]
    return kept | {
        "PYTHONPATH": os.pathsep.join(part for part in search if part),
        "HOME": str(tmp_path / "home"),
        "XDG_CONFIG_HOME": str(tmp_path / "home"),
        "TERM": "xterm-256color",
        "PROMPT_TOOLKIT_NO_CPR": "1",
    }


@pytest.fixture
def run(environment: dict[str, str], tmp_path: Path) -> Run:
    """Run the real command in a process of its own."""

    def run(*arguments: str, stdin: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "andon_cli", *arguments],
            input=stdin, env=environment | variables, cwd=tmp_path / "home",
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    return run


@pytest.fixture
def demo() -> str:
    """Give the demo model's name, where it and an engine for it are installed."""
    found = {point.name for point in entry_points(group="andon")}
    if not {"demo", "llama-cpp"} <= found or importlib.util.find_spec("llama_cpp") is None:
        pytest.skip("the demo model or llama.cpp is not installed")
    return "llama-cpp:demo"
