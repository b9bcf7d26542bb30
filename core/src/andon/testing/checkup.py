"""The kit on an installed plugin: everything that it offers, held to its contract.

``andon plugins check NAME`` runs this in a process of its own (``python -m andon.testing``), so
that an engine that crashes, or what pytest changes in the interpreter, harms nobody.
"""

from __future__ import annotations

import os
import platform
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import andon
from andon.errors import ConfigurationError
from andon.hookspecs import hookimpl
from andon.plugins import GROUP
from andon.testing.conformance.records import REGISTERS, records

#: What pytest collects: the classes of the plugin that is checked.
_MODULE = """from andon.testing.checkup import CLASSES
globals().update(CLASSES)
"""
CLASSES: dict[str, type[Any]] = {}


@dataclass(slots=True, kw_only=True)
class Part:
    """A part of a plugin, and what became of its tests.

    :param offer: the part, as ``backend groq``.
    :param kit: the conformance class that it is held to; empty where none could be.
    :param note: how it was asked; or why it was not.
    :param abilities: what a backend claims to do besides text.
    :param refused: what a backend refuses.
    :param passed: how many tests passed.
    :param failed: what failed: the test, and the contract that is broken.
    :param skipped: how often each reason kept a test from showing anything.
    """

    offer: str
    kit: str = ""
    note: str = ""
    abilities: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    passed: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)
    skipped: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the author adds to a checkup.

    :param models: models as ``backend:model``: for engines, which to load; for prices, which ones
        are known.
    :param ledgers: URLs of empty ledgers; ``{}`` in one becomes another name for each test.
    :param settings: settings of the plugin's backends and routers.
    :param tests: files or folders with tests of the author's own.
    """

    models: Sequence[str] = ()
    ledgers: Sequence[str] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    tests: Sequence[str] = ()


@dataclass(slots=True)
class Checkup:
    """A plugin, and what is to be run on it.

    :param name: the name of its entry point.
    :param wishes: what the author adds.
    :raises ConfigurationError: no such plugin is installed.
    """

    name: str
    wishes: Wishes = field(default_factory=Wishes)
    parts: dict[str, Part] = field(default_factory=dict)
    plugin: Any = None
    shown: set[tuple[str, str]] = field(default_factory=set)
    skipped: dict[tuple[str, str], str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        found = [point for point in entry_points(group=GROUP) if point.name == self.name]
        if not found:
            known = ", ".join(sorted({point.name for point in entry_points(group=GROUP)}))
            raise ConfigurationError(f"no plugin {self.name!r} is installed; there are {known}")
        try:
            self.plugin = found[0].load()
        except Exception:  # noqa: BLE001  the test of the plugin as such tells it
            self.plugin = ModuleType("andon_broken")

    def prepare(self) -> Mapping[str, type[Any]]:
        """Return the conformance classes for what the plugin offers."""
        from andon.testing.checkup_parts import classes_for

        classes: dict[str, type[Any]] = {}
        for part, made in classes_for(self):
            title = f"TestPart{len(self.parts)}"
            self.parts[title] = part
            if made is not None:
                classes[title] = made
        return classes

    def offered(self) -> Iterator[tuple[str, Any]]:
        """Give each record that the plugin registers, with its hook."""
        for hook in REGISTERS:
            try:
                yield from ((hook, record) for record in records(self.plugin, hook))
            except Exception as error:  # noqa: BLE001  told as what it is
                self.parts[hook] = Part(offer=hook, failed=[(hook, f"it raised {error!r}")])

    def report(self) -> dict[str, Any]:
        """Return what was found, for JSON."""
        for (place, test), reason in self.skipped.items():
            # What one of two clients cannot show, the other has shown.
            if (place, test.partition("[")[0]) not in self.shown:
                part = self.parts.get(place.rpartition("::")[2]) or self._own(place)
                part.skipped[reason] = part.skipped.get(reason, 0) + 1
        point = next(one for one in entry_points(group=GROUP) if one.name == self.name)
        named = point.dist is not None
        return {
            "plugin": self.name,
            "distribution": point.dist.name if point.dist is not None else "",
            "version": point.dist.version if point.dist is not None else "",
            "andon": andon.__version__,
            "python": platform.python_version(),
            "sound": named and not any(part.failed for part in self.parts.values()),
            "parts": [asdict(part) for part in self.parts.values()],
        }

    # -- What pytest tells ---------------------------------------------------------------------

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note what became of a test."""
        place, _, test = report.nodeid.rpartition("::")
        part = self.parts.get(place.rpartition("::")[2]) or self._own(place)
        if report.failed:
            part.failed.append((test, report.longreprtext))
        elif report.skipped and isinstance(report.longrepr, tuple):
            reason = str(report.longrepr[2]).removeprefix("Skipped: ")
            self.skipped[place, test] = reason
        elif report.when == "call":
            part.passed += 1
            self.shown.add((place, test.partition("[")[0]))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note what could not even be collected."""
        if report.failed:
            self._own(report.nodeid).failed.append(("collecting", report.longreprtext))

    def _own(self, place: str) -> Part:
        """Return the part for the author's own tests."""
        return self.parts.setdefault("own", Part(offer="tests of its own", kit=""))


def card_plugin(card: Any) -> ModuleType:
    """Return a plugin that knows one model."""
    module = ModuleType(f"model {card.name}")
    vars(module)["andon_register_model_cards"] = hookimpl(lambda: [card])
    return module


def check_plugin(name: str, wishes: Wishes | None = None) -> dict[str, Any]:
    """Run the kit on an installed plugin, in this process, and return the report.

    :param name: the name of its entry point.
    :param wishes: what the author adds.
    :raises ConfigurationError: no such plugin is installed.
    """
    checkup = Checkup(name, wishes or Wishes())
    CLASSES.clear()
    CLASSES.update(checkup.prepare())
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "test_plugin.py"
        file.write_text(_MODULE, encoding="utf-8")
        options = ["-p", "no:terminal", "-p", "no:cacheprovider", "-p", "no:hypothesispytest"]
        place = ["-c", os.devnull, "--rootdir", folder, "--import-mode=importlib"]
        pytest.main([*options, *place, str(file), *checkup.wishes.tests], plugins=[checkup])
    return checkup.report()
