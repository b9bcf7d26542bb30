"""Writes the matrix of backends and abilities into the documentation: ``python <this file>``.

The rows are the conformance classes of the plugins. What such a class claims is what the kit proves
when its tests are run, and what it does not claim is shown there to be refused.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

from andon.testing.conformance import Ability
from andon.testing.conformance.base import Conformance

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/reference/backends.md"
BEGIN, END = "<!-- matrix: begin -->\n", "<!-- matrix: end -->"
PROVED, NOT = "✔", "–"

COLUMNS = {
    "tools": Ability.TOOLS,
    "parallel tools": Ability.PARALLEL_TOOLS,
    "tool choice": Ability.TOOL_CHOICE,
    "images": Ability.IMAGES,
    "JSON schema": Ability.JSON_SCHEMA,
    "reasoning": Ability.REASONING,
    "reasoning effort": Ability.REASONING_EFFORT,
    "seed": Ability.SEED,
    "stop": Ability.STOP,
    "logprobs": Ability.LOGPROBS,
    "usage details": Ability.USAGE_DETAILS,
    "model list": Ability.MODEL_LIST,
    "health": Ability.HEALTH,
    "token count": Ability.TOKEN_COUNT,
    "continuation": Ability.CONTINUATION,
    "raw prompt": Ability.RAW_PROMPT,
}


def conformance_classes() -> Iterator[type[Conformance]]:
    """Give the conformance classes of all plugins."""
    for path in sorted(ROOT.glob("plugins/*/tests/test_conformance.py")):
        name = f"conformance_of_{path.parts[-3].replace('-', '_')}"
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        for value in vars(module).values():
            ours = isinstance(value, type) and issubclass(value, Conformance)
            if ours and value.__name__.startswith("Test"):
                yield value


def table() -> str:
    """Return the matrix in Markdown."""
    columns = ["backend", "chat", "stream", *COLUMNS]
    rows = sorted(map(_row, conformance_classes()), key=lambda row: row[0])
    lines = [columns, ["---", *[":-:"] * (len(columns) - 1)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def page_with_table(text: str) -> str:
    """Return the page with the matrix as it is now."""
    pattern = f"{re.escape(BEGIN)}.*{re.escape(END)}"
    return re.sub(pattern, lambda match: BEGIN + table() + END, text, flags=re.DOTALL)


def _row(case: type[Conformance]) -> list[str]:
    name = f"`{case.backend}`" + (f" ({case.variant})" if case.variant else "")
    marks = [PROVED if ability in case.abilities else NOT for ability in COLUMNS.values()]
    return [name, PROVED, PROVED, *marks]


if __name__ == "__main__":
    PAGE.write_text(page_with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
