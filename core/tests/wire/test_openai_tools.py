"""Tool calls in streams: the ways in which servers differ from the documented one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from andon.answer import Answer
from andon.chat import ChatDelta, FinishReason
from andon.messages import ToolCall
from andon.wire.openai_chat import OpenAIChat

DONE = b"data: [DONE]\n\n"


def chunk(delta: Any = None, finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta or {}, "finish_reason": finish}
    return f"data: {json.dumps({'id': 'chatcmpl-1', 'choices': [choice]})}\n\n".encode()


def piece(index: int, arguments: str, identifier: str = "", name: str = "") -> dict[str, Any]:
    start = {"id": identifier, "type": "function"} if identifier else {}
    function = {"name": name, "arguments": arguments} if name else {"arguments": arguments}
    return {"index": index, **start, "function": function}


def read(stream: bytes) -> list[ChatDelta]:
    decoder = OpenAIChat().decoder({})
    return [*decoder.feed(stream), *decoder.finish()]


def calls(deltas: Sequence[ChatDelta]) -> tuple[ToolCall, ...]:
    whole = Answer()
    for delta in deltas:
        whole.append(delta)
    return whole.message().tool_calls


TOOL_DIALECTS = {
    "id and name in every piece": [
        [piece(0, '{"a"', "x", "f")], [piece(0, ":1}", "x", "f")],
    ],
    "no index": [
        [{"id": "x", "function": {"name": "f", "arguments": '{"a"'}}], [{"function": {"arguments": ":1}"}}],
    ],
    "no index, but the id in every piece": [
        [{"id": "x", "function": {"name": "f", "arguments": '{"a"'}}],
        [{"id": "x", "function": {"name": "f", "arguments": ":1}"}}],
    ],
    "id comes late": [[piece(0, '{"a"', "", "f")], [piece(0, ":1}", "x")]],
    "arguments as an object": [[{"index": 0, "id": "x", "function": {"name": "f", "arguments": {"a": 1}}}]],
    "null everywhere": [
        [piece(0, '{"a":1}', "x", "f")],
        [{"index": 0, "id": None, "type": None, "function": {"name": None, "arguments": None}}],
    ],
}  # fmt: skip


@pytest.mark.parametrize("pieces", TOOL_DIALECTS.values(), ids=TOOL_DIALECTS)
def test_dialects_of_tool_calls(pieces: list[list[Any]]) -> None:
    stream = b"".join(chunk({"tool_calls": entries}) for entries in pieces)
    deltas = read(stream + chunk(finish="tool_calls") + DONE)
    [call] = calls(deltas)
    assert (call.id, call.name, json.loads(call.arguments)) == ("x", "f", {"a": 1})
    # However often a server repeats them, callers read them once.
    told = [(piece.id, piece.name) for delta in deltas for piece in delta.tool_calls]
    assert "".join(identifier for identifier, _ in told) == "x"
    assert "".join(name for _, name in told) == "f"


WHOLE_CALLS = {
    "no index": [{"id": "x", "function": {"name": "f"}}, {"id": "y", "function": {"name": "g"}}],
    "no index, no id": [{"function": {"name": "f"}}, {"function": {"name": "g"}}],
    "always index 0": [
        {"index": 0, "id": "x", "function": {"name": "f"}},
        {"index": 0, "id": "y", "function": {"name": "g"}},
    ],
    "indexes from 1": [
        {"index": 1, "id": "x", "function": {"name": "f"}},
        {"index": 2, "id": "y", "function": {"name": "g"}},
    ],
}


@pytest.mark.parametrize("entries", WHOLE_CALLS.values(), ids=WHOLE_CALLS)
@pytest.mark.parametrize("apart", [True, False])
def test_whole_calls(entries: list[Any], apart: bool) -> None:
    parts = [[entry] for entry in entries] if apart else [entries]
    stream = b"".join(chunk({"tool_calls": part}) for part in parts)
    deltas = read(stream + chunk(finish="tool_calls") + DONE)
    assert [call.index for delta in deltas for call in delta.tool_calls][:2] == [0, 1]
    made_up = "id" not in entries[0]
    ids = ("call_0", "call_1") if made_up else ("x", "y")
    assert calls(deltas) == (ToolCall(ids[0], "f", ""), ToolCall(ids[1], "g", ""))


def test_function_calls_of_old() -> None:
    stream = chunk({"function_call": {"name": "f", "arguments": "{"}})
    stream += chunk({"function_call": {"arguments": "}"}}) + chunk(finish="function_call") + DONE
    deltas = read(stream)
    assert calls(deltas) == (ToolCall("call_0", "f", "{}"),)
    assert deltas[-1].finish_reason is FinishReason.TOOL_CALLS


def test_text_and_a_call_in_one_chunk() -> None:
    both = {"content": "!", "tool_calls": [piece(0, "{}", "x", "f")]}
    deltas = read(chunk({"content": "Hi"}) + chunk(both) + chunk(finish="tool_calls") + DONE)
    assert ("".join(delta.text for delta in deltas), calls(deltas)) == (
        "Hi!",
        (ToolCall("x", "f", "{}"),),
    )
