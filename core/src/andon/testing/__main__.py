"""Checks an installed plugin and writes the report to a file; ``andon plugins check`` runs this.

::

    python -m andon.testing NAME REPORT.json [--model BACKEND:MODEL] [--ledger URL]
        [--set NAME=VALUE] [TESTS …]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from andon.errors import AndonError


def main(arguments: Sequence[str]) -> None:
    """Check a plugin, and write the report."""
    parser = argparse.ArgumentParser(prog="andon.testing")
    parser.add_argument("name")
    parser.add_argument("file", type=Path)
    parser.add_argument("--model", action="append", default=[])
    parser.add_argument("--ledger", action="append", default=[])
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("tests", nargs="*")
    told = parser.parse_args(arguments)
    # Plugins of pytest that happen to be installed have no say here.
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    from andon.testing.checkup import Wishes, check_plugin

    settings = dict(_setting(text) for text in told.set)
    wishes = Wishes(models=told.model, ledgers=told.ledger, settings=settings, tests=told.tests)
    try:
        report = check_plugin(told.name, wishes)
    except AndonError as error:
        report = {"error": str(error)}
    told.file.write_text(json.dumps(report, ensure_ascii=False, indent=2), encoding="utf-8")


def _setting(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


if __name__ == "__main__":
    main(sys.argv[1:])
