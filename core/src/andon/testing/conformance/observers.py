"""The conformance classes for observers, and for commands of the command line."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from andon.events import Event
from andon.specs import CommandSpec, ObserverSpec
from andon.testing.conformance.contract import COMMAND, OBSERVED, check, fail
from andon.testing.conformance.records import RecordConformance
from andon.testing.fakes import sample_events

_THREADS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class _Later(Event):
    """An event of a version that is not written yet."""


class ObserverConformance(RecordConformance[ObserverSpec]):
    """What every observer must do. Subclass it, give the plugin, and run pytest."""

    hook = "andon_register_observers"

    @pytest.fixture
    def observe(self, spec: ObserverSpec) -> Callable[[Event], None]:
        """Return the function that is told."""
        return spec.observe

    @pytest.mark.parametrize("event", sample_events(), ids=lambda event: type(event).__name__)
    def test_every_event(self, observe: Callable[[Event], None], event: Event) -> None:
        """Every kind of event is taken."""
        _tell(observe, event)

    def test_an_event_of_a_later_version(self, observe: Callable[[Event], None]) -> None:
        """A kind of event that the observer does not know is passed over."""
        _tell(observe, _Later(request_id=1))

    def test_events_out_of_turn(self, observe: Callable[[Event], None]) -> None:
        """Whoever begins to listen in the middle has not heard the beginning."""
        for event in reversed(sample_events()):
            _tell(observe, event)

    def test_events_in_threads(self, observe: Callable[[Event], None]) -> None:
        """Requests in several threads are told at once."""
        errors: list[Exception] = []

        def tell() -> None:
            for number in range(10):
                for event in sample_events(request_id=number):
                    try:
                        observe(event)
                    except Exception as error:  # noqa: BLE001  told by the test
                        errors.append(error)

        threads = [threading.Thread(target=tell) for _ in range(_THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        check(not errors, f"in threads it raised {errors[:1]!r}", OBSERVED)


class CommandConformance(RecordConformance[CommandSpec]):
    """What every command must do. Subclass it, give the plugin, and run pytest."""

    hook = "andon_register_commands"

    def test_the_word(self, spec: CommandSpec) -> None:
        """Its name can be typed, and one line says what it does."""
        typed = re.fullmatch(r"[a-z][a-z0-9-]*", spec.name) is not None
        check(typed, f"its name is {spec.name!r}, and no lower-case word", COMMAND)
        line = spec.summary.strip()
        check(line and "\n" not in line, f"its summary is {spec.summary!r}", COMMAND)

    def test_help(self, spec: CommandSpec, capsys: pytest.CaptureFixture[str]) -> None:
        """It explains itself where it is asked to."""
        code = _run(spec, "--help")
        shown = capsys.readouterr().out
        check(code == 0, f"--help returns {code!r}", COMMAND)
        check(shown.strip(), "--help prints nothing", COMMAND)

    def test_an_unknown_option(self, spec: CommandSpec, capsys: pytest.CaptureFixture[str]) -> None:
        """What it does not know is a mistake, told by its code and on stderr."""
        code = _run(spec, "--no-such-option-anywhere")
        told = capsys.readouterr()
        check(type(code) is int and code > 0, f"an unknown option returns {code!r}", COMMAND)
        check(told.err.strip(), "an unknown option is told nowhere on stderr", COMMAND)


def _tell(observe: Callable[[Event], None], event: Event) -> None:
    try:
        observe(event)
    except Exception as error:  # noqa: BLE001  told by the test
        fail(f"told of {event}, it raised {error!r}", OBSERVED)


def _run(spec: CommandSpec, *arguments: str) -> object:
    """Return a command's exit code, however it ends."""
    try:
        return spec.run(arguments)
    except SystemExit as end:
        return 0 if end.code is None else end.code
    except Exception as error:  # noqa: BLE001  told by the test
        fail(f"{arguments} raised {error!r}", COMMAND)
