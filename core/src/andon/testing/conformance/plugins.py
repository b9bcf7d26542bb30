"""The conformance class for plugins as such, whatever they offer."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import warnings
from importlib.metadata import EntryPoint, entry_points
from typing import ClassVar

from andon import Plugins, hookspecs
from andon.plugins import GROUP
from andon.testing.conformance.contract import (
    BOUNDED,
    FOUND,
    HOOKS,
    LAZY,
    NAMES,
    RECORDS,
    check,
    check_equal,
    fail,
)
from andon.testing.conformance.records import REGISTERS, records

#: What a record may be called: a word that can be typed, or the name of a model.
_NAME = re.compile(r"[^\s:]([^\n:]*[^\s:])?")
_CARD = re.compile(r"\S+")
_HOOKS = {name for name in dir(hookspecs) if name.startswith("andon_")}

#: Imports a plugin and reads its records in an interpreter that tells what else happens.
_PROBE = """
import sys
import threading

def audit(event, arguments):
    if armed and event in {"socket.connect", "socket.bind", "socket.getaddrinfo",
                           "subprocess.Popen", "os.system"}:
        told.append(f"{event} {arguments}"[:200])

from importlib.metadata import entry_points
from andon.plugins import GROUP
[point] = {(one.name, one.value): one for one in entry_points(group=GROUP)
           if one.name == sys.argv[1]}.values()
told, armed = [], True
sys.addaudithook(audit)
start = threading.Thread.start
threading.Thread.start = lambda thread: told.append("thread.start " + thread.name) or start(thread)
plugin = point.load()
for hook in sys.argv[2:]:
    list(getattr(plugin, hook, tuple)())
armed = False
for line in told:
    print("happened:", line)
"""


class PluginConformance:
    """What every plugin must do. Subclass it, give the name, and run pytest.

    ::

        class TestPlugin(PluginConformance):
            entry_point = "example"
    """

    #: The name of its entry point.
    entry_point: ClassVar[str]

    def find(self) -> EntryPoint:
        """Return the entry point, or fail."""
        # An editable install can show one distribution twice on the path.
        found = {
            (point.name, point.value): point
            for point in entry_points(group=GROUP)
            if point.name == self.entry_point
        }
        names = f"{self.entry_point!r} in the group {GROUP!r}"
        check(found, f"no installed distribution has the entry point {names}", FOUND)
        check(len(found) == 1, f"several distributions have the entry point {names}", FOUND)
        return next(iter(found.values()))

    def load(self) -> object:
        """Return the plugin, or fail."""
        point = self.find()
        try:
            plugin: object = point.load()
        except Exception as error:  # noqa: BLE001  told by the test
            fail(f"{point.value} cannot be imported: {error!r}", FOUND)
        return plugin

    def test_it_is_found(self) -> None:
        """It is found by its name, loads, and is what it says."""
        self.find()
        others = {one.name for one in entry_points(group=GROUP)} - {self.entry_point}
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            infos = {one.name: one for one in Plugins(disabled=others)}
        error = infos[self.entry_point].error
        check(error is None, f"it cannot be used: {error!r}", FOUND)
        check(not told, f"loading it warns: {[str(one.message) for one in told]}", FOUND)
        check(infos[self.entry_point].distribution, "it has no distribution", FOUND)

    def test_its_hooks(self) -> None:
        """What is named like a hook is one, is marked, and there is at least one."""
        plugin = self.load()
        named = [name for name in dir(plugin) if name.startswith("andon_")]
        hooks = [name for name in named if callable(getattr(plugin, name))]
        check(hooks, "it has no hook, so nobody would notice it", HOOKS)
        for name in hooks:
            check(name in _HOOKS, f"there is no hook {name!r}", HOOKS)
            marked = hasattr(getattr(plugin, name), "andon_impl")
            check(marked, f"{name} is not marked with hookimpl, so it is never called", HOOKS)

    def test_its_records(self) -> None:
        """What it registers are records, each under a name of its own."""
        plugin = self.load()
        for hook, (kind, key) in REGISTERS.items():
            offered = records(plugin, hook)
            odd = [one for one in offered if not isinstance(one, kind)]
            check(not odd, f"{hook} gives {odd[:1]}, and no {kind.__name__}", RECORDS)
            names = [getattr(one, key) for one in offered]
            pattern = _CARD if hook == "andon_register_model_cards" else _NAME
            bad = [name for name in names if not pattern.fullmatch(name)]
            check(not bad, f"{hook} gives names that cannot be typed: {bad}", NAMES)
            check(len(set(names)) == len(names), f"{hook} gives a name twice: {names}", NAMES)

    def test_a_backend_has_the_entry_points_name(self) -> None:
        """Where it offers backends, one is found without importing any other plugin."""
        plugin = self.load()
        offered = records(plugin, "andon_register_backends")
        names = {name for one in offered for name in (one.name, *one.aliases)}
        found = not names or self.entry_point in names
        check(found, f"none of {sorted(names)} is {self.entry_point!r}", FOUND)

    def test_asking_again_changes_nothing(self) -> None:
        """Each client of a process reads the records anew, and finds the same."""
        plugin = self.load()
        for hook, (_, key) in REGISTERS.items():
            first, second = ([getattr(one, key) for one in records(plugin, hook)] for _ in range(2))
            check_equal(second, first, f"what {hook} gives the second client", RECORDS)

    def test_importing_it_does_nothing(self) -> None:
        """No socket, no thread, no process, and not a word, until somebody asks for more."""
        point = self.find()
        keep = {k: v for k, v in os.environ.items() if not k.startswith("ANDON_")}
        done = subprocess.run(
            [sys.executable, "-c", _PROBE, point.name, *REGISTERS],
            env=keep, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        check(done.returncode == 0, f"it cannot be imported: {done.stderr[-500:]}", LAZY)
        said = (done.stdout + done.stderr).strip()
        check(not said, f"importing it, and reading its records, said or did:\n{said}", LAZY)

    def test_its_need_of_andon_is_bounded(self) -> None:
        """Its distribution names the versions of andon that it works with, from and below."""
        point = self.find()
        assert point.dist is not None
        needs = [need for need in point.dist.requires or () if _is_andon(need)]
        check(needs, f"{point.dist.name} does not depend on andon", BOUNDED)
        bounded = any(">=" in need or "~=" in need for need in needs)
        ended = any("<" in need or "~=" in need or "==" in need for need in needs)
        check(bounded and ended, f"{point.dist.name} needs {needs[0]!r}", BOUNDED)


def _is_andon(need: str) -> bool:
    return re.match(r"andon\s*(\[[^]]*\])?\s*([<>=~!;(]|$)", need) is not None
