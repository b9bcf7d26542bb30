"""How much ``pip install andon andon-groq`` brings: what its user pays before the first call."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent

#: Of the 10.6 MiB that it is, pydantic is 8. What would break these is a new dependency: then say
#: in docs/explanation/compared.md, which names them, what it is worth.
MOST_MIB = 13.0
MOST_PACKAGES = 16


@pytest.mark.wheels
@pytest.mark.timeout(300)
def test_a_provider_costs_few_packages_and_bytes(
    wheels: Mapping[str, Path], environment: Any
) -> None:
    environment.install(wheels["andon"], wheels["andon-groq"])
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    installed = Path(environment.python(code).strip())
    packages = sorted(path.name.partition("-")[0] for path in installed.glob("*.dist-info"))
    assert {"andon", "andon_groq"} <= set(packages)
    assert len(packages) <= MOST_PACKAGES, packages
    files = [path for path in installed.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    size = sum(path.stat().st_size for path in files) / 2**20
    assert size <= MOST_MIB, f"{size:.1f} MiB"


def test_the_page_names_these_bounds() -> None:
    page = (ROOT / "docs/explanation/compared.md").read_text(encoding="utf-8")
    told = re.search(r"below (\d+) MiB and (\d+) packages", page)
    assert told is not None
    assert (float(told[1]), int(told[2])) == (MOST_MIB, MOST_PACKAGES)
