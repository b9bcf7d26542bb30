"""A chat in a real pseudo-terminal."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pexpect = pytest.importorskip("pexpect", reason="needs a pseudo-terminal")
if sys.platform == "win32":
    pytest.skip("needs a pseudo-terminal", allow_module_level=True)


class Terminal:
    """The command in a terminal of its own; every wait is for output."""

    def __init__(self, child: Any) -> None:
        self.child = child

    def expect(self, text: str) -> None:
        self.child.expect_exact(text)

    def ask(self, line: str, *answers: str) -> None:
        """Type a line at the prompt, and wait for what it is answered."""
        self.prompt()
        self.child.send(f"{line}\r")
        for answer in answers:
            self.expect(answer)

    def prompt(self) -> None:
        # prompt_toolkit switches this on when it has taken the terminal over.
        self.expect("\x1b[?2004h")
        self.expect(">")

    def ends(self) -> int:
        self.child.expect(pexpect.EOF)
        self.child.close()
        return int(self.child.exitstatus)


@pytest.fixture
def terminal(environment: dict[str, str], tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    children = []

    def start(*arguments: str, columns: int = 100, **variables: str) -> Terminal:
        child = pexpect.spawn(
            sys.executable, ["-m", "andon_cli", *arguments], env=environment | variables,
            cwd=str(tmp_path / "home"), dimensions=(40, columns), encoding="utf-8", timeout=30,
        )  # fmt: skip
        children.append(child)
        return Terminal(child)

    yield start
    for child in children:
        child.close(force=True)


def test_questions_are_answered_until_ctrl_d(terminal: Any) -> None:
    chat = terminal("chat", "stub:history")
    chat.expect("stub:history")
    chat.ask("one", "<user:one>")
    chat.ask("two", "<user:one><assistant:<user:one>><user:two>")
    chat.prompt()
    chat.child.sendeof()
    assert chat.ends() == 0


def test_quit_ends_the_chat(terminal: Any) -> None:
    chat = terminal("chat")
    chat.expect("/help lists")
    chat.ask("/quit")
    assert chat.ends() == 0


def test_system_model_and_clear(terminal: Any) -> None:
    chat = terminal("chat", "stub:history")
    chat.ask("one", "<user:one>")
    chat.ask("/clear", "forgotten")
    chat.ask("/system Be brief.", "system message set")
    chat.ask("two", "<system:Be brief.><user:two>")
    chat.ask("/system", "system message removed")
    chat.ask("/model stub:echo", "stub:echo answers")
    chat.ask("three", "you said: three")
    chat.ask("/model nope:x", "no installed plugin offers the backend 'nope'")
    chat.ask("/model", "stub:echo answers")


def test_help_and_misspelled_commands(terminal: Any) -> None:
    chat = terminal("chat", "stub:echo")
    chat.ask("/help", "/system TEXT", "/quit", "ctrl-c")
    chat.ask("/claer", "did you mean /clear?")
    chat.ask("/etc/hosts is what?", "you said: /etc/hosts is what?")


@pytest.mark.parametrize("model", ["stub:endless", "stub:silent"])
def test_ctrl_c_stops_the_answer_and_not_the_program(terminal: Any, model: str) -> None:
    chat = terminal("chat", model)
    chat.ask("go", "tick tick" if model == "stub:endless" else "well")
    chat.child.sendintr()
    if model == "stub:endless":
        chat.expect("<closed>")
    chat.expect("[stopped]")
    chat.ask("/model stub:history", "stub:history answers")
    chat.ask("next", " [stopped by the user]><user:next>")
    chat.ask("/quit")
    assert chat.ends() == 0


def test_ctrl_c_at_the_prompt_empties_the_line(terminal: Any) -> None:
    chat = terminal("chat", "stub:history")
    chat.prompt()
    chat.child.send("half a questi")
    chat.expect("questi")
    chat.child.sendintr()
    chat.expect("ctrl-d ends the chat")
    chat.ask("whole", "<user:whole>")


def test_failures_do_not_end_the_chat(terminal: Any) -> None:
    chat = terminal("chat", "stub:failing")
    chat.ask("one", "error:", "on fire")
    chat.ask("/model stub:broken", "answers")
    chat.ask("two", "half an", "error:", "went away")
    chat.ask("/model stub:history", "answers")
    chat.ask("three", "<user:two><assistant:half an  [broken off]><user:three>")


def test_a_chat_that_outgrows_the_window_says_what_to_do(terminal: Any) -> None:
    chat = terminal("chat", "stub:small")
    chat.ask("one", "you said: one")
    chat.ask("two", "error:", "/clear begins a new one")
    chat.ask("/clear", "forgotten")
    chat.ask("three", "you said: three")


def test_an_answer_cannot_command_the_terminal(terminal: Any) -> None:
    chat = terminal("chat", "stub:hostile")
    chat.ask("x", "␛]0;owned␇done")


def test_thoughts_are_shown_apart(terminal: Any) -> None:
    chat = terminal("chat", "stub:thoughts", "x")
    chat.expect("\x1b[2mhmm\x1b[0m\r\n\r\naha\r\n")
    assert chat.ends() == 0


def test_no_colour_is_respected(terminal: Any) -> None:
    for arguments in (
        ["models"],
        ["template", "qwen2-7b-instruct"],
        ["chat", "stub:thoughts", "x"],
    ):
        command = terminal(*arguments, NO_COLOR="1")
        assert command.ends() == 0
        assert "\x1b" not in command.child.before


def test_colours_are_shown_on_a_terminal(terminal: Any) -> None:
    command = terminal("template", "qwen2-7b-instruct", "Hello")
    command.ends()
    assert "user\r\n\x1b[0mHello\x1b[36m<|im_end|>" in command.child.before


def test_a_narrow_terminal_breaks_lines_between_words(terminal: Any) -> None:
    for arguments in (["models"], ["plugins"], ["backends"], ["chat", "nope:x", "hi"], ["--help"]):
        command = terminal(*arguments, columns=40)
        command.ends()
        plain = re.sub(r"\x1b\[[0-9;]*m", "", command.child.before)
        assert max(map(len, plain.splitlines())) <= 40


def test_the_demo_model_chats(terminal: Any, demo: str) -> None:
    chat = terminal("chat", "--temperature", "0")
    chat.expect(demo)
    chat.ask("What is the capital of France?", "The capital of France is Paris.")
    chat.prompt()
    chat.child.sendeof()
    assert chat.ends() == 0
