"""How much `pip install andon andon-groq` brings along: what every user pays before the first call."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

pytestmark = [pytest.mark.wheels, pytest.mark.timeout(300)]

#: Of the 10.6 MiB that it is, pydantic is 6. What would break these is a new dependency: then say
#: in docs/explanation/compared.md, which names them, what it is worth.
MOST_MIB = 13.0
MOST_PACKAGES = 16


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(
        [str(word) for word in command], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheels of the core and of one provider into an empty environment."""
    wheels = tmp_path_factory.mktemp("wheels")
    for folder in (ROOT / "core", ROOT / "plugins/andon-groq"):
        run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", wheels, cwd=folder)
    environment = tmp_path_factory.mktemp("environment") / "venv"
    uv = [sys.executable, "-m", "uv"]
    run(*uv, "venv", "--quiet", "--python", sys.executable, environment, cwd=wheels)
    python = environment / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    files = sorted(wheels.glob("*.whl"))
    run(*uv, "pip", "install", "--quiet", "--python", python, *files, cwd=wheels)
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    return Path(run(python, "-c", code, cwd=wheels).strip())


def test_few_packages(installed: Path) -> None:
    packages = sorted(path.name.partition("-")[0] for path in installed.glob("*.dist-info"))
    assert {"andon", "andon_groq"} <= set(packages)
    assert len(packages) <= MOST_PACKAGES, packages


def test_few_bytes(installed: Path) -> None:
    files = [path for path in installed.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    size = sum(path.stat().st_size for path in files) / 2**20
    assert size <= MOST_MIB, f"{size:.1f} MiB"


def test_the_page_names_these_bounds() -> None:
    page = (ROOT / "docs/explanation/compared.md").read_text(encoding="utf-8")
    told = re.search(r"below (\d+) MiB and (\d+) packages", page)
    assert told is not None
    assert (float(told[1]), int(told[2])) == (MOST_MIB, MOST_PACKAGES)
