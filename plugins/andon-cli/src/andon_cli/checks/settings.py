"""Whether the settings that are read from here are right."""

from __future__ import annotations

import os
from collections.abc import Sequence

from andon_cli.app import App
from andon_cli.checks import Check, State
from andon_cli.config.findings import Finding, Severity, check_file, check_variables
from andon_cli.config.origins import settings_files


def check(app: App) -> Sequence[Check]:
    """Look at files and variables, as ``andon config check`` does."""
    if not app.discover:
        return [Check("files", State.OFF, "none is read")]
    files = [file for file in settings_files(os.environ) if file.is_file()]
    found = check_variables(os.environ)
    found += [finding for file in files for finding in check_file(app, file)]
    read = ", ".join(map(str, files)) or "there is none; the defaults hold"
    return [Check("files", State.OK, read), *map(_check, found)]


def _check(finding: Finding) -> Check:
    span = finding.span
    place = finding.source if span is None else f"{finding.source}:{span.line}:{span.column}"
    # A warning may be meant so: a table for a backend whose key is not here.
    state = State.FAILED if finding.severity is Severity.ERROR else State.OFF
    return Check(place, state, finding.message)
