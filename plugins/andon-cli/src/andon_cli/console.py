"""A chat in the terminal."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from typing import TYPE_CHECKING

import click
from prompt_toolkit import PromptSession
from prompt_toolkit.completion import WordCompleter
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

from andon.errors import AndonError, ContextOverflowError, StreamInterrupted
from andon.selection import ModelRef
from andon_cli.answers import AnswerWriter, LiveAnswer, note_cut
from andon_cli.conversation import BROKEN_OFF, STOPPED, Conversation
from andon_cli.failures import note, report
from andon_cli.terminal import is_styled, style, width

if TYPE_CHECKING:
    from andon.client import Client
    from andon.options import RequestOptions

_HELP = (
    ("/system TEXT", "tell the model something before everything else"),
    ("/system", "take that back"),
    ("/model NAME", "go on with another model"),
    ("/model", "show which model answers"),
    ("/clear", "forget what was said"),
    ("/quit", "end the chat"),
    ("ctrl-c", "stop the answer, or empty the line"),
    ("ctrl-d", "end the chat"),
    ("alt-enter", "begin a new line"),
)
#: A word that might be a command; "/etc/hosts is …" is a question.
_COMMAND = re.compile(r"(/[a-z]*)(?:\s+(.*))?", re.DOTALL)


class ChatConsole:
    """Reads questions and writes answers until the user has enough.

    :param client: who answers.
    :param talk: the chat.
    :param options: the options of every request.
    """

    def __init__(self, client: Client, talk: Conversation, options: RequestOptions) -> None:
        self._client = client
        self._talk = talk
        self._options = options
        self._commands: dict[str, Callable[[str], None]] = {
            "/help": self._help,
            "/system": self._system,
            "/model": self._model,
            "/clear": self._clear,
        }
        self._prompt = _prompt([*self._commands, "/quit"])

    def run(self) -> None:
        """Hold the chat."""
        self._check_model(self._talk.model)
        model = style(self._talk.model, sys.stdout, bold=True)
        click.echo(f"{model}  {_dim('/help lists what you can type')}")
        while True:
            try:
                line = self._read()
                if line == "/quit":
                    return
                self._take(line)
            except EOFError:
                return
            except KeyboardInterrupt:
                _say("ctrl-d ends the chat")

    def _read(self) -> str:
        click.echo()
        mark = "bold" if is_styled(sys.stdout) else ""
        return self._prompt.prompt(FormattedText([(mark, "> ")])).strip()

    def _take(self, line: str) -> None:
        match = _COMMAND.fullmatch(line)
        if match is None:
            if line:
                self._answer(line)
            return
        name, text = match[1], (match[2] or "").strip()
        run = self._commands.get(name)
        if run is None:
            near = get_close_matches(name, self._commands, n=1)
            advice = f"; did you mean {near[0]}?" if near else "; /help lists the commands"
            note(f"there is no command {name}{advice}", kind="error")
            return
        with _errors_said():
            run(text)

    # -- Answers -----------------------------------------------------------------------------

    def _answer(self, question: str) -> None:
        writer = AnswerWriter(sys.stdout, waiting=True)
        mark = ""
        with _errors_said():
            try:
                self._follow(question, writer)
            except KeyboardInterrupt:
                mark = STOPPED
            except StreamInterrupted:
                mark = BROKEN_OFF
                raise
            finally:
                writer.end_line()
                self._talk.keep(question, writer.text, mark)
        if mark == STOPPED:
            _say("stopped" if writer.text else "stopped; the question is forgotten")

    def _follow(self, question: str, writer: AnswerWriter) -> None:
        stream = self._client.stream(self._talk.model, self._talk.ask(question), **self._options)
        with LiveAnswer(stream) as answer:
            for delta in answer:
                writer.add(delta)
        note_cut(answer.response)

    # -- Commands ----------------------------------------------------------------------------

    def _help(self, text: str) -> None:
        formatter = click.HelpFormatter(width=width())
        formatter.write_dl(_HELP)
        click.echo(formatter.getvalue(), nl=False)

    def _system(self, text: str) -> None:
        self._talk.system = text or None
        _say("system message set" if text else "system message removed")

    def _model(self, text: str) -> None:
        if text:
            self._check_model(text)
            self._talk.model = text
        _say(f"{self._talk.model} answers")

    def _clear(self, text: str) -> None:
        self._talk.clear()
        _say("forgotten; a new chat begins")

    def _check_model(self, name: str) -> None:
        """Find a misspelled name before a question is typed."""
        self._client.plugins.backend(ModelRef.parse(name).backend)


def _prompt(words: list[str]) -> PromptSession[str]:
    keys = KeyBindings()

    @keys.add("escape", "enter")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    return PromptSession(
        history=InMemoryHistory(),
        key_bindings=keys,
        completer=WordCompleter(words, sentence=True),
        complete_while_typing=False,
        enable_history_search=True,
    )


@contextmanager
def _errors_said() -> Iterator[None]:
    """Say what went wrong, and go on."""
    try:
        yield
    except ContextOverflowError as error:
        report(error)
        note("the chat has outgrown the context window; /clear begins a new one", kind="hint")
    except AndonError as error:
        report(error)


def _say(text: str) -> None:
    click.echo(_dim(f"[{text}]"))


def _dim(text: str) -> str:
    return style(text, sys.stdout, dim=True)
