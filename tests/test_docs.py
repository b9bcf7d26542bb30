"""Documentation that is run: every page's examples, in order, as its reader would.

* A ``python`` block is executed; the blocks of a page share one namespace and an empty folder.
* A ``console`` block whose command lines begin with ``$ andon`` is run; where output lines follow,
  they must match, ``…`` standing for anything.
* ``<!-- no-run: reason -->`` directly before a block leaves it out.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted(
    path
    for path in [
        ROOT / "README.md",
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("*/README.md"),
        *ROOT.glob("plugins/*/README.md"),
    ]
    if path.is_file()
)

FENCE = re.compile(
    r"^(?P<indent>[ ]*)(?P<fence>`{3,})(?P<info>[^\n`]*)\n(?P<body>.*?)^(?P=indent)(?P=fence)[ ]*$",
    re.DOTALL | re.MULTILINE,
)
NO_RUN = re.compile(r"<!--\s*no-run:\s*\S.*?-->\s*$", re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    language: str
    body: str
    line: int


def blocks(text: str) -> Iterator[Block]:
    """Give the blocks of a page that are to be run."""
    for match in FENCE.finditer(text):
        if NO_RUN.search(text[: match.start()]):
            continue
        indent = match["indent"]
        body = "".join(
            line.removeprefix(indent) for line in match["body"].splitlines(keepends=True)
        )
        language = match["info"].strip().strip("{}").partition(" ")[0]
        yield Block(language, body, text.count("\n", 0, match.start()) + 2)


def run_python(block: Block, page: Path, namespace: dict[str, object]) -> None:
    # Line numbers are those of the page, so that a traceback points into it.
    code = compile("\n" * (block.line - 1) + block.body, str(page), "exec")
    exec(code, namespace)


def commands(block: Block) -> Iterator[tuple[str, str]]:
    """Give each command of a console block with the output that the page shows."""
    command, output = "", []
    for line in block.body.splitlines():
        if line.startswith("$ "):
            if command:
                yield command, "\n".join(output)
            command, output = line.removeprefix("$ "), []
        elif command.endswith("\\") and not output:
            command = command.removesuffix("\\") + line.strip()
        else:
            output.append(line)
    if command:
        yield command, "\n".join(output)


def run_console(block: Block, page: Path, environment: dict[str, str]) -> None:
    for command, shown in commands(block):
        words = shlex.split(command, comments=True)
        if words[:1] != ["andon"]:
            continue
        done = subprocess.run(
            [str(Path(sys.executable).with_name("andon")), *words[1:]],
            env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
            check=False,
        )  # fmt: skip
        where = f"{page}:{block.line}: $ {command}\n"
        if not shown.strip():
            assert done.returncode == 0, where + done.stdout + done.stderr
            continue
        assert matches(shown, done.stdout + done.stderr), where + done.stdout + done.stderr


def matches(shown: str, printed: str) -> bool:
    """Return whether a page shows what was printed; blanks at the ends of lines do not count."""

    def tidy(text: str) -> str:
        return "\n".join(line.rstrip() for line in text.strip().splitlines())

    pattern = ".*".join(re.escape(part) for part in re.split(r"…", tidy(shown)))
    return re.fullmatch(pattern, tidy(printed), re.DOTALL) is not None


@pytest.fixture
def clean_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Make a reader's machine: an empty folder, a fresh home, no settings and no keys."""
    home = tmp_path / "home"
    home.mkdir()
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    for name in list(os.environ):
        if name.startswith("ANDON_") or name.endswith(("_API_KEY", "_BASE_URL")):
            monkeypatch.delenv(name)
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(home))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    return dict(os.environ)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_page(
    page: Path, clean_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A real module, for what looks up where a class was defined.
    module = types.ModuleType("a_page_of_the_documentation")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    for block in blocks(page.read_text(encoding="utf-8")):
        if block.language == "python":
            run_python(block, page, vars(module))
        elif block.language == "console":
            run_console(block, page, clean_environment)


def test_links_between_pages_lead_somewhere() -> None:
    broken = []
    for page in PAGES:
        text = FENCE.sub("", page.read_text(encoding="utf-8"))
        for target in re.findall(r"\]\(([^)\s#]+)(?:#[^)]*)?\)", text):
            if not re.match(r"[a-z]+:", target) and not (page.parent / target).exists():
                broken.append(f"{page.relative_to(ROOT)}: {target}")
    assert broken == []


def test_the_rules_of_this_file() -> None:
    text = (
        "<!-- no-run: needs a network -->\n```python\n1/0\n```\n\n"
        "1. step\n\n   ```python\n   x = 1\n   ```\n\n```console\n$ andon a \\\n  b\nout …\n$ ls\n```\n"
    )
    first, second = blocks(text)
    assert first == Block("python", "x = 1\n", 9)
    assert list(commands(second)) == [("andon a b", "out …"), ("ls", "")]
    assert matches("a … c\nd", "a b\nb c\nd  \n")
    assert not matches("a", "a b")
