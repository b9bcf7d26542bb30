"""Prepare a release: build every distribution, try what was built, and say what would be published.

``make release-check`` runs this from the repository's environment. Nothing is ever published, and
no file under version control is touched, but for ``--write-changelog``, which dates the section of
this version. The archives lie in ``dist/`` then, and the notes in ``build/release-notes.md``.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


class NotReady(Exception):
    """Something stands in the way of a release; the message says what to do."""


def distributions(root: Path) -> dict[str, Path]:
    """Return the folder of each distribution, the core's first, since all others need it."""
    folders = [
        root / "core",
        *sorted(path.parent for path in root.glob("plugins/*/pyproject.toml")),
    ]
    return {project(folder)["name"]: folder for folder in folders}


def project(folder: Path) -> dict[str, str]:
    """Return the table ``project`` of a distribution."""
    table: dict[str, str] = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]
    return table


def one_version(folders: Sequence[Path]) -> str:
    """Return the version that all distributions share.

    :raises NotReady: they do not.
    """
    versions = {project(folder)["version"] for folder in folders}
    if len(versions) != 1:
        raise NotReady(f"the distributions have several versions: {', '.join(sorted(versions))}")
    return versions.pop()


# --- The changelog --------------------------------------------------------------------------------


def dated(changelog: str, version: str, day: datetime.date) -> str:
    """Return the changelog with the day in the heading of a version's section.

    :raises NotReady: the version has no section, or its section says nothing.
    """
    heading = re.compile(rf"^## {re.escape(version)} – (unreleased|[\d-]+)$", re.MULTILINE)
    if not heading.search(changelog):
        raise NotReady(f"CHANGELOG.md has no section '## {version} – unreleased'")
    if not re.search(r"^- ", section(changelog, version), re.MULTILINE):
        raise NotReady(f"CHANGELOG.md says nothing of {version}")
    return heading.sub(f"## {version} – {day.isoformat()}", changelog, count=1)


def section(changelog: str, version: str) -> str:
    """Return what the changelog says of a version, with its heading."""
    _, _, rest = changelog.partition(f"## {version} – ")
    return f"## {version} – " + re.split(r"^## ", rest, maxsplit=1, flags=re.MULTILINE)[0].rstrip()


# --- The archives ---------------------------------------------------------------------------------


def run(*command: str | Path, cwd: Path, **variables: str) -> None:
    """Run a command whose failure ends the release.

    :raises NotReady: it failed.
    """
    words = [str(word) for word in command]
    if subprocess.run(words, cwd=cwd, env=os.environ | variables, check=False).returncode:
        raise NotReady(f"this failed: {' '.join(words)}")


def build(folders: Sequence[Path], destination: Path) -> list[Path]:
    """Build the source archive and the wheel of each distribution into an empty folder."""
    shutil.rmtree(destination, ignore_errors=True)
    for folder in folders:
        command = [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-t", "wheel"]
        run(*command, "-d", destination, cwd=folder)
    return sorted(destination.iterdir())


def check(archives: Sequence[Path], root: Path) -> None:
    """Check metadata and the rendering of each README, then install each by itself and try it."""
    run(sys.executable, "-m", "twine", "check", "--strict", *archives, cwd=root)
    tests = ["tests/test_distributions.py", "tests/test_install_size.py"]
    folder = str(archives[0].parent)
    run(sys.executable, "-m", "pytest", "-q", *tests, cwd=root, ANDON_DISTRIBUTIONS=folder)


def listing(archives: Sequence[Path]) -> str:
    """Return what would be published: each archive, its size in KiB, its SHA-256."""
    rows = [
        f"{path.name:<48} {path.stat().st_size / 1024:>8.1f}  "
        + hashlib.sha256(path.read_bytes()).hexdigest()
        for path in archives
    ]
    return "\n".join(rows)


def unclean(root: Path) -> list[str]:
    """Return what differs from the last commit, a line for each file."""
    command = ["git", "status", "--short"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    return done.stdout.splitlines()


# --- All of it ------------------------------------------------------------------------------------


def release(arguments: argparse.Namespace) -> None:
    """Prepare the release, and print what would be published."""
    root: Path = arguments.root.resolve()
    known = distributions(root)
    unknown = set(arguments.names) - set(known)
    if unknown:
        raise NotReady(f"no such distribution: {', '.join(sorted(unknown))}")
    version = one_version(list(known.values()))
    changelog = dated((root / "CHANGELOG.md").read_text("utf-8"), version, arguments.date)
    folders = [folder for name, folder in known.items() if name in (arguments.names or known)]
    archives = build(folders, root / "dist")
    if not arguments.only_build:
        check(archives, root)
    notes = root / "build" / "release-notes.md"
    notes.parent.mkdir(exist_ok=True)
    notes.write_text(section(changelog, version) + "\n", encoding="utf-8")
    if arguments.write_changelog:
        (root / "CHANGELOG.md").write_text(changelog, encoding="utf-8")
    print(f"\nandon {version} would be published as {len(archives)} archives:\n")
    print(listing(archives))
    print(f"\nWhat is said of it: {notes.relative_to(root)}")
    changed = unclean(root)
    if changed:
        print(f"Not from a commit yet: {len(changed)} files differ from the last one, such as")
        print("\n".join(changed[:5]))
    print("Nothing was published.")


def parser() -> argparse.ArgumentParser:
    """Return what the command line takes."""
    result = argparse.ArgumentParser(description="Prepare a release; nothing is ever published.")
    result.add_argument("names", nargs="*", help="only these distributions")
    result.add_argument("--root", type=Path, default=ROOT, help="the repository")
    today = datetime.datetime.now(datetime.UTC).date()
    result.add_argument("--date", type=datetime.date.fromisoformat, default=today)
    result.add_argument("--write-changelog", action="store_true", help="date the section")
    result.add_argument("--only-build", action="store_true", help="build, but do not check")
    return result


if __name__ == "__main__":
    try:
        release(parser().parse_args())
    except NotReady as reason:
        sys.exit(f"Not ready for a release: {reason}")
