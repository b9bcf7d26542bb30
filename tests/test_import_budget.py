"""What ``import andon`` may cost: a program that never asks a model pays next to nothing.

Each test looks at a fresh interpreter; an audit hook there sees every file and socket opened.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

#: Modules of its own that `import andon` may load. Everything else loads when first used.
ANDON_MODULES = 6
#: Modules in all, the standard library's included, on top of a bare interpreter's.
ALL_MODULES = 60

HEAVY = {
    # what andon stands on, needed only once a client is made
    "httpx2", "httpx", "jinja2", "pluggy", "pydantic",
    # the engines
    "llama_cpp", "numpy", "tokenizers", "torch", "transformers",
    # slow or telling parts of the standard library
    "asyncio", "http", "importlib.metadata", "logging", "socket", "sqlite3", "ssl", "typing_extensions",
}  # fmt: skip

PROBE = """
import json, sys

events = []
def audit(event, arguments):
    if event == "open":
        events.append([event, str(arguments[0])])
    elif event.startswith(("socket.", "subprocess.", "os.system", "os.putenv", "sqlite3.")):
        events.append([event, repr(arguments)])

class Watched(type(__import__("os").environ)):
    def __getitem__(self, key):
        events.append(["environ", str(key)])
        return super().__getitem__(key)

import os
os.environ.__class__ = Watched
before = set(sys.modules)
sys.addaudithook(audit)
import andon
loaded = sorted(set(sys.modules) - before)
stdlib = os.path.dirname(os.__file__)
print(json.dumps({
    "loaded": loaded, "events": events, "prefixes": [os.path.dirname(andon.__file__), stdlib],
}))
"""


def probe(before: str = "", *options: str) -> dict[str, Any]:
    command = [sys.executable, *options, "-c", before + PROBE]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    answer = json.loads(done.stdout)
    assert isinstance(answer, dict)
    return answer


@pytest.fixture(scope="module")
def imported() -> dict[str, Any]:
    return probe()


def test_nothing_heavy_is_loaded(imported: dict[str, Any]) -> None:
    assert sorted(HEAVY.intersection(imported["loaded"])) == []


def test_few_modules_are_loaded(imported: dict[str, Any]) -> None:
    own = [name for name in imported["loaded"] if name.partition(".")[0] == "andon"]
    assert len(own) <= ANDON_MODULES, own
    assert len(imported["loaded"]) <= ALL_MODULES, imported["loaded"]


def test_no_plugin_is_loaded(imported: dict[str, Any]) -> None:
    assert [name for name in imported["loaded"] if name.startswith("andon_")] == []


def test_nothing_is_opened_but_code(imported: dict[str, Any]) -> None:
    """Only modules are read: no settings, no metadata of distributions; and no socket is made."""
    code = (".py", ".pyc", ".so", ".pyd", ".dylib")
    prefixes = tuple(imported["prefixes"])
    opened = [
        event
        for event in imported["events"]
        if event[0] != "environ"
        and not (event[0] == "open" and event[1].startswith(prefixes) and ".py" in event[1])
        and not (event[0] == "open" and event[1].endswith(code))
    ]
    assert opened == []


def test_the_environment_is_not_read(imported: dict[str, Any]) -> None:
    """Not by andon; the standard library may look at PYTHON… variables of its own."""
    read = {name for kind, name in imported["events"] if kind == "environ"}
    assert {name for name in read if not name.startswith("PYTHON")} == set()


def test_it_imports_without_warnings() -> None:
    probe("", "-W", "error")


def test_public_names_exist_and_load_on_use() -> None:
    code = "import andon; missing = [n for n in andon.__all__ if not hasattr(andon, n)]; print(missing)"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_dir_shows_the_public_names() -> None:
    code = "import andon; print(sorted(set(andon.__all__) - set(dir(andon))))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_client_loads_neither_asyncio_nor_an_engine_before_it_is_asked() -> None:
    code = "import andon, sys; andon.Client(settings=andon.Settings()); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    heavy = {"asyncio", "httpx2", "jinja2", "llama_cpp", "pydantic", "torch", "transformers"}
    assert heavy.intersection(done.stdout.split()) == set()
