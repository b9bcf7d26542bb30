"""Faulty plugins, installed, each with the test of the kit that is meant to catch it."""

from __future__ import annotations

import importlib
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from andon.testing import PluginConformance

SOUND = """
from andon import BackendSpec, Locality, hookimpl


@hookimpl
def andon_register_backends():
    return [BackendSpec(name="faulty", create=lambda context: None, locality=Locality.LOCAL)]
"""
BOUNDED = "andon>=0.1,<0.2"


@dataclass(frozen=True)
class Fault:
    """A faulty plugin, and the test that must fail for it."""

    name: str
    test: str
    source: str = SOUND
    needs: str = BOUNDED
    point: str = "faulty"


class Installed(PluginConformance):
    """A plugin that is installed for the time of a test."""

    entry_point = "faulty"
    fault = Fault("Sound", "")

    @pytest.fixture(autouse=True)
    def installed(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        with tempfile.TemporaryDirectory() as folder:
            site = Path(folder)
            (site / "andon_faulty.py").write_text(self.fault.source, encoding="utf-8")
            info = site / "andon_faulty-1.2.dist-info"
            info.mkdir()
            needs = f"Requires-Dist: {self.fault.needs}\n" if self.fault.needs else ""
            metadata = f"Metadata-Version: 2.1\nName: andon-faulty\nVersion: 1.2\n{needs}"
            (info / "METADATA").write_text(metadata, encoding="utf-8")
            (info / "entry_points.txt").write_text(f"[andon]\n{self.fault.point} = andon_faulty\n")
            monkeypatch.syspath_prepend(folder)
            monkeypatch.setenv("PYTHONPATH", folder)
            importlib.invalidate_caches()
            monkeypatch.delitem(sys.modules, "andon_faulty", raising=False)
            yield


FAULTS = [
    Fault("OtherPoint", "test_it_is_found", point="other"),
    Fault("Broken", "test_it_is_found", source="import no_such_module"),
    Fault("BrokenImport", "test_its_hooks", source="import no_such_module"),
    Fault("Warns", "test_it_is_found", source=f"import warnings\nwarnings.warn('old')\n{SOUND}"),
    Fault("NoHooks", "test_its_hooks", source="x = 1"),
    Fault("Unmarked", "test_its_hooks", source=SOUND.replace("@hookimpl", "")),
    Fault("Misspelt", "test_its_hooks", source=SOUND.replace("backends()", "backend()")),
    Fault("NoRecord", "test_its_records", source=SOUND.replace("[BackendSpec", "[dict")),
    Fault(
        "NameTwice", "test_its_records", source=SOUND.replace("    return [", "    return 2 * [")
    ),
    Fault("NoName", "test_its_records", source=SOUND.replace('"faulty"', '"a:b"')),
    Fault(
        "OtherName",
        "test_a_backend_has_the_entry_points_name",
        source=SOUND.replace('"faulty"', '"elsewhere"'),
    ),
    Fault(
        "OnlyOnce",
        "test_asking_again_changes_nothing",
        source=f"import itertools\nnumbers = itertools.count()\n{SOUND}".replace(
            '"faulty"', 'f"faulty{next(numbers)}"'
        ),
    ),
    Fault("Prints", "test_importing_it_does_nothing", source=f"print('hello')\n{SOUND}"),
    Fault(
        "Connects",
        "test_importing_it_does_nothing",
        source=f"import socket\nsocket.socket().connect_ex(('127.0.0.1', 9))\n{SOUND}",
    ),
    Fault(
        "Starts",
        "test_importing_it_does_nothing",
        source=f"import threading\nthreading.Thread(target=int).start()\n{SOUND}",
    ),
    Fault("Unbounded", "test_its_need_of_andon_is_bounded", needs="andon>=0.1"),
    Fault("Needless", "test_its_need_of_andon_is_bounded", needs="andon-extra>=0.1,<1"),
    Fault("Alone", "test_its_need_of_andon_is_bounded", needs=""),
]

for fault in [Installed.fault, *FAULTS]:
    title = f"Test{fault.name}"
    globals()[title] = type(title, (Installed,), {"fault": fault})
