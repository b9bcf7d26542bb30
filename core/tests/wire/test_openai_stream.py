"""Streams: what is read from them, however they are cut, and that OpenAI's own SDK reads the same."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from andon.answer import Answer
from andon.chat import ChatDelta, FinishReason, Usage
from andon.errors import (
    BackendError,
    BadRequestError,
    RateLimitError,
    ServerError,
    StreamInterrupted,
)
from andon.messages import ToolCall
from andon.wire.openai_chat import OpenAIChat, Quirks

HEADERS = {"content-type": "text/event-stream", "x-request-id": "req_1"}
LENIENT = Quirks(done_required=False)
DONE = b"data: [DONE]\n\n"
USAGE = {
    "prompt_tokens": 20, "completion_tokens": 9, "total_tokens": 29,
    "prompt_tokens_details": {"cached_tokens": 16, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 4, "audio_tokens": 0},
}  # fmt: skip


def event(value: Any, name: str = "") -> bytes:
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(value, ensure_ascii=False)}\n\n".encode()


def chunk(delta: Any = None, finish: str | None = None, **more: Any) -> bytes:
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m-1"}
    choice = {"index": 0, "delta": delta or {}, "logprobs": None, "finish_reason": finish}
    return event(head | {"choices": [choice]} | more)


def piece(index: int, arguments: str, identifier: str = "", name: str = "") -> dict[str, Any]:
    start = {"id": identifier, "type": "function"} if identifier else {}
    function = {"name": name, "arguments": arguments} if name else {"arguments": arguments}
    return {"index": index, **start, "function": function}


ROLE = chunk({"role": "assistant", "content": "", "refusal": None}, usage=None)
USAGE_CHUNK = event(
    {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m-1",
     "choices": [], "usage": USAGE}
)  # fmt: skip

#: Complete streams in the documented form, each read by the SDK as well.
STREAMS: dict[str, bytes] = {
    "text": ROLE + chunk({"content": "Grüße,\u2028"}) + chunk({"content": " 世界 😀"}) + chunk(finish="stop") + DONE,
    "usage in a chunk of its own": (
        ROLE + chunk({"content": "Hi"}, usage=None) + chunk(finish="length", usage=None) + USAGE_CHUNK + DONE
    ),
    "usage with the finish reason": ROLE + chunk({"content": "Hi"}) + chunk(finish="stop", usage=USAGE) + DONE,
    "a comment, carriage returns, and fields that nobody knows": (
        (b": waiting\n\n" + ROLE + chunk({"content": "Hi"}, service_tier="x", obfuscation="abc"))
        + chunk({"content": "!"}, finish="stop", timings={"prompt_n": 1}) + DONE
    ).replace(b"\n", b"\r\n"),
    "no choices in the first chunk": event(
        {"id": "", "object": "", "created": 0, "model": "", "choices": [], "prompt_filter_results": []}
    ) + ROLE + chunk({"content": "Hi"}) + chunk(finish="stop") + DONE,
    "parallel tools": (
        ROLE
        + chunk({"tool_calls": [piece(0, "", "call_a", "weather")]})
        + chunk({"tool_calls": [piece(0, '{"city":')]})
        + chunk({"tool_calls": [piece(1, "", "call_b", "time")]})
        + chunk({"tool_calls": [piece(0, '"Köln"}'), piece(1, "{}")]})
        + chunk(finish="tool_calls") + USAGE_CHUNK + DONE
    ),
    "a forced tool ends with stop": (
        ROLE + chunk({"tool_calls": [piece(0, "{}", "call_a", "time")]}) + chunk(finish="stop") + DONE
    ),
    "filtered": ROLE + chunk({"content": "So"}) + chunk(finish="content_filter") + DONE,
    "reasoning_content": (
        ROLE + chunk({"reasoning_content": "2+"}) + chunk({"reasoning_content": "2"})
        + chunk({"content": "4"}) + chunk(finish="stop") + DONE
    ),
    "reasoning": ROLE + chunk({"reasoning": "2+2"}) + chunk({"content": "4"}) + chunk(finish="stop") + DONE,
    "reasoning in both fields": (
        ROLE + chunk({"reasoning": "2+2", "reasoning_content": "2+2"}) + chunk({"content": "4"}) + chunk(finish="stop") + DONE
    ),
}  # fmt: skip


def read(*parts: bytes, quirks: Quirks = Quirks(), end: bool = True) -> list[ChatDelta]:  # noqa: B008
    """Read a stream; the last call is what a driver does at the connection's end."""
    decoder = OpenAIChat(quirks).decoder(HEADERS)
    deltas = [delta for part in parts for delta in decoder.feed(part)]
    return [*deltas, *decoder.finish()] if end else deltas


def answer(deltas: Sequence[ChatDelta]) -> Answer:
    whole = Answer()
    for delta in deltas:
        whole.append(delta)
    return whole


def calls(deltas: Sequence[ChatDelta]) -> tuple[ToolCall, ...]:
    return answer(deltas).message().tool_calls


# -- What is read ----------------------------------------------------------------------------------


def test_text_first_and_last() -> None:
    first, second, last = read(STREAMS["text"])
    assert first == ChatDelta("Grüße,\u2028", model="m-1", request_id="req_1")
    assert second == ChatDelta(" 世界 😀")
    assert last == ChatDelta(
        finish_reason=FinishReason.STOP, raw_finish_reason="stop", model="m-1", request_id="req_1"
    )


@pytest.mark.parametrize("name", ["usage in a chunk of its own", "usage with the finish reason"])
def test_the_last_delta_has_finish_reason_and_usage(name: str) -> None:
    *_, last = read(STREAMS[name])
    assert last.finish_reason in {FinishReason.STOP, FinishReason.LENGTH}
    assert last.usage == Usage(20, 9, cached_input_tokens=16, reasoning_tokens=4)


def test_usage_in_every_chunk() -> None:
    """The last one counts, even where the finish reason comes without any."""
    sofar = {"prompt_tokens": 5, "completion_tokens": 1}
    stream = chunk({"content": "Hi"}, usage=sofar)
    stream += chunk({"content": "!"}, usage=sofar | {"completion_tokens": 2})
    assert read(stream + chunk(finish="stop") + DONE)[-1].usage == Usage(5, 2)


def test_the_answer_is_complete_before_done() -> None:
    """Nobody waits for a server that keeps the connection open after the usage."""
    decoder = OpenAIChat().decoder(HEADERS)
    deltas = decoder.feed(chunk({"content": "Hi"}) + chunk(finish="stop", usage=USAGE))
    assert deltas[-1].finish_reason is FinishReason.STOP
    assert decoder.done
    assert list(decoder.feed(USAGE_CHUNK + DONE)) == list(decoder.finish()) == []


def test_parallel_tools() -> None:
    deltas = read(STREAMS["parallel tools"])
    assert calls(deltas) == (
        ToolCall("call_a", "weather", '{"city":"Köln"}'), ToolCall("call_b", "time", "{}")
    )  # fmt: skip
    assert deltas[-1].finish_reason is FinishReason.TOOL_CALLS


@pytest.mark.parametrize("name", [name for name in STREAMS if name.startswith("reasoning")])
def test_reasoning(name: str) -> None:
    message = answer(read(STREAMS[name])).message()
    assert (message.reasoning, message.text) == ("2+2", "4")


def test_a_refusal_is_text_that_was_filtered() -> None:
    deltas = read(
        chunk({"refusal": "No, "}) + chunk({"refusal": "sorry."}) + chunk(finish="stop") + DONE
    )
    assert answer(deltas).text == "No, sorry."
    assert (deltas[-1].finish_reason, deltas[-1].raw_finish_reason) == ("content_filter", "stop")


@pytest.mark.parametrize(
    ("raw", "reason"),
    [("eos", "stop"), ("repetition", "stop"), ("stop_sequence", "stop"), ("max_tokens", "length"),
     ("safety", "content_filter"), ("tool_use", "tool_calls")],
)  # fmt: skip
def test_finish_reasons_in_other_words(raw: str, reason: str) -> None:
    *_, last = read(chunk({"content": "Hi"}) + chunk(finish=raw) + DONE)
    assert (last.finish_reason, last.raw_finish_reason) == (reason, raw)


def test_raw_completions() -> None:
    head = {"id": "cmpl-1", "object": "text_completion", "model": "m-1"}
    stream = b"".join(
        event(head | {"choices": [{"index": 0, "text": text, "finish_reason": finish}]})
        for text, finish in (("Once", None), (" upon", None), ("", "length"))
    )
    whole = answer(read(stream + DONE))
    assert (whole.text, whole.finish_reason) == ("Once upon", FinishReason.LENGTH)


def test_groqs_usage() -> None:
    last = chunk(finish="stop", x_groq={"id": "req_2", "usage": USAGE})
    assert read(chunk({"content": "Hi"}) + last + DONE)[-1].usage == Usage(20, 9, 16, 0, 4)


def test_the_body_names_the_request_where_no_header_does() -> None:
    decoder = OpenAIChat().decoder({})
    assert decoder.feed(chunk({"content": "Hi"}))[0].request_id == "chatcmpl-1"


def test_groqs_own_id_comes_before_that_of_the_answer() -> None:
    decoder = OpenAIChat().decoder({})
    assert decoder.feed(chunk({"content": "Hi"}, x_groq={"id": "req_2"}))[0].request_id == "req_2"


def test_togethers_raw_completions_end_beside_the_choices() -> None:
    pieces = [event({"choices": [{"index": 0, "text": text}], "model": "m-1"}) for text in "ab"]
    end = event({"choices": [{"index": 0, "text": "."}], "finish_reason": "eos", "usage": USAGE})
    whole = answer(read(*pieces, end))
    assert (whole.text, whole.finish_reason, whole.raw_finish_reason) == ("ab.", "stop", "eos")


def test_an_empty_finish_reason_is_none() -> None:
    text = chunk({"content": "Hi"}, finish="") + chunk({"content": "!"}, finish="")
    assert answer(read(text + chunk(finish="stop") + DONE)).text == "Hi!"


def test_the_last_empty_line_may_be_missing() -> None:
    assert read(STREAMS["text"][:-1]) == read(STREAMS["text"])


# -- How streams break -----------------------------------------------------------------------------


def test_without_done_a_finish_reason_is_an_end_where_the_quirks_say_so() -> None:
    stream = chunk({"content": "Hi"}) + chunk(finish="stop")
    *_, last = read(stream, quirks=LENIENT)
    assert (last.finish_reason, last.usage) == (FinishReason.STOP, None)
    with pytest.raises(StreamInterrupted, match=r"without \[DONE\]") as caught:
        read(stream)
    assert caught.value.request_id == "req_1"


@pytest.mark.parametrize("end", [b"", DONE, b"data: [DO"])
@pytest.mark.parametrize("quirks", [Quirks(), LENIENT])
def test_without_a_finish_reason_nothing_is_an_end(end: bytes, quirks: Quirks) -> None:
    with pytest.raises(StreamInterrupted, match="without its finish reason"):
        read(chunk({"content": "Hi"}), end, quirks=quirks)


ERRORS: dict[str, tuple[bytes, type[BackendError], str]] = {
    "an object": (
        event({"error": {"message": "Slow down", "type": "requests", "code": "rate_limit_exceeded"}}),
        RateLimitError, "Slow down",
    ),
    "a status": (event({"error": {"message": "Too long", "type": "BadRequestError", "code": 400}}), BadRequestError, "Too long"),
    "a text": (event({"error": "out of memory"}), ServerError, "out of memory"),
    "by the event's name": (event({"message": "Overloaded"}, "error"), ServerError, "Overloaded"),
    "by name and plain": (b"event: error\ndata: it broke\n\n", ServerError, "it broke"),
    "of Groq": (chunk({}, x_groq={"error": "gone"}), ServerError, "gone"),
    "as finish reason": (chunk(finish="error") + DONE, ServerError, "'error'"),
    "given up": (chunk(finish="abort") + DONE, StreamInterrupted, "'abort'"),
    "no JSON": (b"data: {oops\n\n", BackendError, r"b'\{oops'"),
    "no object": (b"data: [1]\n\n", BackendError, r"b'\[1\]'"),
    "another shape": (event({"choices": [{"delta": {"content": 5}}]}), BackendError, "chunk of an answer"),
    "too deep": (b"data: " + b"[" * 100_000 + b"\n\n", BackendError, "no JSON"),
}  # fmt: skip


@pytest.mark.parametrize(("stream", "kind", "said"), ERRORS.values(), ids=ERRORS)
def test_errors_in_a_stream(stream: bytes, kind: type[BackendError], said: str) -> None:
    decoder = OpenAIChat().decoder(HEADERS)
    # What came before the error is not lost, even if it came in the same bytes.
    assert [delta.text for delta in decoder.feed(chunk({"content": "Hi"}) + stream)] == ["Hi"]
    assert decoder.done  # so that nothing more is waited for
    for proceed in (lambda: decoder.feed(b""), lambda: decoder.feed(DONE), decoder.finish):
        with pytest.raises(kind, match=said) as caught:
            proceed()
        assert type(caught.value) is kind
        assert caught.value.request_id == "req_1"


# -- However it is cut -----------------------------------------------------------------------------


def outcome(parts: Sequence[bytes]) -> tuple[list[ChatDelta], str]:
    deltas: list[ChatDelta] = []
    decoder = OpenAIChat().decoder(HEADERS)
    try:
        for part in parts:
            deltas += decoder.feed(part)
        deltas += decoder.finish()
    except BackendError as error:
        return deltas, f"{type(error).__name__}: {error}"
    return deltas, ""


WHOLE = STREAMS | {
    f"error {name}": STREAMS["text"][: -len(DONE)] + stream
    for name, (stream, _, _) in ERRORS.items()
    if len(stream) < 1000
}


@given(name=st.sampled_from(sorted(WHOLE)), data=st.data())
@settings(max_examples=200)
def test_however_a_stream_is_cut_it_gives_the_same(name: str, data: st.DataObject) -> None:
    stream = WHOLE[name]
    places = sorted(data.draw(st.sets(st.integers(0, len(stream)), max_size=40)))
    parts = [stream[a:b] for a, b in zip([0, *places], [*places, len(stream)], strict=True)]
    assert outcome(parts) == outcome([stream])


@pytest.mark.parametrize("name", WHOLE)
def test_byte_by_byte_it_gives_the_same(name: str) -> None:
    stream = WHOLE[name]
    assert outcome([stream[i : i + 1] for i in range(len(stream))]) == outcome([stream])


# -- The official SDK reads the same ---------------------------------------------------------------


class Player(BaseHTTPRequestHandler):
    """Answers with the stream that the path names."""

    streams: Mapping[str, bytes]

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        data = self.streams[self.path.split("/")[1]]
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def player() -> Iterator[tuple[str, list[str]]]:
    names = list(STREAMS)
    streams = {str(number): STREAMS[name] for number, name in enumerate(names)}
    streams["error"] = ROLE + ERRORS["an object"][0]
    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), type("OnePlayer", (Player,), {"streams": streams})
    )
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", names
    server.shutdown()
    server.server_close()
    thread.join()


def sdk_chunks(url: str) -> list[Any]:
    openai = pytest.importorskip("openai", reason="the official SDK is not installed")
    with openai.OpenAI(api_key="K", base_url=url, max_retries=0) as client:
        return list(
            client.chat.completions.create(
                model="m", messages=[{"role": "user", "content": "Hello"}], stream=True
            )
        )


def sdk_calls(deltas: Sequence[Any]) -> tuple[ToolCall, ...]:
    found: dict[int, list[str]] = {}
    for call in (call for delta in deltas for call in delta.tool_calls or ()):
        entry = found.setdefault(call.index, ["", "", ""])
        entry[0] = entry[0] or call.id
        entry[1] = entry[1] or call.function.name
        entry[2] += call.function.arguments or ""
    return tuple(ToolCall(*found[index]) for index in sorted(found))


@pytest.mark.parametrize("name", STREAMS)
def test_the_official_sdk_reads_the_same(name: str, player: tuple[str, list[str]]) -> None:
    url, names = player
    chunks = sdk_chunks(f"{url}/{names.index(name)}")
    ours = answer(read(STREAMS[name]))
    choices = [chunk.choices[0] for chunk in chunks if chunk.choices]
    assert ours.text == "".join(choice.delta.content or "" for choice in choices)
    assert ours.message().tool_calls == sdk_calls([choice.delta for choice in choices])
    [finish] = [choice.finish_reason for choice in choices if choice.finish_reason]
    assert ours.raw_finish_reason == finish
    theirs = [chunk.usage for chunk in chunks if chunk.usage]
    assert (ours.usage != Usage()) == bool(theirs)
    for usage in theirs:
        assert ours.usage.total_tokens == usage.total_tokens
        assert ours.usage.cached_input_tokens == usage.prompt_tokens_details.cached_tokens
        assert ours.usage.reasoning_tokens == usage.completion_tokens_details.reasoning_tokens


def test_the_official_sdk_finds_the_same_error(player: tuple[str, list[str]]) -> None:
    openai = pytest.importorskip("openai", reason="the official SDK is not installed")
    with pytest.raises(openai.APIError, match="Slow down") as caught:
        sdk_chunks(f"{player[0]}/error")
    assert caught.value.code == "rate_limit_exceeded"
