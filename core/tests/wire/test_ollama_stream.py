"""Streams in Ollama's form: what is read from them, however they are cut."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon.chat import ChatDelta, FinishReason, TokenLogprob, ToolCallDelta, Usage
from andon.errors import BackendError, PromptTooLongError, ServerError, StreamInterrupted
from andon.messages import ToolCall
from andon.testing.provider import SampleAnswer
from andon.testing.providers.ollama import OllamaProvider
from andon.wire.ollama import OllamaChat

ENDING = {"done": True, "done_reason": "stop", "prompt_eval_count": 12, "eval_count": 5}


def line(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode() + b"\n"


def part(content: str = "", **message: Any) -> bytes:
    return line({"model": "m", "message": {"content": content, **message}, "done": False})


LAST = line({"model": "m", "message": {"role": "assistant", "content": ""}, **ENDING})
CALL = {"function": {"name": "time", "arguments": {}}}
STREAMS = {
    "text": part("Grüße,\u2028\x85") + part(" 😀") + LAST,
    "text in the last line": part("a") + line({"message": {"content": "b"}, **ENDING}),
    "a raw prompt": line({"response": "a", "done": False}) + line({"response": "", **ENDING}),
    "thoughts": part(thinking="Hm") + part(thinking=".") + part("4") + LAST,
    "calls": part(tool_calls=[CALL]) + part(tool_calls=[CALL, CALL]) + LAST,
    "carriage returns and empty lines": (part("a") + b"\n" + LAST).replace(b"\n", b"\r\n"),
    "no line feed at the end": part("a") + LAST.rstrip(),
    "an error": part("a") + line({"error": "an error was encountered while running the model"}),
    "an end that is missing": part("a") + part("b"),
    "half a line": part("a") + b'{"model":"m","mess',
    "junk": part("a") + b"Bad Gateway\n",
}


def read(*pieces: bytes) -> list[ChatDelta]:
    decoder = OllamaChat().decoder({})
    deltas = [delta for piece in pieces for delta in decoder.feed(piece)]
    return [*deltas, *decoder.finish()]


def outcome(*pieces: bytes) -> tuple[list[ChatDelta], str]:
    """Return the deltas and the error, as a driver sees them."""
    decoder = OllamaChat().decoder({})
    deltas: list[ChatDelta] = []
    try:
        for piece in pieces:
            deltas += decoder.feed(piece)
        deltas += decoder.finish()
    except BackendError as error:
        return deltas, repr(error)
    return deltas, ""


def test_text() -> None:
    assert read(STREAMS["text"]) == [
        ChatDelta("Grüße,\u2028\x85", model="m"),
        ChatDelta(" 😀"),
        ChatDelta(
            finish_reason=FinishReason.STOP,
            raw_finish_reason="stop",
            usage=Usage(12, 5),
            model="m",
        ),
    ]


def test_text_comes_as_soon_as_its_line_is_complete() -> None:
    decoder = OllamaChat().decoder({})
    assert decoder.feed(part("a")[:-1]) == []
    assert decoder.feed(b"\n" + part("b")[:5])[0].text == "a"


def test_calls_are_counted_over_all_lines() -> None:
    deltas = read(STREAMS["calls"])
    calls = [call for delta in deltas for call in delta.tool_calls]
    assert calls == [ToolCallDelta(place, f"call_{place}", "time", "{}") for place in range(3)]
    assert deltas[-1].finish_reason is FinishReason.TOOL_CALLS


def test_nothing_is_read_after_the_end() -> None:
    assert read(STREAMS["text"] + part("more") + b"junk\n") == read(STREAMS["text"])


@pytest.mark.parametrize("name", ["an end that is missing", "half a line"])
def test_a_stream_without_its_end(name: str) -> None:
    decoder = OllamaChat().decoder({})
    assert decoder.feed(STREAMS[name])[0].text == "a"
    with pytest.raises(StreamInterrupted, match="done: true"):
        decoder.finish()


def test_an_error_after_a_piece_leaves_the_piece() -> None:
    decoder = OllamaChat().decoder({})
    assert decoder.feed(STREAMS["an error"])[0].text == "a"
    with pytest.raises(ServerError, match="an error was encountered"):
        decoder.feed(b"")


@pytest.mark.parametrize(
    "message",
    [
        "the prompt is longer than the context length currently available to the model",
        "request (5000 tokens) exceeds the available context size (4096 tokens)",
    ],
)
def test_a_prompt_that_is_too_long(message: str) -> None:
    with pytest.raises(PromptTooLongError):
        read(line({"error": message}))


@pytest.mark.parametrize("body", [b"[]\n", b"5\n", b'{"message":"x","done":true}\n', b"{\n"])
def test_junk(body: bytes) -> None:
    with pytest.raises(BackendError, match=r"no (JSON|line)"):
        read(body)


@pytest.mark.parametrize("name", STREAMS)
@given(data=st.data())
def test_any_cutting_gives_the_same(name: str, data: st.DataObject) -> None:
    stream = STREAMS[name]
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=20))
    places = sorted({0, len(stream), *cuts})
    expected = outcome(stream)
    assert outcome(*(stream[a:b] for a, b in pairwise(places))) == expected
    assert outcome(*(stream[at : at + 1] for at in range(len(stream)))) == expected


@given(st.sampled_from(list(STREAMS)), st.data())
def test_mutated_streams_fail_as_backends_do(name: str, data: st.DataObject) -> None:
    stream = bytearray(STREAMS[name])
    for _ in range(data.draw(st.integers(1, 5))):
        stream[data.draw(st.integers(0, len(stream) - 1))] = data.draw(st.integers(0, 255))
    outcome(bytes(stream))


@given(st.binary(max_size=200))
def test_random_bytes_fail_as_backends_do(stream: bytes) -> None:
    assert outcome(stream)[1]


def test_what_the_provider_writes() -> None:
    calls = (ToolCall("call_a", "weather", '{"city":"Köln"}'), ToolCall("call_b", "time", "{}"))
    likely = tuple(TokenLogprob(text, -0.25, ((text, -0.25),)) for text in ("a", "b"))
    answer = SampleAnswer(
        text=("a", "b"),
        reasoning=("Hm",),
        tool_calls=calls,
        finish_reason=FinishReason.TOOL_CALLS,
        logprobs=likely,
    )
    deltas = read(OllamaProvider().stream(answer).body)
    assert "".join(delta.text for delta in deltas) == "ab"
    assert [one for delta in deltas for one in delta.logprobs] == list(likely)
    found = [call for delta in deltas for call in delta.tool_calls]
    assert [(call.id, call.name, call.arguments) for call in found] == [
        (call.id, call.name, call.arguments) for call in calls
    ]
    assert (deltas[-1].finish_reason, deltas[-1].usage) == (FinishReason.TOOL_CALLS, answer.usage)
