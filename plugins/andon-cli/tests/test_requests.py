"""One question, one completion: what is printed, and how it fails."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from andon_cli.app import App
from andon_cli.conversation import STOPPED, Conversation


def test_a_question_is_answered_on_stdout(invoke: Any) -> None:
    result = invoke("chat", "stub:echo", "hello", "there")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "you said: hello there \n", "")


def test_a_question_can_be_piped_in(invoke: Any) -> None:
    assert invoke("chat", "stub:echo", stdin="hello\n").stdout == "you said: hello \n"


def test_without_a_model_the_first_that_needs_nothing_answers(invoke: Any) -> None:
    assert invoke("chat", "Translate: hello").stdout == "you said: Translate: hello \n"


def test_a_piped_text_is_what_a_question_is_about(invoke: Any) -> None:
    result = invoke("ask", "stub:history", "Summarise", "it.", stdin="Long\nreport.\n")
    asked = "Summarise it.\n\n<document>\nLong\nreport.\n</document>"
    assert result.stdout == f"<user:{asked}>\n"
    assert invoke("ask", "stub:history", "Why?").stdout == "<user:Why?>\n"
    assert invoke("ask", "stub:history", stdin="Why?\n").stdout == "<user:Why?>\n"
    assert invoke("ask", "Translate: hello").stdout == "you said: Translate: hello \n"
    options = ["--system", "Be brief.", "--max-tokens", "5"]
    result = invoke("ask", "stub:history", *options, "Why?")
    assert result.stdout == "<system:Be brief.><user:Why?>\n"


def test_the_system_message_comes_first(invoke: Any) -> None:
    result = invoke("chat", "stub:history", "--system", "Be brief.", "Why?")
    assert result.stdout == "<system:Be brief.><user:Why?>\n"


def test_options_reach_the_model(invoke: Any) -> None:
    options = ["--max-tokens", "5", "--temperature", "0.5", "--seed", "7"]
    assert invoke("chat", "stub:options", *options, "x").stdout == "5 0.5 7\n"
    assert invoke("complete", "stub:options", *options, "x").stdout == "5 0.5 7"


def test_a_completion_is_printed_exactly(invoke: Any) -> None:
    assert invoke("complete", "stub:echo", "once upon").stdout == "you said: once upon "


def test_one_line_break_at_the_end_of_stdin_is_not_part_of_a_prompt(invoke: Any) -> None:
    assert invoke("complete", "stub:echo", stdin="once\n\n").stdout == "you said: once\n "


@pytest.mark.parametrize("command", ["chat", "ask", "complete"])
def test_json_holds_the_whole_response(invoke: Any, command: str) -> None:
    answer = json.loads(invoke(command, "stub:echo", "hi", "--json").stdout)
    assert answer == {
        "backend": "stub",
        "model": "echo",
        "text": "you said: hi ",
        "reasoning": None,
        "finish_reason": "stop",
        "usage": {
            "input_tokens": 3,
            "output_tokens": 4,
            "cached_input_tokens": 0,
            "cache_write_tokens": 0,
            "reasoning_tokens": 0,
            "estimated": False,
        },
        "cost_usd": "0",
        "attempts": [
            {
                "backend": "stub",
                "model": "echo",
                "error": None,
                "usage": answer["usage"],
                "cost_usd": "0",
            }
        ],
        "request_id": None,
    }


def test_thoughts_are_no_part_of_a_piped_answer(invoke: Any) -> None:
    assert invoke("chat", "stub:thoughts", "x").stdout == "aha\n"


def test_an_answer_that_was_cut_off_says_so_on_stderr(invoke: Any) -> None:
    result = invoke("chat", "stub:long", "x")
    assert result.stdout == "you said: x \n"
    assert "cut off" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["chat", "nope:x", "hi"], 2, "no installed plugin offers the backend 'nope'"),
        (["chat", "stub", "hi"], 2, "name one of its models too"),
        (["chat", "stub:echo"], 2, "there is no question"),
        (["chat", "stub:echo", "--max-tokens", "0", "hi"], 2, "--max-tokens"),
        (["chat", "stub:echo", "--bogus", "hi"], 2, "--bogus"),
        (["complete", "echo", "hi"], 2, "backend:model"),
        (["complete", "stub:echo", ""], 2, "no text to continue"),
        (["complete"], 2, "MODEL"),
        (["chat", "cloud:x", "hi", "--privacy", "sovereign"], 3, "sovereign"),
        (["chat", "cloud:x", "hi"], 4, "cloud:x"),
        (["chat", "stub:failing", "hi"], 1, "on fire"),
        (["chat", "stub:broken", "hi"], 1, "went away"),
        (["chat", "stub:bug", "hi"], 1, "a bug"),
        (["ask"], 2, "there is no question"),
        (["ask", "stub:echo"], 2, "there is no question"),
        (["chta"], 2, "did you mean 'chat'"),
        (["template", "gpt-4o"], 2, "remote API"),
        (["template", "x", "y", "--messages", __file__], 2, "either TEXT or --messages"),
        (["template", "x", "--messages", __file__], 2, "cannot be read"),
    ],
)
def test_a_failure_is_a_line_and_an_exit_code(
    invoke: Any, arguments: list[str], code: int, words: str
) -> None:
    result = invoke(*arguments)
    assert (result.exit_code, result.stderr.startswith("error: ")) == (code, True)
    assert words in result.stderr
    assert "Traceback" not in result.output
    assert len(result.stderr.splitlines()) <= 3


def test_what_had_arrived_of_a_broken_answer_is_printed(invoke: Any) -> None:
    assert invoke("chat", "stub:broken", "hi").stdout == "half an \n"


def test_a_traceback_is_shown_on_request(invoke: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANDON_DEBUG", "1")
    result = invoke("chat", "stub:bug", "hi")
    assert "Traceback" in result.stderr and "error: ValueError: a bug" in result.stderr


def test_input_that_is_not_utf_8_is_refused(invoke: Any) -> None:
    result = invoke("chat", "stub:echo", stdin=b"\xff\xfe")
    assert result.exit_code == 2 and "not UTF-8" in result.stderr


def test_with_nothing_that_works_without_a_key_the_way_out_is_named(invoke: Any) -> None:
    result = invoke("chat", "hi", app=App(discover=False))
    assert result.exit_code == 2 and "pip install" in result.stderr


def test_a_chat_keeps_only_questions_that_were_answered() -> None:
    talk = Conversation("stub:echo")
    talk.keep("one", "first")
    talk.keep("two", "")
    talk.keep("three", "thi", STOPPED)
    texts = [message.text for message in talk.ask("four")]
    assert texts == ["one", "first", "three", "thi" + STOPPED, "four"]


def test_plugins_commands_run_with_their_own_arguments(invoke: Any) -> None:
    result = invoke("hello", "--help", "world")
    assert (result.exit_code, result.stdout) == (2, "hello --help world\n")


def test_a_plugins_command_cannot_replace_one_of_ours(
    invoke: Callable[..., Any], stub: ModuleType
) -> None:
    import andon

    class Thief:
        @andon.hookimpl
        def andon_register_commands(self) -> list[andon.CommandSpec]:
            return [andon.CommandSpec(name="chat", summary="Mine.", run=lambda arguments: 99)]

    app = App(plugins=[stub, Thief()], discover=False)
    assert invoke("chat", "stub:echo", "hi", app=app).exit_code == 0
    assert "Mine." not in invoke("--help", app=app).stdout
