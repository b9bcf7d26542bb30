"""Requests: every mistake in one is found when it is made."""

import math
from dataclasses import fields, replace
from typing import Any

import pytest

from andon import (
    ChatMessage,
    ChatRequest,
    InvalidRequestError,
    ResponseFormat,
    Sampling,
    Tool,
    Usage,
)
from andon.chat import Patience

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
HELLO = (ChatMessage.user("hello"),)


@pytest.mark.parametrize(
    "options",
    [
        {"max_tokens": 0},
        {"max_tokens": True},
        {"temperature": -0.1},
        {"temperature": math.nan},
        {"temperature": "hot"},
        {"top_p": 1.5},
        {"stop": ("",)},
    ],
)
def test_sampling_out_of_range_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(InvalidRequestError):
        Sampling(**options)  # type: ignore[arg-type]


def test_a_request_has_messages_or_a_prompt() -> None:
    with pytest.raises(InvalidRequestError, match="either"):
        ChatRequest(model="m")
    with pytest.raises(InvalidRequestError, match="either"):
        ChatRequest(model="m", messages=HELLO, prompt="x")
    assert ChatRequest(model="m", prompt="").prompt == ""


def test_tool_choice_names_a_tool_of_the_request() -> None:
    tools = (Tool("add"),)
    assert ChatRequest(model="m", messages=HELLO, tools=tools, tool_choice="add")
    with pytest.raises(InvalidRequestError, match="subtract"):
        ChatRequest(model="m", messages=HELLO, tools=tools, tool_choice="subtract")


def test_only_the_assistants_message_can_be_continued() -> None:
    with pytest.raises(InvalidRequestError, match="assistant"):
        ChatRequest(model="m", messages=HELLO, continue_final_message=True)
    with pytest.raises(InvalidRequestError, match="assistant"):
        ChatRequest(model="m", prompt="x", continue_final_message=True)


def test_another_sampling_leaves_the_rest_as_it_is() -> None:
    rest: dict[str, Any] = {
        "model": "m",
        "messages": (ChatMessage.user("hello"), ChatMessage.assistant("he")),
        "tools": (Tool("f", "", {}),),
        "tool_choice": "f",
        "response_format": ResponseFormat("json_object"),
        "reasoning_effort": "low",
        "continue_final_message": True,
        "stream": True,
        "top_logprobs": 2,
        "patience": Patience(1.0, 2.0, 3),
    }
    assert {field.name for field in fields(ChatRequest)} == {*rest, "prompt", "sampling"}
    request = ChatRequest(**rest)
    assert request.with_sampling(Sampling(9)) == replace(request, sampling=Sampling(9))
    assert request.sampling == Sampling()


def test_tools_round_trip_through_openai_dicts() -> None:
    tool = Tool("add", "adds", SCHEMA)
    assert Tool.from_openai(tool.to_openai()) == tool
    with pytest.raises(InvalidRequestError):
        Tool.from_openai({"name": "add"})


def test_response_formats_in_every_form() -> None:
    openai = {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}
    assert ResponseFormat.from_openai(None).kind == "text"
    assert ResponseFormat.from_openai({"type": "json_object"}).kind == "json_object"
    assert ResponseFormat.from_openai(openai) == ResponseFormat("json_schema", SCHEMA, "n")
    assert ResponseFormat.from_openai(SCHEMA) == ResponseFormat("json_schema", SCHEMA)
    with pytest.raises(InvalidRequestError):
        ResponseFormat.from_openai({"schema": 1})


def test_usage_adds_up() -> None:
    assert Usage(3, 4, cached_input_tokens=2, reasoning_tokens=1).total_tokens == 7
