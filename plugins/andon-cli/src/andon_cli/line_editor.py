"""Where questions are typed: history, completion, and more than one line."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

from andon_cli.terminal import is_styled


class LineEditor:
    """Reads what the user types.

    :param commands: the words that begin a command.
    :param models: the models that ``/model`` may name, asked for when they are wanted.
    :param history: where earlier lines are kept, or None to forget them.
    """

    def __init__(
        self,
        commands: Sequence[str],
        models: Callable[[], Iterable[str]],
        history: Path | None,
    ) -> None:
        self._session: PromptSession[str] = PromptSession(
            history=_history(history),
            key_bindings=_keys(),
            completer=_Completer(commands, models),
            complete_while_typing=False,
            enable_history_search=True,
            prompt_continuation="  ",
        )

    def read(self) -> str:
        """Return the next question, or command.

        :raises EOFError: the user has ended it.
        :raises KeyboardInterrupt: the user has emptied the line.
        """
        import sys

        mark = "bold" if is_styled(sys.stdout) else ""
        return self._session.prompt(FormattedText([(mark, "> ")])).strip()


def history_file(environment: Mapping[str, str]) -> Path:
    """Return where the lines of chats are kept.

    :param environment: says where the user keeps such things.
    """
    base = environment.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(base).expanduser() / "andon" / "chat-history"


class _Completer(Completer):
    """Completes commands, and models after ``/model``."""

    def __init__(self, commands: Sequence[str], models: Callable[[], Iterable[str]]) -> None:
        self._commands = commands
        self._models = models

    def get_completions(self, document: Document, event: CompleteEvent) -> Iterator[Completion]:
        """Give what can follow."""
        text = document.text_before_cursor
        found: Iterable[str] = ()
        if text.startswith("/model "):
            text = text.removeprefix("/model ").lstrip()
            found = self._models()
        elif text.startswith("/"):
            found = self._commands
        for word in found:
            if word.startswith(text):
                yield Completion(word, start_position=-len(text))


def _keys() -> KeyBindings:
    keys = KeyBindings()

    @keys.add("escape", "enter")
    @keys.add("c-j")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    @Condition
    def goes_on() -> bool:
        from prompt_toolkit.application import get_app

        return get_app().current_buffer.document.text_before_cursor.endswith("\\")

    @keys.add("enter", filter=goes_on)
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.delete_before_cursor()
        event.current_buffer.insert_text("\n")

    return keys


def _history(file: Path | None) -> History:
    if file is None:
        return InMemoryHistory()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        # Questions are nobody else's business.
        os.close(os.open(file, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600))
    except OSError:
        return InMemoryHistory()
    return FileHistory(str(file))
