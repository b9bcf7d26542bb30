"""What users get: every distribution, built, and empty environments to install them into.

No hand but hatchling's touches the files, and nothing but the wheels of this workspace and what
they themselves ask for is installed. uv takes third-party packages from its cache where it can.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = [ROOT / "core", *sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))]


def name_of(folder: Path) -> str:
    table = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
    name = table["project"]["name"]
    assert isinstance(name, str)
    return name


NAMES = {name_of(folder): folder for folder in FOLDERS}
PLUGINS = [name for name in NAMES if name != "andon"]


def run(*command: str | Path, cwd: Path, **variables: str) -> str:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_"))}
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd, env=environment | variables, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def build(folder: Path, target: str, destination: Path) -> Path:
    run(sys.executable, "-m", "hatchling", "build", "-t", target, "-d", destination, cwd=folder)
    pattern = "*.whl" if target == "wheel" else "*.tar.gz"
    stem = name_of(folder).replace("-", "_")
    [made] = destination.glob(f"{stem}-{pattern}")
    return made


class Built(Mapping[str, Path]):
    """The archives of all distributions, each built when first asked for."""

    def __init__(self, target: str, destination: Path) -> None:
        self.target, self.destination = target, destination
        self.made: dict[str, Path] = {}

    def __getitem__(self, name: str) -> Path:
        if name not in self.made:
            self.made[name] = self.ready(name) or build(NAMES[name], self.target, self.destination)
        return self.made[name]

    def ready(self, name: str) -> Path | None:
        """Return the archive that a release would publish, where tools/release.py asks about it."""
        folder = os.environ.get("ANDON_DISTRIBUTIONS")
        ending = "*.whl" if self.target == "wheel" else "*.tar.gz"
        found = Path(folder).glob(f"{name.replace('-', '_')}-{ending}") if folder else ()
        return next(iter(found), None)

    def __iter__(self) -> Iterator[str]:
        return iter(NAMES)

    def __len__(self) -> int:
        return len(NAMES)


@pytest.fixture(scope="session")
def sdists(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return Built("sdist", tmp_path_factory.mktemp("sdists"))


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return Built("wheel", tmp_path_factory.mktemp("wheels"))


class Environment:
    """An empty virtual environment with some distributions in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.work = folder.parent / f"{folder.name}-work"  # nothing importable lies there
        self.work.mkdir()
        self.uv("venv", "--quiet", "--python", sys.executable, folder)
        scripts = "Scripts" if sys.platform == "win32" else "bin"
        self.bin = folder / scripts

    def uv(self, *arguments: str | Path) -> str:
        return run(sys.executable, "-m", "uv", *arguments, cwd=self.work)

    def install(self, *wheels: str | Path) -> None:
        python = self.bin / "python"
        self.uv("pip", "install", "--quiet", "--python", python, *wheels)

    def python(self, code: str) -> str:
        return run(self.bin / "python", "-W", "error", "-c", code, cwd=self.work)

    def script(self, name: str, *arguments: str) -> str:
        return run(self.bin / name, *arguments, cwd=self.work, HOME=str(self.work))


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment(tmp_path / "venv")


@pytest.fixture(scope="session")
def build_archive() -> Callable[[Path, str, Path], Path]:
    """Builds the archive of a folder: its target is ``wheel`` or ``sdist``."""
    return build
