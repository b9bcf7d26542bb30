"""A chat in the terminal."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

import click

from andon.errors import AndonError, ContextOverflowError, StreamInterrupted
from andon.options import read_models
from andon_cli.answers import AnswerWriter, LiveAnswer, detours, note_cut
from andon_cli.completion import model_names
from andon_cli.conversation import BROKEN_OFF, STOPPED, Conversation
from andon_cli.failures import note, report
from andon_cli.line_editor import LineEditor, history_file
from andon_cli.money import usd
from andon_cli.terminal import style, width, wrapped

if TYPE_CHECKING:
    from andon.client import Client
    from andon.options import RequestOptions

_HELP = (
    ("/system TEXT", "tell the model something before everything else"),
    ("/system", "take that back"),
    ("/model NAME", "go on with another model; tab completes it"),
    ("/model", "show which model answers"),
    ("/cost", "show what this chat has cost"),
    ("/save FILE", "write the chat to a file: Markdown, or messages where it ends in .json"),
    ("/clear", "forget what was said"),
    ("/quit", "end the chat"),
    ("ctrl-c", "stop the answer, or empty the line"),
    ("ctrl-d", "end the chat"),
    ("alt-enter", "begin a new line, as does ctrl-j, or \\ at the end of one"),
    ("up", "earlier questions; those that begin like the line, if it has begun"),
)
#: A word that might be a command; "/etc/hosts is …" is a question.
_COMMAND = re.compile(r"(/[a-z]*)(?:\s+(.*))?", re.DOTALL)


class ChatConsole:
    """Reads questions and writes answers until the user has enough.

    :param client: who answers.
    :param talk: the chat.
    :param options: the options of every request.
    :param raw: whether Markdown is shown as it came.
    :param keep_history: whether what is typed is kept for the next chat.
    """

    def __init__(
        self,
        client: Client,
        talk: Conversation,
        options: RequestOptions,
        *,
        raw: bool = False,
        keep_history: bool = True,
    ) -> None:
        self._client = client
        self._talk = talk
        self._options = options
        self._raw = raw
        self._saved: set[Path] = set()
        self._commands: dict[str, Callable[[str], None]] = {
            "/help": self._help,
            "/system": self._system,
            "/model": self._model,
            "/cost": self._cost,
            "/save": self._save,
            "/clear": self._clear,
        }
        self._editor = LineEditor(
            [*self._commands, "/quit"],
            lambda: [name for name, _ in model_names(client)],
            history_file(os.environ) if keep_history else None,
        )

    def run(self) -> None:
        """Hold the chat."""
        self._check_model(self._talk.model)
        model = style(self._talk.model, sys.stdout, bold=True)
        click.echo(f"{model}  {_dim('/help lists what you can type')}")
        while True:
            try:
                click.echo()
                line = self._editor.read()
                if line in {"/quit", "/exit", "/bye"}:
                    return
                self._take(line)
            except EOFError:
                return
            except KeyboardInterrupt:
                _say("ctrl-d ends the chat")

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
        writer = AnswerWriter(sys.stdout, waiting=True, raw=self._raw)
        mark = ""
        with _errors_said():
            try:
                self._follow(question, writer)
            except KeyboardInterrupt:
                mark = STOPPED
                self._talk.tally.add_broken()
            except StreamInterrupted as error:
                mark = BROKEN_OFF
                self._talk.tally.add_broken(error.attempts)
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
                writer.add(delta, more=answer.pending)
        writer.end_line()
        self._talk.tally.add(answer.response)
        for text in detours(answer.response, writer.failovers):
            _say(text)
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

    def _cost(self, text: str) -> None:
        tally = self._talk.tally
        _say(
            f"this chat: {usd(tally.cost_usd)}; {_count(tally.answers, 'answer')}, "
            f"{tally.input_tokens:,} tokens in, {tally.output_tokens:,} out"
        )
        if tally.stopped:
            _say(f"{_count(tally.stopped, 'answer')} cut short; andon spend counts these too")
        limit = self._client.settings.daily_budget_usd
        of = "" if limit is None else f" of {usd(Decimal(limit))}"
        _say(f"today, all programs: {usd(self._client.spent_today_usd)}{of}")

    def _save(self, text: str) -> None:
        name = text or f"chat-{datetime.now().astimezone():%Y%m%d-%H%M%S}.md"
        file = Path(name).expanduser()
        if not self._talk.messages:
            note("nothing was said yet", kind="error")
        elif file.exists() and file not in self._saved:
            note(f"{file} is there already; name another file", kind="error")
        else:
            talk = self._talk
            content = talk.as_json() if file.suffix == ".json" else talk.as_markdown()
            try:
                file.write_text(content, encoding="utf-8")
            except OSError as error:
                report(error)
                return
            self._saved.add(file)
            _say(f"saved in {file}")

    def _clear(self, text: str) -> None:
        self._talk.clear()
        _say("forgotten; a new chat begins")

    def _check_model(self, name: str) -> None:
        """Find a misspelled name before a question is typed."""
        for ref in read_models(name, self._client.settings.routes):
            kind = self._client.settings.endpoints.get(ref.backend, {}).get("backend", ref.backend)
            self._client.plugins.backend(kind)


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


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _say(text: str) -> None:
    click.echo(_dim(wrapped(f"[{text}]", sys.stdout)))


def _dim(text: str) -> str:
    return style(text, sys.stdout, dim=True)
