"""The real command in a process of its own."""

from __future__ import annotations

import importlib
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import andon
import andon_cli
from andon_cli.main import COMMANDS


def test_version(run: Any) -> None:
    expected = f"andon {andon.__version__} (andon-cli {andon_cli.__version__}, Python "
    assert run("--version").stdout.startswith(expected)


def test_help_lists_our_commands_and_those_of_plugins(run: Any) -> None:
    for done in (run("--help"), run()):
        assert (done.returncode, done.stderr) == (0, "")
        assert all(summary in done.stdout for summary in COMMANDS.values())
        assert done.stdout.index("Commands of plugins:") < done.stdout.index("hello")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(run: Any, name: str) -> None:
    done = run(name, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Usage: andon {name} ")
    assert importlib.import_module(f"andon_cli.commands.{name}").command.name == name


def test_the_list_of_commands_imports_none_of_them() -> None:
    code = (
        "import sys\nfrom andon_cli.main import cli\n"
        "cli.main(['--version'], standalone_mode=False)\n"
        "heavy = {'rich', 'prompt_toolkit', 'andon.client', 'pluggy', 'pydantic', 'asyncio'}\n"
        "sys.exit(repr(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


def test_a_broken_setting_is_a_line(run: Any, tmp_path: Path) -> None:
    (tmp_path / "home" / "andon.toml").write_text("privacy = 'secret'")
    done = run("models")
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and "Traceback" not in done.stderr
    assert run("--help").returncode == 0


def test_piped_output_has_no_colours(run: Any) -> None:
    for arguments in (["models"], ["plugins"], ["template", "qwen2"], ["chat", "stub:echo", "x"]):
        done = run(*arguments)
        assert "\x1b" not in done.stdout + done.stderr


def start(environment: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "andon_cli", *arguments],
        env=environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.parametrize("model", ["stub:endless", "stub:silent"])
def test_ctrl_c_ends_with_130(environment: dict[str, str], model: str) -> None:
    with start(environment, "chat", model, "go") as process:
        assert process.stdout is not None
        assert process.stdout.read(4) in {"tick", "well"}
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=30)
    assert (process.returncode, stderr.strip()) == (130, "")


def test_a_reader_that_leaves_is_no_error(environment: dict[str, str]) -> None:
    with start(environment, "chat", "stub:endless", "go") as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.read(4) == "tick"
        process.stdout.close()
        assert (process.wait(timeout=30), process.stderr.read()) == (141, "")


def test_the_demo_model_answers(run: Any, demo: str) -> None:
    options = ["--temperature", "0", "--json", "--privacy", "sovereign"]
    done = run("chat", demo, "What is the capital of France?", *options)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["text"] == "The capital of France is Paris."
    assert (answer["backend"], answer["cost_usd"]) == ("llama-cpp", "0")


def test_the_demo_model_completes(run: Any, demo: str) -> None:
    done = run("complete", demo, "The capital of", "--max-tokens", "4")
    assert done.returncode == 0 and done.stdout
