"""Every plugin of this workspace is what a plugin must be, whatever it offers besides.

What each offers is held to its contract beside it, in its own tests.
"""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

from andon.plugins import GROUP
from andon.testing import PluginConformance

ROOT = Path(__file__).resolve().parent.parent


def points() -> dict[str, str]:
    """Return the entry points of the workspace, each with its distribution."""
    found = {}
    for file in sorted(ROOT.glob("plugins/*/pyproject.toml")):
        project = tomllib.loads(file.read_text(encoding="utf-8"))["project"]
        named = project.get("entry-points", {}).get(GROUP, {})
        found |= dict.fromkeys(named, project["name"])
    return found


#: Those of them that this environment has.
INSTALLED = {point.name for point in entry_points(group=GROUP)} & points().keys()

for name in sorted(INSTALLED):
    title = "Test" + re.sub(r"\W", "_", name)
    globals()[title] = type(title, (PluginConformance,), {"entry_point": name})


def test_some_plugins_are_installed() -> None:
    assert INSTALLED, "the tests above looked at nothing"
