"""Whole replies: what is read from them, and that OpenAI's own SDK reads the same."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from andon.chat import ChatDelta, FinishReason, ToolCallDelta, Usage
from andon.errors import (
    BackendError,
    OverloadedError,
    RateLimitError,
    ServerError,
    StreamInterrupted,
)
from andon.wire.dialect import HTTPReply
from andon.wire.openai_chat import OpenAIChat

USAGE = {
    "prompt_tokens": 20, "completion_tokens": 9, "total_tokens": 29,
    "prompt_tokens_details": {"cached_tokens": 16, "cache_write_tokens": 3},
    "completion_tokens_details": {"reasoning_tokens": 4},
}  # fmt: skip
CALLS = [
    {"id": "call_a", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Köln"}'}},
    {"id": "call_b", "type": "function", "function": {"name": "time", "arguments": "{}"}},
]  # fmt: skip


def body(message: Mapping[str, Any], finish: str | None = "stop", **more: Any) -> dict[str, Any]:
    head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m-1"}
    whole = {"role": "assistant", "content": None, "refusal": None} | dict(message)
    return head | {"choices": [{"index": 0, "message": whole, "finish_reason": finish}]} | more


def reply(value: Any, status: int = 200, **headers: str) -> HTTPReply:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    names = {name.replace("_", "-"): text for name, text in headers.items()}
    return HTTPReply(status=status, headers=names, body=data)


def read(value: Any, **headers: str) -> ChatDelta:
    [delta] = OpenAIChat().decode(reply(value, **headers))
    return delta


REPLIES = {
    "text": body({"content": "Grüße, 世界 😀"}, usage=USAGE, system_fingerprint="fp"),
    "tools": body({"tool_calls": CALLS}, "tool_calls", usage=USAGE),
    "cut": body({"content": "So"}, "length"),
    "reasoning": body({"content": "4", "reasoning_content": "2+2"}),
    "filtered": body({"content": ""}, "content_filter"),
}


# -- Answers ---------------------------------------------------------------------------------------


def test_a_whole_answer() -> None:
    assert read(REPLIES["text"], x_request_id="req_1") == ChatDelta(
        text="Grüße, 世界 😀",
        finish_reason=FinishReason.STOP,
        raw_finish_reason="stop",
        usage=Usage(20, 9, cached_input_tokens=16, cache_write_tokens=3, reasoning_tokens=4),
        model="m-1",
        request_id="req_1",
    )


def test_tools() -> None:
    delta = read(REPLIES["tools"])
    assert delta.tool_calls == (
        ToolCallDelta(0, "call_a", "weather", '{"city":"Köln"}'),
        ToolCallDelta(1, "call_b", "time", "{}"),
    )
    assert (delta.text, delta.finish_reason) == ("", FinishReason.TOOL_CALLS)
    assert delta.request_id == "chatcmpl-1"


def test_forced_tools_end_with_stop() -> None:
    delta = read(body({"tool_calls": CALLS}, "stop"))
    assert (delta.finish_reason, delta.raw_finish_reason) == (FinishReason.TOOL_CALLS, "stop")


def test_calls_without_ids_get_some() -> None:
    call = {"function": {"name": "f", "arguments": {"a": 1}}}
    pieces = read(body({"tool_calls": [call, call]}, "tool_calls")).tool_calls
    assert [(p.index, p.name, p.arguments) for p in pieces if p.name] == [
        (0, "f", '{"a":1}'), (1, "f", '{"a":1}')
    ]  # fmt: skip
    assert [(p.index, p.id) for p in pieces if p.id] == [(0, "call_0"), (1, "call_1")]


def test_refusals_parts_and_raw_completions() -> None:
    refused = read(body({"refusal": "No."}))
    assert (refused.text, refused.finish_reason) == ("No.", FinishReason.CONTENT_FILTER)
    assert read(body({"content": [{"type": "text", "text": "a"}, {"type": "x"}]})).text == "a"
    raw = {"choices": [{"index": 0, "text": "Once", "finish_reason": "length"}], "model": "m"}
    assert (read(raw).text, read(raw).finish_reason) == ("Once", FinishReason.LENGTH)


@pytest.mark.parametrize(
    ("usage", "read_"),
    [
        (None, None),
        ({}, None),
        ({"prompt_tokens": 3, "completion_tokens": 2, "prompt_tokens_details": None}, Usage(3, 2)),
        ({"prompt_tokens": 3, "completion_tokens": None}, Usage(3)),
        # More than the whole: no part may be.
        ({"prompt_tokens": 3, "completion_tokens": 1, "prompt_cache_hit_tokens": 9}, Usage(3, 1, 3)),
        (
            {"prompt_tokens": 3, "prompt_tokens_details": {"cached_tokens": 1, "created_cache_tokens": 9}},
            Usage(3, 0, 1, 2),
        ),
    ],
)  # fmt: skip
def test_usage(usage: Any, read_: Usage | None) -> None:
    assert read(body({"content": "Hi"}, usage=usage)).usage == read_


@pytest.mark.parametrize(
    ("value", "kind", "said"),
    [
        (b"<html>Sign in</html>", BackendError, r"20 bytes .* no JSON: b'<html>Sign in</html>'"),
        (b"", BackendError, "0 bytes"),
        (b"\xff\xfe", BackendError, r"b'\\xff\\xfe'"),
        (b"[" * 100_000, BackendError, "no JSON"),
        ([1], BackendError, "no answer"),
        ({"choices": []}, BackendError, "no answer"),
        ({"models": ["a"]}, BackendError, "no answer"),
        ({"error": {"message": "Broken", "code": 503}}, OverloadedError, "Broken"),
        ({"error": {"message": "Busy", "code": "429"}}, RateLimitError, "Busy"),
        ({"error": {"message": "Busy", "code": "x", "status": 429}}, RateLimitError, "Busy"),
        ({"error": "Broken"}, ServerError, "Broken"),
        (body({"content": "Hi"}, "abort"), StreamInterrupted, "'abort'"),
    ],
)
def test_no_answer(value: Any, kind: type[BackendError], said: str) -> None:
    with pytest.raises(kind, match=said) as caught:
        read(value)
    assert type(caught.value) is kind
    assert len(str(caught.value)) < 1_000


# -- The official SDK reads the same ---------------------------------------------------------------


class Player(BaseHTTPRequestHandler):
    """Answers with the reply that the path names, or with the status that it names."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        name = self.path.split("/")[1]
        known = name in REPLIES
        value = REPLIES[name] if known else {"error": {"message": "Because", "code": "why"}}
        data = json.dumps(value).encode()
        self.send_response(200 if known else int(name))
        for header, text in {
            "content-type": "application/json",
            "content-length": str(len(data)),
            "x-request-id": "req_1",
        }.items():
            self.send_header(header, text)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def player() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Player)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def ask_sdk(url: str) -> Any:
    openai = pytest.importorskip("openai", reason="the official SDK is not installed")
    with openai.OpenAI(api_key="K", base_url=url, max_retries=0) as client:
        return client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "Hello"}]
        )


@pytest.mark.parametrize("name", REPLIES)
def test_the_official_sdk_reads_the_same(name: str, player: str) -> None:
    theirs = ask_sdk(f"{player}/{name}")
    ours = read(REPLIES[name], x_request_id="req_1")
    choice = theirs.choices[0]
    assert ours.text == (choice.message.content or "")
    assert ours.raw_finish_reason == choice.finish_reason
    assert [(call.id, call.name, call.arguments) for call in ours.tool_calls] == [
        (call.id, call.function.name, call.function.arguments)
        for call in choice.message.tool_calls or ()
    ]
    assert (ours.model, ours.request_id) == (theirs.model, theirs._request_id)
    assert (ours.usage is None) == (theirs.usage is None)
    if ours.usage is not None:
        assert ours.usage.input_tokens == theirs.usage.prompt_tokens
        assert ours.usage.output_tokens == theirs.usage.completion_tokens
        details = theirs.usage.prompt_tokens_details
        assert ours.usage.cached_input_tokens == details.cached_tokens
        assert ours.usage.cache_write_tokens == details.cache_write_tokens


@pytest.mark.parametrize("status", [400, 401, 403, 422, 429, 500, 503])
def test_the_official_sdk_names_errors_alike(status: int, player: str) -> None:
    openai = pytest.importorskip("openai", reason="the official SDK is not installed")
    with pytest.raises(openai.APIStatusError) as caught:
        ask_sdk(f"{player}/{status}")
    ours = OpenAIChat().explain(
        reply({"error": {"message": "Because", "code": "why"}}, status, x_request_id="req_1")
    )
    # Theirs are named otherwise, and ours are finer: a 503 is an OverloadedError as well.
    renamed = {"InternalServerError": "ServerError", "UnprocessableEntityError": "BadRequestError"}
    name = type(caught.value).__name__
    assert renamed.get(name, name) in {kind.__name__ for kind in type(ours).__mro__}
    assert (ours.status, ours.code) == (caught.value.status_code, caught.value.code)
    assert ours.request_id == caught.value.request_id
