"""What users get: every distribution, looked into, and installed into an empty environment."""

from __future__ import annotations

import email
import tarfile
import tomllib
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.wheels, pytest.mark.timeout(300)]

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = [ROOT / "core", *sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))]


def project(folder: Path) -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
    return dict(table["project"])


NAMES = {project(folder)["name"]: folder for folder in FOLDERS}
PLUGINS = [name for name in NAMES if name != "andon"]

Built = Mapping[str, Path]


def contents(wheel: Path) -> dict[str, int]:
    with zipfile.ZipFile(wheel) as archive:
        return {info.filename: info.file_size for info in archive.infolist()}


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
    sdists: Built, wheels: Built, name: str, tmp_path: Path, build_archive: Callable[..., Path]
) -> None:
    with tarfile.open(sdists[name]) as archive:
        archive.extractall(tmp_path / "source", filter="data")
    [source] = (tmp_path / "source").iterdir()
    assert contents(build_archive(source, "wheel", tmp_path / "wheel")) == contents(wheels[name])


def version(name: str) -> str:
    return str(project(NAMES[name])["version"])


# -- Trying them -----------------------------------------------------------------------------------


def test_core_alone(wheels: Built, environment: Any) -> None:
    environment.install(wheels["andon"])
    code = "import andon; [getattr(andon, n) for n in andon.__all__]; print(andon.ChatMessage.user('hi'))"
    assert "hi" in environment.python(code)


@pytest.mark.parametrize("name", PLUGINS)
def test_plugin_with_the_core_only(wheels: Built, name: str, environment: Any) -> None:
    environment.install(wheels["andon"], wheels[name])
    code = (
        "import importlib.metadata as m;"
        f"d = m.distribution({name!r});"
        "[e.load() for e in d.entry_points];"
        "print(d.version)"
    )
    assert environment.python(code).strip() == version(name)


def test_chat_from_wheels(wheels: Built, environment: Any) -> None:
    """Run the first thing that a newcomer does, with what a newcomer installs."""
    names = ["andon", "andon-cli", "andon-llama-cpp", "andon-demo-model"]
    environment.install(*(wheels[name] for name in names))
    answer = environment.script("andon", "chat", "llama-cpp:demo", "What is the capital of France?")
    assert "Paris" in answer
