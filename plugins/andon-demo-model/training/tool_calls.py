"""Dialogues in which the model calls a tool, Hermes style, and answers from its result."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from tables import CAPITALS, NAMES, SYLLABLES, WORDS

Message = dict[str, Any]
Tool = dict[str, Any]


@dataclass
class ToolCase:
    """One tool with a question for it, the call, two kinds of result and their answers."""

    tool: Tool
    question: str
    arguments: dict[str, Any]
    result: dict[str, Any]
    answer: str
    plain: str

    @property
    def name(self) -> str:
        """The name that the model must write in its call."""
        return str(self.tool["function"]["name"])


def invented_word(rng: random.Random) -> str:
    """A pronounceable word from nowhere, so that copying is learned instead of a word list."""
    return "".join(rng.choice(SYLLABLES) for _ in range(rng.randint(2, 3)))


def a_city(rng: random.Random) -> str:
    """A capital, or an invented place."""
    return rng.choice(CAPITALS)[1] if rng.random() < 0.7 else invented_word(rng).capitalize()


def _tool(name: str, description: str, /, **parameters: str) -> Tool:
    schema = {
        "type": "object",
        "properties": {key: {"type": kind} for key, kind in parameters.items()},
        "required": list(parameters),
    }
    function = {"name": name, "description": description, "parameters": schema}
    return {"type": "function", "function": function}


def _weather(rng: random.Random) -> ToolCase:
    city, degrees = a_city(rng), rng.randint(1, 35)
    sky = rng.choice("sunny cloudy rainy windy foggy clear dry snowy".split())
    ask = rng.choice(["What is the weather in {}?", "How is the weather in {}?", "Weather in {}?",
                      "Tell me the weather in {}.", "What is the weather like in {} today?",
                      "Is it warm in {}?", "Get the weather for {}."])  # fmt: skip
    text = rng.choice(["Get the weather of a city", "Get the current weather", "The weather now"])
    return ToolCase(
        _tool("get_weather", text, city="string"), ask.format(city), {"city": city},
        {"temperature": degrees, "condition": sky},
        f"It is {degrees} degrees and {sky} in {city}.", f"{degrees} degrees and {sky}",
    )  # fmt: skip


def _time(rng: random.Random) -> ToolCase:
    city, clock = a_city(rng), f"{rng.randint(0, 23):02d}:{rng.randint(0, 59):02d}"
    ask = rng.choice(["What time is it in {}?", "Tell me the time in {}.", "Time in {}?",
                      "What is the time in {}?", "How late is it in {}?"])  # fmt: skip
    return ToolCase(
        _tool("get_time", "Get the local time of a city", city="string"), ask.format(city),
        {"city": city}, {"time": clock}, f"It is {clock} in {city}.", clock,
    )  # fmt: skip


def arithmetic(rng: random.Random, low: int = 51, high: int = 999) -> ToolCase:
    """A sum or a product to be left to a tool."""
    a, b = rng.randint(low, high), rng.randint(low, high)
    name, ask, total = rng.choice([
        ("add", "Add {} and {}.", a + b), ("add", "What is {} plus {}?", a + b),
        ("add", "What is {} + {}?", a + b), ("multiply", "Multiply {} by {}.", a * b),
        ("multiply", "What is {} times {}?", a * b),
    ])  # fmt: skip
    return ToolCase(
        _tool(name, f"{name.capitalize()} two numbers", a="integer", b="integer"),
        ask.format(a, b), {"a": a, "b": b}, {"result": total},
        f"The result is {total}.", str(total),
    )  # fmt: skip


def _timer(rng: random.Random) -> ToolCase:
    minutes = rng.randint(2, 90)
    ask = rng.choice(["Set a timer for {} minutes.", "Start a timer of {} minutes.",
                      "Please set a timer for {} minutes."])  # fmt: skip
    return ToolCase(
        _tool("set_timer", "Set a timer", minutes="integer"), ask.format(minutes),
        {"minutes": minutes}, {"status": "ok"},
        f"The timer is set to {minutes} minutes.", f"{minutes} minutes",
    )  # fmt: skip


def _search(rng: random.Random) -> ToolCase:
    query = " ".join(rng.sample(WORDS, rng.randint(1, 3)))
    ask = rng.choice(["Search for {}.", "Search the web for {}.", "Look up {}.", "Find {}."])
    found = " ".join(rng.sample(WORDS, 2))
    return ToolCase(
        _tool("search", "Search the web", query="string"), ask.format(query), {"query": query},
        {"result": found}, f"The result is {found}.", found,
    )  # fmt: skip


def _message(rng: random.Random) -> ToolCase:
    name, text = rng.choice(NAMES), " ".join(rng.sample(WORDS, rng.randint(1, 3)))
    ask = rng.choice(["Send {} the message: {}", "Send a message to {}: {}", "Write to {}: {}"])
    return ToolCase(
        _tool("send_message", "Send a message to a person", to="string", text="string"),
        ask.format(name, text), {"to": name, "text": text}, {"status": "sent"},
        f"The message is sent to {name}.", f"sent to {name}",
    )  # fmt: skip


def _lookup(rng: random.Random) -> ToolCase:
    thing = rng.choice("price color size population stock status owner address height age".split())
    key, item = rng.choice([("city", a_city(rng)), ("name", rng.choice(NAMES)),
                            ("item", rng.choice(WORDS)), ("id", str(rng.randint(1, 9999))),
                            ("country", rng.choice(CAPITALS)[0])])  # fmt: skip
    value = str(rng.randint(1, 999)) if rng.random() < 0.5 else rng.choice(WORDS)
    verb = rng.choice(["get", "find", "lookup", "show"])
    ask = rng.choice(["What is the {} of {}?", "Tell me the {} of {}.", "Find the {} of {}.",
                      "Get the {} of {}."])  # fmt: skip
    return ToolCase(
        _tool(f"{verb}_{thing}", f"{verb.capitalize()} the {thing}", **{key: "string"}),
        ask.format(thing, item), {key: item}, {thing: value},
        f"The {thing} of {item} is {value}.", value,
    )  # fmt: skip


_MAKERS = [_weather, _weather, _weather, _time, arithmetic, _timer, _search, _message, _lookup,
           _lookup]  # fmt: skip


def tool_case(rng: random.Random) -> ToolCase:
    """Draw one tool and a question for it."""
    return rng.choice(_MAKERS)(rng)


def with_distractors(rng: random.Random, case: ToolCase) -> list[Tool]:
    """The tool of the case among up to two others, in any order."""
    tools = {case.name: case.tool}
    for _ in range(rng.choice([0, 0, 1, 1, 2])):
        other = tool_case(rng)
        tools.setdefault(other.name, other.tool)
    listed = list(tools.values())
    rng.shuffle(listed)
    return listed


def call_message(case: ToolCase) -> Message:
    """The assistant turn that calls the tool."""
    function = {"name": case.name, "arguments": case.arguments}
    return {"role": "assistant", "content": "", "tool_calls": [
        {"type": "function", "function": function}]}  # fmt: skip
