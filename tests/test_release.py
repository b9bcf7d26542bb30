"""What a release would publish: built the same each time, without code that runs at installing."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = [ROOT / "core", *sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))]

each_folder = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)


def toml(folder: Path) -> dict[str, Any]:
    return tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))


# -- Nothing runs at installing --------------------------------------------------------------------


@each_folder
def test_the_build_is_hatchlings_alone_and_within_bounds(folder: Path) -> None:
    assert toml(folder)["build-system"] == {
        "requires": ["hatchling>=1.27,<2"],
        "build-backend": "hatchling.build",
    }


@each_folder
def test_no_hook_and_no_script_takes_part_in_the_build(folder: Path) -> None:
    hatch = toml(folder).get("tool", {}).get("hatch", {})
    targets = hatch.get("build", {}).get("targets", {})
    assert [t for t in [hatch.get("build", {}), *targets.values()] if "hooks" in t] == []
    assert "metadata" not in hatch, "metadata hooks are code, and so are dynamic fields"
    assert "dynamic" not in toml(folder)["project"]
    assert [name for name in ("setup.py", "hatch_build.py") if (folder / name).exists()] == []


@each_folder
def test_the_licence_goes_along(folder: Path) -> None:
    assert (folder / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


@pytest.mark.wheels
@pytest.mark.timeout(300)
@each_folder
def test_an_archive_holds_nothing_that_runs_by_itself(
    folder: Path, wheels: Mapping[str, Path], sdists: Mapping[str, Path]
) -> None:
    name = toml(folder)["project"]["name"]
    with zipfile.ZipFile(wheels[name]) as archive:
        files = archive.namelist()
    assert [path for path in files if path.endswith(".pth") or ".data/" in path] == []
    assert [path for path in files if path.endswith("/licenses/LICENSE")] != []
    with tarfile.open(sdists[name]) as archive:
        inside = [member for member in archive.getmembers() if not member.isdir()]
    assert [member.name for member in inside if not member.isfile()] == [], "links lead outside"
    assert [m.name for m in inside if re.search(r"setup\.(py|cfg)$|\.pyc$|\.pth$", m.name)] == []


@pytest.mark.wheels
def test_the_same_files_give_the_same_bytes(
    tmp_path: Path, build_archive: Callable[[Path, str, Path], Path]
) -> None:
    def digest(target: str, place: str) -> str:
        archive = build_archive(ROOT / "plugins/andon-groq", target, tmp_path / place)
        return hashlib.sha256(archive.read_bytes()).hexdigest()

    for target in ("wheel", "sdist"):
        assert digest(target, "first") == digest(target, "second")


# -- The command -----------------------------------------------------------------------------------


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Make a repository of two distributions."""
    (tmp_path / "plugins").mkdir()
    shutil.copy(ROOT / "CHANGELOG.md", tmp_path)
    ignored = shutil.ignore_patterns("__pycache__", "tests", "testing")
    shutil.copytree(ROOT / "core", tmp_path / "core", ignore=ignored)
    groq = "plugins/andon-groq"
    shutil.copytree(ROOT / groq, tmp_path / groq, ignore=ignored)
    return tmp_path


def release(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "tools/release.py"), "--root", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def version() -> str:
    number = toml(ROOT / "core")["project"]["version"]
    assert isinstance(number, str)
    return number


def test_it_says_what_would_be_published_and_publishes_nothing(checkout: Path) -> None:
    before = (checkout / "CHANGELOG.md").read_text(encoding="utf-8")
    done = release(checkout, "--only-build", "--date", "2027-01-31")
    assert done.returncode == 0, done.stderr
    archives = sorted((checkout / "dist").iterdir())
    assert len(archives) == 4
    for archive in archives:
        digest = hashlib.sha256(archive.read_bytes()).hexdigest()
        assert re.search(rf"{re.escape(archive.name)} .*{digest}", done.stdout)
    assert "Nothing was published." in done.stdout
    notes = (checkout / "build/release-notes.md").read_text(encoding="utf-8")
    assert notes.startswith(f"## {version()} – 2027-01-31\n")
    assert notes.count("\n## ") == 0, "this version's section, and no other"
    assert (checkout / "CHANGELOG.md").read_text(encoding="utf-8") == before


def test_it_dates_the_changelog_when_told_to(checkout: Path) -> None:
    before = (checkout / "CHANGELOG.md").read_text(encoding="utf-8")
    done = release(checkout, "--only-build", "--date", "2027-01-31", "--write-changelog")
    assert done.returncode == 0, done.stderr
    after = (checkout / "CHANGELOG.md").read_text(encoding="utf-8")
    changed = set(after.splitlines()) - set(before.splitlines())
    assert changed == {f"## {version()} – 2027-01-31"}


@pytest.mark.parametrize(
    ("file", "pattern", "instead", "reason"),
    [
        ("CHANGELOG.md", r"^## .*$", "## 0.0.1 – 2020-01-01", "has no section"),
        ("CHANGELOG.md", r"^- .*$", "", "says nothing of"),
        ("plugins/andon-groq/pyproject.toml", r"^version = .*$", 'version = "9.9"', "several ver"),
        ("plugins/andon-groq/pyproject.toml", r"^description = .*$", "description = 1", "failed"),
    ],
)
def test_what_is_not_ready_is_refused(
    checkout: Path, file: str, pattern: str, instead: str, reason: str
) -> None:
    text = (checkout / file).read_text(encoding="utf-8")
    wrong = re.sub(pattern, instead, text, flags=re.MULTILINE)
    (checkout / file).write_text(wrong, encoding="utf-8")
    done = release(checkout, "--only-build")
    assert done.returncode == 1
    assert f"Not ready for a release: {reason}" in done.stderr or reason in done.stderr
    assert "would be published" not in done.stdout


def test_an_unknown_name_is_refused(checkout: Path) -> None:
    done = release(checkout, "andon-nobody")
    assert done.returncode == 1
    assert "no such distribution: andon-nobody" in done.stderr
