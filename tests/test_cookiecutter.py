"""The template for plugins: every kind is baked, built, installed beside built wheels, and tried.

All of them share one environment, in which nothing is but the core's wheel and what their tests
need; each brings its own tests, which are run there.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
TEMPLATE = ROOT / "cookiecutter-plugin"
ANSWERS = json.loads((TEMPLATE / "cookiecutter.json").read_text(encoding="utf-8"))
KINDS: list[str] = ANSWERS["kind"]
#: What the baked plugins' own tests need; the newest that the constraints allow.
NEEDS = ("hypothesis", "pytest", "pytest-timeout")

pytestmark = [
    pytest.mark.wheels,
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        importlib.util.find_spec("cookiecutter") is None, reason="cookiecutter is not installed"
    ),
]


def run(*command: str | Path, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_"))}
    return subprocess.run(
        [str(word) for word in command],
        cwd=cwd, env=environment | variables, capture_output=True, text=True, check=False,
    )  # fmt: skip


def done(*command: str | Path, cwd: Path, **variables: str) -> str:
    ended = run(*command, cwd=cwd, **variables)
    assert ended.returncode == 0, f"{command}\n{ended.stdout}\n{ended.stderr}"
    return ended.stdout


def bake(folder: Path, **answers: str) -> subprocess.CompletedProcess[str]:
    told = [f"{name}={answer}" for name, answer in answers.items()]
    command = [sys.executable, "-m", "cookiecutter", "--no-input", "-o", folder, TEMPLATE, *told]
    # Its own home: it notes there what was answered.
    return run(*command, cwd=folder, HOME=str(folder))


def baked(folder: Path, prefix: str, **answers: str) -> dict[str, Path]:
    """Bake every kind, and return the folders."""
    for kind in KINDS:
        ended = bake(folder, kind=kind, name=f"{prefix}{kind}", **answers)
        assert ended.returncode == 0, ended.stderr
    return {kind: folder / f"andon-{prefix}{kind}" for kind in KINDS}


def build(folder: Path, destination: Path) -> Path:
    done(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", destination, cwd=folder)
    name = toml(folder)["project"]["name"].replace("-", "_")
    [wheel] = destination.glob(f"{name}-*.whl")
    return wheel


def toml(folder: Path) -> dict[str, Any]:
    return tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return baked(tmp_path_factory.mktemp("baked"), "acme-")


@pytest.fixture(scope="module")
def own_wheels(
    folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    destination = tmp_path_factory.mktemp("own-wheels")
    return {kind: build(folder, destination) for kind, folder in folders.items()}


@pytest.fixture(scope="module")
def python(
    wheels: Mapping[str, Path],
    own_wheels: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """Return the interpreter of an environment with all of them in it."""
    folder = tmp_path_factory.mktemp("environment")
    uv = [sys.executable, "-m", "uv"]
    done(*uv, "venv", "--quiet", "--python", sys.executable, folder / "venv", cwd=folder)
    scripts = "Scripts" if sys.platform == "win32" else "bin"
    python = folder / "venv" / scripts / "python"
    install = [*uv, "pip", "install", "--quiet", "--python", python]
    done(*install, f"{wheels['andon']}[http]", *NEEDS, cwd=folder)
    done(*install, "--no-deps", *own_wheels.values(), cwd=folder)
    return python


# -- The questions ---------------------------------------------------------------------------------


def test_six_questions_are_asked_and_each_is_explained() -> None:
    questions = [name for name in ANSWERS if not name.startswith("_")]
    assert questions == ["kind", "name", "summary", "author", "repository", "licence"]
    assert list(ANSWERS["__prompts__"]) == questions
    assert set(ANSWERS["__prompts__"]["kind"]) == {"__prompt__", *KINDS}


@pytest.mark.parametrize(
    ("answers", "problem"),
    [
        ({"name": "Acme"}, "lower-case"),
        ({"name": "acme_x"}, "lower-case"),
        ({"name": "andon-acme"}, "leave out andon-"),
        ({"name": "9lives"}, "lower-case"),
        ({"repository": "somewhere"}, "https://"),
        ({"summary": 'a "quoted" word'}, "one line"),
        ({"author": " "}, "one line"),
        ({"author": 'Ada "'}, "one line"),
        ({"repository": 'https://x.test/"'}, "https://"),
        ({"name": 'a"b'}, "lower-case"),
    ],
)
def test_wrong_answers_are_explained_and_leave_nothing(
    tmp_path: Path, answers: dict[str, str], problem: str
) -> None:
    ended = bake(tmp_path, **answers)
    assert ended.returncode != 0
    assert problem in ended.stderr
    assert list(tmp_path.glob("andon-*")) == []


# -- What is baked ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_plugin_is_complete(folders: dict[str, Path], kind: str) -> None:
    folder = folders[kind]
    package = f"andon_acme_{kind}"
    wanted = {
        ".gitignore", "CHANGELOG.md", "LICENSE", "README.md", "docs/index.md", "pyproject.toml",
        ".github/workflows/ci.yml", ".github/workflows/release.yml",
        f"src/{package}/__init__.py", f"src/{package}/py.typed", f"tests/test_{package}.py",
    }  # fmt: skip
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert wanted - files == set()
    # Nothing of the template, and nothing of the other kinds.
    text = "".join((folder / name).read_text(encoding="utf-8") for name in sorted(files))
    assert "cookiecutter" not in text
    assert [name for name in files if name.startswith("_")] == []
    others = [other for other in KINDS if f"acme-{other}" in text and other != kind]
    assert others == []


@pytest.mark.parametrize("kind", KINDS)
def test_its_need_of_andon_is_in_step(folders: dict[str, Path], kind: str) -> None:
    version = toml(ROOT / "core")["project"]["version"]
    major, minor, _ = version.split(".")
    [need] = toml(folders[kind])["project"]["dependencies"]
    assert need.endswith(f">={major}.{minor},<{major}.{int(minor) + 1}")


@pytest.mark.parametrize("licence", ANSWERS["licence"])
def test_licences(tmp_path: Path, licence: str) -> None:
    assert bake(tmp_path, licence=licence, author="Grace Hopper").returncode == 0
    folder = tmp_path / "andon-example"
    assert toml(folder)["project"]["license"] == licence
    text = (folder / "LICENSE").read_text(encoding="utf-8")
    title = {"Apache-2.0": "Apache License", "MIT": "MIT License"}[licence]
    assert text.strip().startswith(title)
    assert (licence == "MIT") == ("Grace Hopper" in text)
    assert f"Licence: {licence}." in (folder / "README.md").read_text(encoding="utf-8")


def test_workflows_test_every_version_and_release_without_a_password(
    folders: dict[str, Path],
) -> None:
    yaml = pytest.importorskip("yaml", reason="comes with cookiecutter")
    workflows = folders["prices"] / ".github" / "workflows"
    ci, release = (
        yaml.safe_load((workflows / name).read_text(encoding="utf-8"))
        for name in ("ci.yml", "release.yml")
    )
    steps = [step.get("run", "") for step in ci["jobs"]["test"]["steps"]]
    for command in ("ruff check", "ruff format --check", "mypy", "pytest", "uv build"):
        assert any(command in step for step in steps), command
    assert ci["jobs"]["test"]["runs-on"] == "${{ matrix.os }}"
    assert release["jobs"]["release"]["permissions"]["id-token"] == "write"
    assert "secrets." not in (workflows / "release.yml").read_text(encoding="utf-8")


# -- What linters say ------------------------------------------------------------------------------


@pytest.mark.skipif(importlib.util.find_spec("ruff") is None, reason="ruff is not installed")
def test_ruff_has_nothing_to_say_whatever_the_names_length(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    long = baked(tmp_path, "a-name-of-quite-some-length-for-a-", licence="MIT")
    places = [*folders.values(), *long.values()]
    done(sys.executable, "-m", "ruff", "check", "--no-cache", *places, cwd=tmp_path)
    done(sys.executable, "-m", "ruff", "format", "--no-cache", "--check", *places, cwd=tmp_path)


@pytest.mark.skipif(importlib.util.find_spec("mypy") is None, reason="mypy is not installed")
def test_mypy_has_nothing_to_say(folders: dict[str, Path], python: Path, tmp_path: Path) -> None:
    places = [folder / part for folder in folders.values() for part in ("src", "tests")]
    options = ["--strict", "--python-executable", python, "--cache-dir", tmp_path]
    assert "no issues" in done(sys.executable, "-m", "mypy", *options, *places, cwd=tmp_path)


# -- Trying them -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_wheel_holds_the_package(own_wheels: dict[str, Path], kind: str) -> None:
    package = f"andon_acme_{kind}"
    with zipfile.ZipFile(own_wheels[kind]) as archive:
        names = archive.namelist()
    tops = {name.partition("/")[0] for name in names}
    assert tops == {package, f"{package}-0.1.0.dist-info"}
    assert f"{package}/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_all_are_found_beside_each_other(python: Path, tmp_path: Path) -> None:
    code = (
        "import andon\n"
        "for info in andon.Plugins():\n"
        "    print(info.name, info.state.value, info.error or '', *info.offers, sep='|')"
    )
    lines = done(python, "-W", "error", "-c", code, cwd=tmp_path).splitlines()
    assert [line.split("|")[:3] for line in lines] == [
        [f"acme-{kind}", "loaded", ""] for kind in sorted(KINDS)
    ]
    # A price is asked for and not registered.
    assert [line for line in lines if line.endswith("loaded|")] == ["acme-prices|loaded|"]


@pytest.mark.parametrize("kind", KINDS)
def test_its_own_tests_pass(folders: dict[str, Path], python: Path, kind: str) -> None:
    """Run a baked plugin's tests as its author would, its conformance kit among them."""
    ended = run(python, "-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=folders[kind])
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found = re.search(r"(\d+) passed", ended.stdout)
    assert found is not None
    # The kit for the plugin as such, and one for what it offers.
    assert int(found[1]) > 10


def test_a_fault_is_caught(folders: dict[str, Path], python: Path, tmp_path: Path) -> None:
    """Tests that pass on anything would be worth nothing."""
    folder = shutil.copytree(folders["backend"], tmp_path / "faulty")
    module = folder / "src" / "andon_acme_backend" / "__init__.py"
    text = module.read_text(encoding="utf-8")
    module.write_text(text.replace("QUIRKS = Quirks(", "QUIRKS = Quirks(\n    tools=False,"))
    ended = run(
        python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "tool",
        cwd=folder, PYTHONPATH=str(folder / "src"),
    )  # fmt: skip
    assert ended.returncode == 1, ended.stdout
    assert "The contract, andon." in ended.stdout


def test_an_author_from_nothing(
    wheels: Mapping[str, Path], environment: Any, tmp_path: Path
) -> None:
    """Bake a plugin, install it beside andon, run its tests, and have it checked."""
    assert bake(tmp_path, kind="tokenizer", name="mine").returncode == 0
    folder = tmp_path / "andon-mine"
    environment.install(wheels["andon"], wheels["andon-cli"], build(folder, tmp_path), *NEEDS)
    assert "tokenizer mine" in environment.script("andon", "plugins")
    report = environment.script("andon", "plugins", "check", "mine", str(folder / "tests"))
    rows = [line.split(" | ") for line in report.splitlines() if line.startswith("| ")]
    assert [(row[0], row[3].removesuffix(" |")) for row in rows[2:]] == [
        ("| plugin mine", "0"), ("| tokenizer mine", "0"), ("| tests of its own", "0")
    ]  # fmt: skip
    code = (
        "import andon\n"
        "from andon.context.manager import counter_for\n"
        "counter = counter_for('acme:mine-7b', andon.Plugins().tokenizers())\n"
        "print(counter.count([andon.ChatMessage.user('Hi')], ()).method)"
    )
    assert "mine" in environment.python(code)
