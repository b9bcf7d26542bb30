"""The held-out prompts: which they are, and a proof that training never sees them."""

from __future__ import annotations

import argparse
import json
import random
from itertools import chain, islice
from pathlib import Path
from typing import Any

from data import COPYING_FIRST, WEIGHTS, conversations, draw, facts, random_choices, tools
from template import render

SCORED = {maker: 25 if maker in (facts, tools) else 18 for maker in WEIGHTS}
SCORED.pop(random_choices)


def held_out(seed: int) -> list[dict[str, Any]]:
    """The held-out prompts with the expected answers, no prompt twice."""
    rng, rows, seen = random.Random(seed), [], set[str]()
    for maker, count in SCORED.items():
        found, tries = 0, 0
        while found < count and (tries := tries + 1) < 3000:
            episode = draw(rng, maker, held=True)
            messages = episode.messages[:-1]
            if episode.system:
                messages = [{"role": "system", "content": episode.system}, *messages]
            row: dict[str, Any] = {"category": episode.category, "messages": messages}
            if episode.tools:
                row["tools"] = episode.tools
            row["expected"] = render(episode.messages[-1:]).split("\n", 1)[1][
                : -len("<|im_end|>\n")
            ]
            text = json.dumps(messages)
            if text not in seen:
                seen.add(text)
                rows.append(row)
                found += 1
    return rows


def check_disjoint(rows: list[dict[str, Any]], seed: int, count: int) -> int:
    """How many of the held-out prompts occur among the first `count` training dialogues of either part."""
    prompts = {
        render(row["messages"], row.get("tools"), sort_keys=sort_keys)
        for row in rows
        for sort_keys in (False, True)
    }
    alone = [row for row in rows if len(row["messages"]) == 1 and "tools" not in row]
    asked = {row["messages"][-1]["content"] for row in alone}
    hits = 0
    first, second = conversations(seed, COPYING_FIRST), conversations(seed + 1, polish=True)
    for text in chain(islice(first, count), islice(second, count)):
        users = {part.split("<|im_end|>")[0] for part in text.split("<|im_start|>user\n")[1:]}
        hits += bool(users & asked) or any(text.startswith(prompt) for prompt in prompts)
    return hits


def main() -> None:
    """Write the held-out prompts and prove that they are not among the training dialogues."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--out", type=Path, default=Path("tests/data/held_out.jsonl"))
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--check", type=int, default=150_000, help="training dialogues to check")
    options = parser.parse_args()
    rows = held_out(options.seed)
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(
        f"{len(rows)} held-out prompts, {check_disjoint(rows, 1, options.check)} seen in training"
    )


if __name__ == "__main__":
    main()
