"""What ``import andon`` costs, against what others cost.

Each figure is the median time of a fresh interpreter that runs one import, less the median of a
bare one. Absolute times belong to a machine; the ratios hold. A peer that is not installed is
left out, with a note::

    python benchmarks/bench_import.py [--runs 21] [--json]
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

PEERS = ("pluggy", "pydantic", "openai", "litellm")
PLUGINS = 20


def bench(code: str, paths: Sequence[Path] = ()) -> float:
    """Return the seconds that a fresh interpreter takes for the code."""
    variables = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, paths)),
        # litellm fetches a price list when imported; not counted, it would measure the network.
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    }
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], env=variables, check=True)
    return time.perf_counter() - start


def install_dummies(folder: Path) -> None:
    """Lay out plugins as an installer would: each a module, and a dist-info with an entry point."""
    for number in range(PLUGINS):
        name = f"andon_dummy{number}"
        (folder / f"{name}.py").write_text("raise SystemExit('a plugin was imported')\n")
        info = folder / f"{name}-0.1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1.0\n")
        (info / "entry_points.txt").write_text(f"[andon]\ndummy{number} = {name}\n")


def measure(runs: int, dummies: Path) -> tuple[dict[str, float], list[str]]:
    """Return the median seconds of each case beyond a bare interpreter's, and who is missing.

    The cases take turns, so that a slow moment of the machine meets them all.
    """
    peers = [peer for peer in PEERS if importlib.util.find_spec(peer) is not None]
    cases: dict[str, tuple[str, Sequence[Path]]] = {
        "bare": ("pass", ()),
        "andon": ("import andon", ()),
        f"andon, {PLUGINS} plugins": ("import andon", (dummies,)),
        **{peer: (f"import {peer}", ()) for peer in peers},
    }
    times: dict[str, list[float]] = {case: [] for case in cases}
    for turn in range(runs + 1):
        for case, (code, paths) in cases.items():
            seconds = bench(code, paths)
            if turn:  # the first turn fills the caches
                times[case].append(seconds)
    medians = {case: statistics.median(seconds) for case, seconds in times.items()}
    bare = medians.pop("bare")
    costs = {case: max(seconds - bare, 1e-4) for case, seconds in medians.items()}
    return costs, [peer for peer in PEERS if peer not in peers]


def main() -> None:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=21, help="runs of each case (default: 21)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        install_dummies(Path(folder))
        costs, missing = measure(arguments.runs, Path(folder))
    if arguments.json:
        print(json.dumps({"seconds": costs, "not installed": missing}))
        return
    print(f"{'import':<24}{'ms':>8}{'× pluggy':>12}")
    for case, seconds in costs.items():
        print(f"{case:<24}{seconds * 1000:>8.1f}{seconds / costs['pluggy']:>12.2f}")
    for peer in missing:
        print(f"{peer:<24}    (not installed: left out)")


if __name__ == "__main__":
    main()
