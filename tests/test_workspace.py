"""The house rules that no linter knows: what lies where, and that all lists of it agree."""

from __future__ import annotations

import ast
import fnmatch
import re
import subprocess
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
PLUGINS = sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))
DISTRIBUTIONS = [ROOT / "core", *PLUGINS]

MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 60

#: Files that may be longer, each with its reason.
LONG_FILES: dict[str, str] = {}
#: Functions that may be longer ("path:name"), each with its reason.
LONG_FUNCTIONS: dict[str, str] = {}

#: What belongs to one machine, or to one network, and not into a repository.
MACHINE_PATTERNS = {
    "a folder of one machine": r"(?<![\w.])/(?:work|root|home|opt|mnt|Users)/\w",
    "an address of a package registry or mirror": (
        r"https?://(?:[\w.-]*\.)?(?:py[p]i\.o[r]g|files\.python[h]osted\.o[r]g|registry\.np[m]js\.o[r]g"
        r"|download\.py[t]orch\.o[r]g)"
    ),
}
#: Where these may stand, and why.
MACHINE_EXCEPTIONS: dict[str, str] = {
    "tests/test_workspace.py": "spells out what is looked for",
}


@cache
def tracked() -> list[Path]:
    """Return every file that is, or without a .gitignore entry would be, under version control."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    return [ROOT / name for name in sorted(done.stdout.split("\0")) if (ROOT / name).is_file()]


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def toml(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))


def root_toml() -> dict[str, Any]:
    return toml(ROOT / "pyproject.toml")


def project(folder: Path) -> dict[str, Any]:
    table: dict[str, Any] = toml(folder / "pyproject.toml")["project"]
    return table


def package(folder: Path) -> str:
    return project(folder)["name"].replace("-", "_")


def python_files() -> list[Path]:
    # What the template holds is Python only once it is filled in.
    return [
        path
        for path in tracked()
        if path.suffix == ".py" and "cookiecutter-plugin" not in path.parts
    ]


def each(folders: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("folder", folders, ids=lambda folder: folder.name)


# -- Folders, members, contracts: the same list everywhere -----------------------------------------


def test_every_folder_of_plugins_is_a_member() -> None:
    members = root_toml()["tool"]["hatch"]["envs"]["default"]["workspace"]["members"]
    patterns = [member["path"] for member in members]
    assert [p for p in PLUGINS if not any(fnmatch.fnmatch(relative(p), x) for x in patterns)] == []
    assert "core" in patterns


def test_contracts_name_every_package() -> None:
    packages = {package(folder) for folder in DISTRIBUTIONS}
    plugins = packages - {"andon"}
    settings = root_toml()["tool"]["importlinter"]
    contracts = {contract["name"]: contract for contract in settings["contracts"]}
    assert set(settings["root_packages"]) == packages
    http = contracts["Only andon.wire.http_httpx knows an HTTP library"]
    assert set(http["source_modules"]) == packages
    assert set(contracts["The core knows no plugin"]["forbidden_modules"]) == plugins
    assert set(contracts["Plugins do not know each other"]["modules"]) == plugins


def test_each_plugin_is_tried_alone() -> None:
    matrix = root_toml()["tool"]["hatch"]["envs"]["alone"]["matrix"]
    assert {f"andon-{name}" for name in matrix[0]["plugin"]} == {p.name for p in PLUGINS}


def test_the_readme_and_ci_run_the_same_tests() -> None:
    assert "make test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    readme = ROOT / "README.md"
    if readme.is_file():
        assert "make test" in readme.read_text(encoding="utf-8")


# -- Distributions: alike, and in step -------------------------------------------------------------


@each(DISTRIBUTIONS)
def test_distribution_is_complete(folder: Path) -> None:
    name = package(folder)
    wanted = ["README.md", f"src/{name}/py.typed", f"src/{name}/__init__.py", "tests"]
    assert [path for path in wanted if not (folder / path).exists()] == []


@each(DISTRIBUTIONS)
def test_distribution_describes_itself(folder: Path) -> None:
    table = project(folder)
    assert folder.name in {"core", table["name"]}
    assert table["license"] == "Apache-2.0"
    assert table["requires-python"] == ">=3.11"
    assert table["readme"] == "README.md"
    assert table["description"]
    assert toml(folder / "pyproject.toml")["build-system"]["build-backend"] == "hatchling.build"


def test_versions_are_in_lockstep() -> None:
    """Below 1.0 all distributions share one number, and plugins stay within its minor."""
    versions = {project(folder)["name"]: project(folder)["version"] for folder in DISTRIBUTIONS}
    assert len(set(versions.values())) == 1, versions
    major, minor, _ = versions["andon"].split(".")
    bounds = f">={major}.{minor},<{major}.{int(minor) + 1}"
    for folder in PLUGINS:
        needs = [need.replace(" ", "") for need in project(folder)["dependencies"]]
        core = [need for need in needs if re.match(r"andon(\[[\w,]+\])?[<>=]", need)]
        assert [need.endswith(bounds) for need in core] == [True], (folder.name, core)


def test_the_changelog_knows_the_version() -> None:
    version = project(ROOT / "core")["version"]
    assert f"## {version} " in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


# -- Size is a sign of health ----------------------------------------------------------------------


def functions(tree: ast.Module, prefix: str = "") -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            yield node.name, node.end_lineno - node.lineno + 1


def test_no_file_is_too_long() -> None:
    lengths = {relative(p): len(p.read_text(encoding="utf-8").splitlines()) for p in python_files()}
    long = {path: n for path, n in lengths.items() if n > MAX_FILE_LINES}
    assert {path: n for path, n in long.items() if path not in LONG_FILES} == {}
    assert sorted(LONG_FILES) == sorted(set(LONG_FILES) & set(long)), "no longer needed"


def test_no_function_is_too_long() -> None:
    long = {
        f"{relative(path)}:{name}": length
        for path in python_files()
        for name, length in functions(ast.parse(path.read_text(encoding="utf-8")))
        if length > MAX_FUNCTION_LINES
    }
    assert {key: n for key, n in long.items() if key not in LONG_FUNCTIONS} == {}
    assert sorted(LONG_FUNCTIONS) == sorted(set(LONG_FUNCTIONS) & set(long)), "no longer needed"


def test_no_drawer_for_everything() -> None:
    names = {"utils.py", "util.py", "helpers.py", "misc.py", "common.py"}
    assert [relative(path) for path in python_files() if path.name in names] == []


# -- Docstrings tell the truth ---------------------------------------------------------------------


def documented_but_absent(tree: ast.Module) -> Iterator[str]:
    """Give each ``:param name:`` of a function or class that takes no such argument."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            arguments = node.args
            every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
            known = {a.arg for a in [*every, arguments.vararg, arguments.kwarg] if a is not None}
        elif isinstance(node, ast.ClassDef):
            known = class_parameters(node)
        else:
            continue
        named = re.findall(r":param \*{0,2}(\w+):", ast.get_docstring(node) or "")
        yield from (f"{node.name}: {name}" for name in named if name not in known)


def class_parameters(node: ast.ClassDef) -> set[str]:
    """Return a class's annotated fields and the arguments of its ``__init__``."""
    known = set()
    for item in node.body:
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            known.add(item.target.id)
        elif isinstance(item, ast.FunctionDef) and item.name == "__init__":
            known |= {a.arg for a in [*item.args.args, *item.args.kwonlyargs]}
    return known


def test_documented_parameters_exist() -> None:
    sources = [path for path in python_files() if "/src/" in relative(path)]
    wrong = {
        f"{relative(path)}: {problem}"
        for path in sources
        for problem in documented_but_absent(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert wrong == set()


# -- Nothing of anybody's machine ------------------------------------------------------------------


def test_no_file_names_a_machine() -> None:
    found = []
    for path in tracked():
        name = relative(path)
        if name in MACHINE_EXCEPTIONS:
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        for what, pattern in MACHINE_PATTERNS.items():
            found += [f"{name}: {what}: {m.group()}" for m in re.finditer(pattern, text)]
    assert found == []


def test_every_folder_at_the_top_is_known() -> None:
    known = {".ci", "benchmarks", "cookiecutter-plugin", "core", "docs", "plugins"}
    known |= {"tests", "tools"}
    tops = {relative(path).partition("/")[0] for path in tracked() if path.parent != ROOT}
    assert tops - known == set()
