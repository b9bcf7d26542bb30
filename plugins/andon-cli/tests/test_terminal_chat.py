"""A chat in a real pseudo-terminal."""

from __future__ import annotations

import json
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


def test_what_is_typed_before_the_prompt_is_there_is_asked(terminal: Any) -> None:
    chat = terminal("chat", "stub:history")
    # As soon as the program runs, and long before it asks.
    assert chat.child.waitnoecho(30)
    chat.child.send("one\rtwo\r")
    chat.expect("<user:one>")
    chat.expect("<user:one><assistant:<user:one>><user:two>")
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


def test_markdown_is_rendered_as_it_arrives(terminal: Any) -> None:
    chat = terminal("chat", "stub:markdown", "x")
    assert chat.ends() == 0
    shown = re.sub(r"\x1b\[[0-9;]*m", "", chat.child.before.replace("\r\n", "\n"))
    assert "A title\n\n" in shown and "**" not in shown
    assert shown.endswith(" • one\n • two\n\nx = 1\n")


@pytest.mark.parametrize("no_colour", [False, True])
def test_markdown_without_colours(terminal: Any, no_colour: bool) -> None:
    chat = terminal("ask", "stub:markdown", "x", **({"NO_COLOR": "1"} if no_colour else {}))
    assert chat.ends() == 0
    codes = {
        code
        for each in re.findall(r"\x1b\[([0-9;]*)m", chat.child.before)
        for code in each.split(";")
    }
    coloured = {code for code in codes if code.startswith(("3", "4", "9")) and len(code) > 1}
    assert bool(coloured) is not no_colour
    assert "**" not in chat.child.before and " • " in chat.child.before


@pytest.mark.parametrize("arguments", [["--raw"], []])
def test_markdown_is_left_as_it_is_on_request(terminal: Any, arguments: list[str]) -> None:
    variables = {} if arguments else {"TERM": "dumb"}
    chat = terminal("ask", "stub:markdown", "x", *arguments, **variables)
    chat.expect("# A title\r\n\r\n- **one**\r\n- `two`\r\n\r\n```py\r\nx = 1\r\n```\r\n")
    assert chat.ends() == 0


def test_a_question_of_several_lines(terminal: Any) -> None:
    chat = terminal("chat", "stub:lines")
    chat.prompt()
    chat.child.send("one\x1b\rtwo\\\rthree\nfour\r")
    chat.expect("one/two/three/four")


def test_pasted_lines_are_one_question(terminal: Any) -> None:
    chat = terminal("chat", "stub:lines")
    chat.prompt()
    chat.child.send("\x1b[200~one\rtwo\n\nthree\x1b[201~\r")
    chat.expect("one/two//three")


def test_questions_are_remembered_until_the_next_chat(
    terminal: Any, environment: dict[str, str], tmp_path: Path
) -> None:
    environment["XDG_STATE_HOME"] = str(tmp_path / "state")
    for arguments, question in ([], "kept"), (["--no-history"], "secret"):
        chat = terminal("chat", "stub:echo", *arguments)
        chat.ask(question, f"you said: {question}")
        chat.ask("/quit")
        assert chat.ends() == 0
    chat = terminal("chat", "stub:echo")
    chat.prompt()
    # The newest is the end of the first chat, and what was typed in it comes before that.
    chat.child.send("\x1b[A\x1b[A\r")
    chat.expect("you said: kept")
    file = tmp_path / "state" / "andon" / "chat-history"
    assert file.stat().st_mode & 0o077 == 0
    assert "secret" not in file.read_text()


def test_what_a_chat_cost(terminal: Any) -> None:
    chat = terminal("chat", "stub:echo", ANDON_DAILY_BUDGET_USD="5")
    chat.ask("/cost", "this chat: $0.00; 0 answers, 0 tokens in, 0 out")
    chat.ask("one", "you said: one")
    chat.ask("/clear", "forgotten")
    chat.ask("/cost", "1 answer, 3 tokens in, 4 out", "today, all programs: $0.00 of $5.00")
    chat.ask("/model stub:endless", "answers")
    chat.ask("go", "tick tick")
    chat.child.sendintr()
    chat.ask("/cost", "1 answer cut short")


def test_a_chat_is_saved(terminal: Any, tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "mine.md").write_text("mine")
    chat = terminal("chat", "stub:echo", "--system", "Be brief.")
    chat.ask("/save", "nothing was said yet")
    chat.ask("one", "you said: one")
    chat.ask("/save talk.json", "saved in talk.json")
    chat.ask("two", "you said: two")
    chat.ask("/save talk.json", "saved in talk.json")
    chat.ask("/save mine.md", "mine.md is there already")
    chat.ask("/save no/folder.md", "error:")
    chat.ask("/save", "saved in chat-")
    assert (home / "mine.md").read_text() == "mine"
    saved = json.loads((home / "talk.json").read_text())
    assert [(m["role"], m["content"]) for m in saved["messages"]] == [
        ("system", "Be brief."),
        ("user", "one"),
        ("assistant", "you said: one "),
        ("user", "two"),
        ("assistant", "you said: two "),
    ]
    [page] = home.glob("chat-*.md")
    assert page.read_text().startswith("# Chat with stub:echo\n\n**system**\n\nBe brief.\n")
    # Other commands read what was saved.
    template = terminal("template", "qwen2", "--messages", "talk.json")
    template.expect("you said: two")
    assert template.ends() == 0


def test_a_failover_is_said_and_nothing_is_lost(terminal: Any, tmp_path: Path) -> None:
    (tmp_path / "home" / "andon.toml").write_text(
        '[routes.best]\nmodels = ["stub:broken", "stub:resume"]\n'
        '[routes.second]\nmodels = ["stub:failing", "stub:echo"]\n'
    )
    chat = terminal("chat", "best")
    chat.ask(
        "one",
        "half an answer, and the rest\r\n",
        "[stub:broken broke off; stub:resume went on]",
    )
    chat.ask("/model second", "second answers")
    chat.ask("two", "you said: two", "[stub:failing failed (the server is on fire); stub:echo")
    chat.ask("/model third", "neither a model", "nor a route")


def test_models_are_completed(terminal: Any) -> None:
    chat = terminal("chat", "stub:echo")
    chat.prompt()
    chat.child.send("/mod\t")
    chat.expect("el")
    chat.child.send(" stub:re\t")
    chat.expect("sume")
    chat.child.send("\r")
    chat.expect("stub:resume answers")


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


def test_thoughts_between_texts_leave_both_whole(terminal: Any) -> None:
    chat = terminal("chat", "stub:afterthoughts", "x")
    assert chat.ends() == 0
    shown = re.sub(r"\x1b\[[0-9;]*m", "", chat.child.before.replace("\r\n", "\n"))
    assert shown.endswith("hmm\n\none\n\nwell\n\ntwo\n\nso\n\nthree\n")


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
