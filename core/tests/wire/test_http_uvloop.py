"""Another event loop, which many web servers bring along: the same promises, by the same tests."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

# In a process of its own: the privacy guard refuses to be in one with uvloop.
_TESTS = """
import asyncio, sys
import pytest, uvloop

def run(main):
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)

asyncio.run = run
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", *sys.argv[1:]]))
"""


@pytest.mark.skipif(importlib.util.find_spec("uvloop") is None, reason="uvloop is not installed")
def test_what_holds_with_asyncios_own_loop_holds_with_uvloop() -> None:
    here = Path(__file__).parent
    tests = [here / f"test_http_{what}.py" for what in ("transports", "tls")]
    run = subprocess.run(
        [sys.executable, "-c", _TESTS, *map(str, tests)],
        check=False, capture_output=True, text=True, timeout=110,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout[-4000:]
