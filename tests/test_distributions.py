"""What users get: every distribution, built, and installed into an empty environment.

No hand but hatchling's touches the files, and nothing but the wheels of this workspace and what
they themselves ask for is installed. uv takes third-party packages from its cache where it can.
"""

from __future__ import annotations

import email
import os
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

pytestmark = [pytest.mark.wheels, pytest.mark.timeout(300)]

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
            self.made[name] = build(NAMES[name], self.target, self.destination)
        return self.made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(NAMES)

    def __len__(self) -> int:
        return len(NAMES)


@pytest.fixture(scope="module")
def sdists(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return Built("sdist", tmp_path_factory.mktemp("sdists"))


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return Built("wheel", tmp_path_factory.mktemp("wheels"))


def contents(wheel: Path) -> dict[str, int]:
    with zipfile.ZipFile(wheel) as archive:
        return {info.filename: info.file_size for info in archive.infolist()}


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


# -- Looking into the archives ---------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_wheel_holds_the_package_and_nothing_else(wheels: Built, name: str) -> None:
    package = name.replace("-", "_")
    files = contents(wheels[name])
    tops = {path.partition("/")[0] for path in files}
    assert tops == {package, f"{package}-{version(name)}.dist-info"}
    assert f"{package}/py.typed" in files
    assert [
        path for path in files if "test" in Path(path).stem and "andon/testing" not in path
    ] == []


@pytest.mark.parametrize("name", NAMES)
def test_metadata(wheels: Built, name: str) -> None:
    with zipfile.ZipFile(wheels[name]) as archive:
        [path] = [path for path in archive.namelist() if path.endswith(".dist-info/METADATA")]
        metadata = email.message_from_bytes(archive.read(path))
    assert metadata["Name"] == name
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata.get_payload(), "the README is the page on the index"


@pytest.mark.parametrize("name", NAMES)
def test_sdist_builds_the_same_wheel(
    sdists: Built, wheels: Built, name: str, tmp_path: Path
) -> None:
    with tarfile.open(sdists[name]) as archive:
        archive.extractall(tmp_path / "source", filter="data")
    [source] = (tmp_path / "source").iterdir()
    assert contents(build(source, "wheel", tmp_path / "wheel")) == contents(wheels[name])


def version(name: str) -> str:
    table = tomllib.loads((NAMES[name] / "pyproject.toml").read_text(encoding="utf-8"))
    number = table["project"]["version"]
    assert isinstance(number, str)
    return number


# -- Trying them -----------------------------------------------------------------------------------


def test_core_alone(wheels: Built, environment: Environment) -> None:
    environment.install(wheels["andon"])
    code = "import andon; [getattr(andon, n) for n in andon.__all__]; print(andon.ChatMessage.user('hi'))"
    assert "hi" in environment.python(code)


@pytest.mark.parametrize("name", PLUGINS)
def test_plugin_with_the_core_only(wheels: Built, name: str, environment: Environment) -> None:
    environment.install(wheels["andon"], wheels[name])
    code = (
        "import importlib.metadata as m;"
        f"d = m.distribution({name!r});"
        "[e.load() for e in d.entry_points];"
        "print(d.version)"
    )
    assert environment.python(code).strip() == version(name)


def test_chat_from_wheels(wheels: Built, environment: Environment) -> None:
    """Run the first thing that a newcomer does, with what a newcomer installs."""
    names = ["andon", "andon-cli", "andon-llama-cpp", "andon-demo-model"]
    environment.install(*(wheels[name] for name in names))
    answer = environment.script("andon", "chat", "llama-cpp:demo", "What is the capital of France?")
    assert "Paris" in answer
