"""A checkup of a plugin: the kit in a process of its own, and its report as Markdown."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

#: Characters of a failure that a report quotes; the rest is for `--json`.
_QUOTED = 600


def checked(name: str, tests: Sequence[str], **options: Sequence[str]) -> dict[str, Any]:
    """Run the kit on an installed plugin, and return the report.

    :param name: the name of its entry point.
    :param tests: files or folders with tests of its own.
    :param options: the values of each option of ``python -m andon.testing``.
    :raises click.ClickException: there is no such plugin, or it cannot be checked here.
    """
    if importlib.util.find_spec("pytest") is None:
        raise click.ClickException("a checkup needs pytest; try: pip install pytest")
    words = [word for key, values in options.items() for v in values for word in (f"--{key}", v)]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "report.json"
        command = [sys.executable, "-m", "andon.testing", *words, "--", name, str(file), *tests]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0 or not file.is_file():
            said = (done.stderr or done.stdout).strip()[-_QUOTED:]
            raise click.ClickException(f"the checkup itself broke off ({done.returncode}): {said}")
        report: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    if "error" in report:
        raise click.UsageError(report["error"])
    return report


def markdown(report: Mapping[str, Any]) -> str:
    """Return a report as Markdown, for a README.

    :param report: what :func:`checked` returned.
    """
    return "\n".join(_lines(report)).strip()


def _lines(report: Mapping[str, Any]) -> Iterator[str]:
    parts = report["parts"]
    failures = sum(len(part["failed"]) for part in parts)
    passed = sum(part["passed"] for part in parts)
    told = "all passed" if report["sound"] else f"**{failures} failed**"
    yield f"## Conformance of `{report['plugin']}`"
    yield ""
    yield (
        f"{report['distribution']} {report['version']}, held to the contracts of andon "
        f"{report['andon']} on Python {report['python']}: {passed + failures} tests, {told}."
    )
    yield ""
    yield "| part | held to | passed | failed |"
    yield "| --- | --- | --: | --: |"
    for part in parts:
        kit = f"`{part['kit']}`" if part["kit"] else "–"
        yield f"| {part['offer']} | {kit} | {part['passed']} | {len(part['failed'])} |"
    for part in parts:
        if part["abilities"]:
            yield from _abilities(part)
    yield from _failures(parts)
    yield from _not_checked(parts)


def _abilities(part: Mapping[str, Any]) -> Iterator[str]:
    yield ""
    name = part["offer"].rpartition(" ")[2]
    shown, refused = _words(part["abilities"]), _words(part["refused"])
    yield f"`{name}` shows: {shown}. It refuses, before anything is sent: {refused}."


def _failures(parts: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    failed = [(part["offer"], test, text) for part in parts for test, text in part["failed"]]
    if failed:
        yield ""
        yield "### What failed"
    for offer, test, text in failed:
        yield ""
        yield f"- {offer}: `{test}`"
        yield ""
        yield from (f"      {line}".rstrip() for line in text[-_QUOTED:].splitlines())


def _not_checked(parts: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    reasons = [
        *(f"{part['offer']}: {part['note']}" for part in parts if _is_unchecked(part)),
        *(
            f"{part['offer']}: {reason} ({count} {'test' if count == 1 else 'tests'})"
            for part in parts
            for reason, count in part["skipped"].items()
        ),
    ]
    yield ""
    yield "### What was not checked"
    yield ""
    yield from (f"- {reason}" for reason in reasons)
    # Nobody has asked the real thing.
    for part in parts:
        if part["kit"] == "BackendConformance":
            yield f"- {part['offer']}: its real server; {part['note']}"


def _is_unchecked(part: Mapping[str, Any]) -> bool:
    return not (part["kit"] or part["failed"] or part["passed"])


def _words(names: Sequence[str]) -> str:
    return ", ".join(name.replace("_", " ") for name in names) or "nothing"
