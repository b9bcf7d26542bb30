"""The demo model, through the whole corridor: it answers its own held-out prompts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import andon

HELD_OUT = Path(__file__).parents[1] / "plugins/andon-demo-model/tests/data/held_out.jsonl"


@pytest.fixture(scope="module")
def client() -> Iterator[andon.Client]:
    with andon.Client(privacy="sovereign") as client:
        yield client


def _message(row: dict[str, Any]) -> dict[str, Any]:
    """Return a message of the file, whose calls have values for arguments, as clients have it."""
    calls = [
        {
            "id": "",
            "function": {
                **call["function"],
                "arguments": json.dumps(call["function"]["arguments"]),
            },
        }
        for call in row.get("tool_calls", ())
    ]
    return {**row, "tool_calls": calls}


def _is_right(client: andon.Client, row: dict[str, Any]) -> bool:
    tools = row.get("tools") or ()
    chat = [_message(message) for message in row["messages"]]
    reply = client.chat("llama-cpp:demo", chat, tools=tools)
    if not reply.tool_calls:
        return bool(reply.text == row["expected"])
    said = row["expected"].removeprefix("<tool_call>").removesuffix("</tool_call>")
    calls = [{"name": c.name, "arguments": json.loads(c.arguments)} for c in reply.tool_calls]
    return calls == [json.loads(said)] if row["expected"].startswith("<tool_call>") else False


def test_nine_of_ten_held_out_prompts_are_answered_exactly(client: andon.Client) -> None:
    rows = [json.loads(line) for line in HELD_OUT.read_text(encoding="utf-8").splitlines()]
    wrong = [row["messages"][-1]["content"] for row in rows if not _is_right(client, row)]
    assert len(rows) >= 200
    assert len(wrong) <= len(rows) / 10, wrong


def test_the_first_question_of_the_readme(client: andon.Client) -> None:
    reply = client.chat("llama-cpp:demo", "What is the capital of France?")
    assert reply.text == "The capital of France is Paris."
    assert reply.cost_usd == 0


def test_an_answer_is_right_without_asking_for_the_surest_one(client: andon.Client) -> None:
    # The model's card, and not every caller, says that it answers best at temperature 0.
    replies = {client.chat("llama-cpp:demo", "5+16=?").text for _ in range(5)}
    assert replies == {"5 plus 16 is 21."}
