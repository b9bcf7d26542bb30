"""What runs here, for reports of bugs."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from andon_cli.app import App
from andon_cli.checks import Check, State

#: What andon and its command line stand on, and what they use where it is installed.
_LIBRARIES = ("click", "prompt_toolkit", "rich", "pluggy", "pydantic", "httpx2", "keyring")


def check(app: App) -> Sequence[Check]:
    """Look up versions."""
    import andon
    from andon_cli import __version__

    # One number for all, so two of them are two halves of an upgrade.
    same = __version__.split(".")[:2] == andon.__version__.split(".")[:2]
    advice = "" if same else f"; andon is {andon.__version__}, so upgrade both"
    return [
        Check("andon", State.OK, andon.__version__),
        Check("andon-cli", State.OK if same else State.FAILED, __version__ + advice),
        Check("Python", State.OK, f"{platform.python_version()} ({platform.platform()})"),
        *(_library(name) for name in _LIBRARIES),
    ]


def _library(name: str) -> Check:
    try:
        return Check(name, State.OK, version(name))
    except PackageNotFoundError:
        return Check(name, State.OFF, "not installed")
