"""What the kit asks, and what it has answered."""

from __future__ import annotations

from andon import ImagePart, TextPart, Tool, ToolCall
from andon.testing.provider import SampleAnswer

#: The answer that most tests are about. What stands behind "wörld" ends no line of any protocol.
SAMPLE = SampleAnswer(text=("Hello", ", wörld", "\u2028\u0085\u2029", " 日本", " 🦙!"))

#: The first piece of its text, by which its place in a provider's bytes is found.
FIRST = b"Hello"

TEXT = "".join(SAMPLE.text)

QUESTION = "Say hello to the wörld."

WEATHER = Tool(
    "get_weather",
    "Tell the weather of a city.",
    {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "array"}},
        "required": ["city"],
    },
)
CLOCK = Tool("get_time", "Tell the time.", {"type": "object", "properties": {}})
CALL = ToolCall(
    "call_a1", "get_weather", '{"city":"Zürich","days":[1,2],"note":"a \\"b\\" \\\\ c"}'
)
OTHER_CALL = ToolCall("call_b2", "get_time", "{}")

SCHEMA = {
    "type": "object",
    "properties": {"conformance_verdict": {"type": "string"}},
    "required": ["conformance_verdict"],
    "additionalProperties": False,
}

#: A PNG of one pixel.
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6"
    "kgAAAABJRU5ErkJggg=="
)
PICTURE = (TextPart("What is this?"), ImagePart(f"data:image/png;base64,{PIXEL}"))

SEED = 424_242
STOP_TEXT = "⟂HALT"
MAX_TOKENS = 1_234
