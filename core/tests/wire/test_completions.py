"""Chats at OpenAI-style ``/completions``: what is sent, what is read, and the SDK agrees."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon.answer import Answer
from andon.chat import ChatDelta, ChatRequest, FinishReason, ResponseFormat, Sampling, Tool, Usage
from andon.errors import StreamInterrupted, UnsupportedParameterError
from andon.messages import ChatMessage, ToolCall
from andon.testing.provider import SampleAnswer
from andon.testing.providers.completions import CompletionsProvider
from andon.testing.server import LAST_CHUNK, ScriptedServer, chunk, send_reply, stream_head
from andon.wire.completions import Completions
from andon.wire.dialect import HTTPCall, HTTPReply
from andon.wire.openai_quirks import OPENAI, VLLM, Quirks
from andon.wire.prompt_rendering import PromptRenderer

HELLO = ChatRequest(model="m-1", messages=(ChatMessage.user("Hello"),), sampling=Sampling(9))
PROMPT = "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n"
CALLS = SampleAnswer(
    text=("Let me", " see. "), tool_calls=(ToolCall("call_0", "f", '{"a":1}'),), model="m-1"
)
PROVIDER = CompletionsProvider()


def dialect(template: str = "chatml", quirks: Quirks = OPENAI) -> Completions:
    return Completions(PromptRenderer(template), quirks)


def body(call: HTTPCall) -> dict[str, Any]:
    sent: dict[str, Any] = json.loads(call.body)
    return sent


def answer(deltas: list[ChatDelta]) -> Answer:
    gathered = Answer()
    for delta in deltas:
        gathered.append(delta)
    return gathered


def test_a_chat_is_sent_as_a_prompt() -> None:
    call = dialect().encode(HELLO)
    assert (call.path, call.at_root) == ("/completions", False)
    assert body(call) == {
        "model": "m-1", "prompt": PROMPT, "max_tokens": 9, "stop": ["<|im_end|>"],
    }  # fmt: skip


def test_everything_that_can_be_asked() -> None:
    request = replace(
        HELLO,
        sampling=Sampling(9, 0.5, 0.9, ("END",), 7),
        top_logprobs=2,
        stream=True,
    )
    assert body(dialect().encode(request)) == {
        "model": "m-1", "prompt": PROMPT, "max_tokens": 9, "temperature": 0.5, "top_p": 0.9,
        "stop": ["END", "<|im_end|>"], "seed": 7, "logprobs": 2, "stream": True,
        "stream_options": {"include_usage": True},
    }  # fmt: skip


def test_without_a_limit_the_answer_may_be_long() -> None:
    # Left out, the limit would be 16 tokens.
    sent = body(dialect().encode(replace(HELLO, sampling=Sampling())))
    assert sent["max_tokens"] is None


def test_a_raw_prompt_goes_as_it_is() -> None:
    raw = ChatRequest(model="m-1", prompt="Once upon")
    assert body(dialect().encode(raw)) == {"model": "m-1", "prompt": "Once upon"}


def test_the_bos_is_left_to_the_server_unless_it_can_be_told() -> None:
    plain = body(dialect("llama3").encode(HELLO))
    assert plain["prompt"].startswith("<|start_header_id|>")
    assert "add_special_tokens" not in plain
    told = body(dialect("llama3", VLLM).encode(HELLO))
    assert told["prompt"].startswith("<|begin_of_text|><|start_header_id|>")
    assert told["add_special_tokens"] is False
    assert "add_special_tokens" not in body(dialect("chatml", VLLM).encode(HELLO))


def test_a_form_of_the_answer_where_the_server_takes_one() -> None:
    request = replace(HELLO, response_format=ResponseFormat("json_schema", {"type": "object"}))
    sent = body(dialect(quirks=VLLM).encode(request))
    assert sent["response_format"]["json_schema"]["schema"] == {"type": "object"}
    with pytest.raises(UnsupportedParameterError) as caught:
        dialect().encode(request)
    assert caught.value.parameter == "response_format"


def test_reasoning_effort_is_refused() -> None:
    with pytest.raises(UnsupportedParameterError) as caught:
        dialect().encode(replace(HELLO, reasoning_effort="low"))
    assert caught.value.parameter == "reasoning_effort"


def test_an_answer() -> None:
    [delta] = dialect().decode(PROVIDER.whole(SampleAnswer(model="m-1")))
    assert delta.text == "Hello, wörld!"
    assert delta.finish_reason is FinishReason.STOP
    assert delta.usage == Usage(12, 5)
    assert (delta.model, delta.request_id) == ("m-1", "req_sample")


TOOLS = replace(HELLO, tools=(Tool("f", parameters={"type": "object"}),))


def test_calls_in_an_answer() -> None:
    call = dialect("qwen").encode(TOOLS)
    assert call.reader is not None
    whole = answer(list(call.reader(PROVIDER.whole(CALLS))))
    assert (whole.text, whole.message().tool_calls) == ("Let me see. ", CALLS.tool_calls)
    assert whole.finish_reason is FinishReason.TOOL_CALLS


@given(st.lists(st.integers(0, 5000)))
def test_calls_in_a_stream_however_it_is_cut(cuts: list[int]) -> None:
    call = dialect("qwen").encode(replace(TOOLS, stream=True))
    stream = PROVIDER.stream(CALLS)
    places = sorted({0, len(stream.body), *(cut % len(stream.body) for cut in cuts)})
    assert call.decoder is not None
    decoder = call.decoder(stream.headers)
    deltas: list[ChatDelta] = []
    for start, end in zip(places, places[1:], strict=False):  # noqa: RUF007
        deltas += decoder.feed(stream.body[start:end])
    assert decoder.done
    deltas += decoder.finish()
    whole = answer(deltas)
    assert (whole.text, whole.message().tool_calls) == ("Let me see. ", CALLS.tool_calls)
    assert whole.finish_reason is FinishReason.TOOL_CALLS
    assert whole.usage == CALLS.usage


def test_a_stream_that_breaks_off() -> None:
    call = dialect("qwen").encode(replace(TOOLS, stream=True))
    stream = PROVIDER.stream(CALLS)
    assert call.decoder is not None
    decoder = call.decoder(stream.headers)
    decoder.feed(b"".join(stream.events))
    with pytest.raises(StreamInterrupted):
        decoder.finish()


def test_without_tools_nothing_is_read_into_the_text() -> None:
    call = dialect().encode(HELLO)
    assert (call.reader, call.decoder) == (None, None)
    [delta] = dialect().decode(PROVIDER.whole(CALLS))
    assert "<tool_call>" in delta.text


def test_tokens_are_counted_of_what_is_sent() -> None:
    query = dialect(quirks=VLLM).count_tokens(HELLO)
    assert query is not None
    assert (query.call.path, query.call.at_root) == ("/tokenize", True)
    assert body(query.call) == {"model": "m-1", "prompt": PROMPT}
    assert query.read(HTTPReply(status=200, headers={}, body=b'{"count":11}')) == 11
    assert dialect().count_tokens(HELLO) is None


@pytest.mark.parametrize("streamed", [False, True])
def test_the_sdk_sends_the_same(streamed: bool) -> None:
    openai = pytest.importorskip("openai")
    request = replace(
        HELLO, sampling=Sampling(9, 0.5, 0.9, ("END",), 7), top_logprobs=2, stream=streamed
    )
    stream = PROVIDER.stream(SampleAnswer())
    played = [stream_head(stream.headers), chunk(stream.body), LAST_CHUNK]
    with ScriptedServer() as server:
        server.says(played if streamed else [send_reply(PROVIDER.whole(SampleAnswer()))])
        client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="K", max_retries=0)
        options = {"stream_options": {"include_usage": True}} if streamed else {}
        answer = client.completions.create(
            model="m-1", prompt=PROMPT, max_tokens=9, temperature=0.5, top_p=0.9, seed=7,
            stop=["END", "<|im_end|>"], logprobs=2, stream=streamed, **options,
        )  # fmt: skip
        pieces = list(answer) if streamed else [answer]
        client.close()
        [sent] = server.requests
    text = "".join(choice.text for piece in pieces for choice in piece.choices)
    assert (text, pieces[-1].usage.prompt_tokens) == ("Hello, wörld!", 12)
    call = dialect().encode(request)
    assert (sent.method, sent.target) == (call.method, "/v1" + call.path)
    assert sent.headers["content-type"] == call.headers["content-type"]
    # It writes the default of a stream that is none.
    theirs = {name: value for name, value in sent.json().items() if value is not False}
    assert body(call) == theirs
