"""Completion, asked for by the shells themselves."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pexpect = pytest.importorskip("pexpect", reason="needs a pseudo-terminal")


@pytest.fixture
def shell(environment: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """Put the command on the path."""
    command = tmp_path / "bin" / "andon"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m andon_cli "$@"\n')
    command.chmod(0o755)
    environment["PATH"] = f"{command.parent}:{environment['PATH']}"
    return environment


def need(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


def in_bash(environment: dict[str, str], line: str) -> list[str]:
    code = (
        'eval "$(andon completion bash)"\n'
        f"COMP_LINE={line!r} COMP_POINT={len(line)}\n"
        '_andon_completion andon\nprintf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    done = subprocess.run(
        [need("bash"), "-c", code], env=environment, capture_output=True, text=True, timeout=60,
        check=True,
    )  # fmt: skip
    assert done.stderr == ""
    return done.stdout.splitlines()


def in_fish(environment: dict[str, str], line: str) -> list[str]:
    code = f"andon completion fish | source; complete -C {line!r}"
    done = subprocess.run(
        [need("fish"), "--no-config", "-c", code], env=environment, capture_output=True,
        text=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stderr == ""
    return [row.partition("\t")[0] for row in done.stdout.splitlines()]


Ask = Callable[[dict[str, str], str], list[str]]


@pytest.mark.parametrize("ask", [in_bash, in_fish])
def test_commands_options_backends_and_models(shell: dict[str, str], ask: Ask) -> None:
    assert ask(shell, "andon tem") == ["template"]
    assert ask(shell, "andon hel") == ["hello"]
    assert ask(shell, "andon config s") == ["schema", "show"]
    assert ask(shell, "andon chat --max") == ["--max-tokens"]
    assert ask(shell, "andon chat x --privacy so") == ["sovereign"]
    assert ask(shell, "andon models --backend st") == ["stub"]
    assert ask(shell, "andon ask stub") == ["stub:resume"]
    # A question follows, and no other model.
    assert "stub:resume" not in ask(shell, "andon ask stub:resume stub")


def test_bash_takes_a_colon_for_the_end_of_a_word(shell: dict[str, str]) -> None:
    assert in_bash(shell, "andon ask stub:re") == ["resume"]


def test_routes_are_completed(shell: dict[str, str]) -> None:
    folder = Path(shell["XDG_CONFIG_HOME"]) / "andon"
    folder.mkdir()
    (folder / "andon.toml").write_text('[routes.zzz]\nmodels = ["stub:echo"]\n')
    assert in_bash(shell, "andon chat zz") == ["zzz"]
    (folder / "andon.toml").write_text("[routes.zzz\n")
    # Whatever is broken, a shell is no place to say so.
    assert "".join(in_bash(shell, "andon chat zz")) == ""


@pytest.mark.parametrize(
    ("name", "arguments"), [("bash", ["--norc", "--noprofile", "-i"]), ("zsh", ["-f", "-i"])]
)
def test_a_model_is_completed_while_typing(
    shell: dict[str, str], name: str, arguments: list[str]
) -> None:
    child = pexpect.spawn(
        need(name), arguments,
        env=shell | {"PS1": "$ ", "TERM": "dumb"}, dimensions=(24, 100), encoding="utf-8",
        timeout=30,
    )  # fmt: skip
    if name == "zsh":
        child.sendline(
            "unsetopt zle_bracketed_paste 2>/dev/null; autoload -U compinit; compinit -u"
        )
    child.sendline(f'eval "$(andon completion {name})"; echo ready')
    child.expect_exact("ready")
    child.expect_exact("ready")
    child.send("andon ask stub:res\t")
    child.expect_exact("ume")
    child.send(" hello\r")
    child.expect_exact("half an answer, and the rest")
    child.sendline("exit")
    child.close(force=True)


def test_the_shell_is_guessed(run: Any) -> None:
    assert run("completion", SHELL="/usr/bin/zsh").stdout.startswith("#compdef andon")
    done = run("completion", SHELL="/bin/tcsh")
    assert done.returncode == 2 and "bash, fish, zsh" in done.stderr


def test_no_backend_is_made(run: Any, environment: dict[str, str]) -> None:
    environment |= {"_ANDON_COMPLETE": "bash_complete", "COMP_LINE": "andon chat "}
    done = run(PYTHONVERBOSE="1")
    assert "plain,stub:resume" in done.stdout
    assert "import 'andon.client'" in done.stderr
    for heavy in ("rich", "prompt_toolkit", "llama_cpp", "torch", "httpx2"):
        assert f"import '{heavy}'" not in done.stderr
