"""TGI's own ``/generate``: what is sent, and what is read of its answers and errors."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon.chat import (
    ChatDelta,
    ChatRequest,
    FinishReason,
    ResponseFormat,
    Sampling,
    TokenLogprob,
    Usage,
)
from andon.errors import (
    BackendError,
    BadRequestError,
    PromptTooLongError,
    RateLimitError,
    ServerError,
    StreamInterrupted,
)
from andon.messages import ChatMessage
from andon.testing.provider import SampleAnswer
from andon.testing.providers.tgi import TGIProvider
from andon.wire.dialect import HTTPReply
from andon.wire.openai_quirks import Quirks
from andon.wire.prompt_rendering import PromptRenderer
from andon.wire.tgi import TGIGenerate

HELLO = ChatRequest(model="tgi", messages=(ChatMessage.user("Hello"),), sampling=Sampling(9))
PROMPT = "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n"
QUIRKS = Quirks(
    raw_response_format=True, counting="tgi", health_path="/health", reasoning_effort=False
)
DIALECT = TGIGenerate(PromptRenderer("chatml"), QUIRKS)
PROVIDER = TGIProvider()
ODD = SampleAnswer(
    text=("Hel", "lo\u2028", "wörld", " 🦙"),
    logprobs=tuple(
        TokenLogprob(t, -0.5, ((t, -0.5), ("x", -3.0))) for t in ("Hel", "lo\u2028", "wörld", " 🦙")
    ),
)


def sent(request: ChatRequest) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(DIALECT.encode(request).body)
    return body


def test_a_chat() -> None:
    call = DIALECT.encode(HELLO)
    assert (call.method, call.path, call.at_root) == ("POST", "/generate", True)
    parameters = {"max_new_tokens": 9, "stop": ["<|im_end|>"], "details": True}
    assert sent(HELLO) == {"inputs": PROMPT, "parameters": parameters}
    assert DIALECT.encode(replace(HELLO, stream=True)).path == "/generate_stream"


def test_everything_that_can_be_asked() -> None:
    schema = {"type": "object"}
    request = replace(
        HELLO,
        sampling=Sampling(9, 0.5, 0.9, ("END",), 7),
        response_format=ResponseFormat("json_schema", schema),
        top_logprobs=2,
    )
    assert sent(request)["parameters"] == {
        "max_new_tokens": 9, "do_sample": True, "temperature": 0.5, "top_p": 0.9, "seed": 7,
        "stop": ["END", "<|im_end|>"], "grammar": {"type": "json", "value": schema},
        "top_n_tokens": 2, "details": True,
    }  # fmt: skip


def test_what_it_would_refuse_is_said_in_its_words() -> None:
    parameters = sent(replace(HELLO, sampling=Sampling(9, 0.0, 1.0)))["parameters"]
    assert parameters["do_sample"] is False
    assert "temperature" not in parameters
    assert "top_p" not in parameters


def read(request: ChatRequest, reply: HTTPReply) -> ChatDelta:
    reader = DIALECT.encode(request).reader
    assert reader is not None
    [delta] = reader(reply)
    return delta


def test_an_answer() -> None:
    delta = read(replace(HELLO, top_logprobs=2), PROVIDER.whole(ODD))
    assert delta.text == "Hello\u2028wörld 🦙"
    assert (delta.finish_reason, delta.raw_finish_reason) == (FinishReason.STOP, "eos_token")
    assert delta.usage == Usage(12, 5)
    assert delta.logprobs == ODD.logprobs
    assert read(HELLO, PROVIDER.whole(ODD)).logprobs == ()


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("eos_token", FinishReason.STOP),
        ("stop_sequence", FinishReason.STOP),
        ("length", FinishReason.LENGTH),
    ],
)
def test_why_it_ended(raw: str, reason: FinishReason) -> None:
    body = {"generated_text": "x", "details": {"finish_reason": raw, "generated_tokens": 1}}
    delta = read(HELLO, HTTPReply(status=200, headers={}, body=json.dumps(body).encode()))
    assert (delta.finish_reason, delta.raw_finish_reason) == (reason, raw)
    # Without the header nobody knows the prompt's tokens.
    assert delta.usage is None


def test_a_list_of_one_answer() -> None:
    body = json.dumps([{"generated_text": "x"}]).encode()
    assert read(HELLO, HTTPReply(status=200, headers={}, body=body)).text == "x"


def test_the_stop_text_is_taken_away() -> None:
    request = replace(HELLO, sampling=Sampling(9, stop=("END",)))
    body = json.dumps({"generated_text": "Hello END"}).encode()
    assert read(request, HTTPReply(status=200, headers={}, body=body)).text == "Hello "


@given(st.lists(st.integers(0, 5000)))
def test_however_a_stream_is_cut_it_gives_the_same(cuts: list[int]) -> None:
    stream = PROVIDER.stream(ODD)
    places = sorted({0, len(stream.body), *(cut % len(stream.body) for cut in cuts)})
    decoder = DIALECT.decoder(stream.headers)
    deltas: list[ChatDelta] = []
    for start, end in zip(places, places[1:], strict=False):  # noqa: RUF007
        deltas += decoder.feed(stream.body[start:end])
    assert decoder.done
    deltas += decoder.finish()
    assert [delta.text for delta in deltas] == [*ODD.text, ""]
    assert deltas[-1].usage == Usage(12, 5)
    assert deltas[-1].finish_reason is FinishReason.STOP
    assert tuple(row for delta in deltas for row in delta.logprobs) == ODD.logprobs


def test_a_stream_that_a_stop_text_ends() -> None:
    request = replace(HELLO, sampling=Sampling(9, stop=("END",)), stream=True)
    make = DIALECT.encode(request).decoder
    assert make is not None
    decoder = make({})
    deltas = decoder.feed(PROVIDER.stream(SampleAnswer(text=("Hello", " E", "ND"))).body)
    assert "".join(delta.text for delta in deltas) == "Hello "
    assert deltas[-1].finish_reason is FinishReason.STOP
    assert not any(delta.logprobs for delta in deltas)


def test_a_stream_without_its_last_event() -> None:
    decoder = DIALECT.decoder({})
    decoder.feed(b"".join(PROVIDER.stream(ODD).events))
    with pytest.raises(StreamInterrupted):
        decoder.finish()


def test_an_error_inside_a_stream() -> None:
    decoder = DIALECT.decoder({})
    with pytest.raises(ServerError, match="Request failed"):
        decoder.feed(PROVIDER.stream_error("Request failed during generation"))


@pytest.mark.parametrize(
    ("status", "kind", "message", "expected"),
    [
        (
            422,
            "validation",
            "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096",
            PromptTooLongError,
        ),
        (
            422,
            "validation",
            "Input validation error: `inputs` must have less than 1024 tokens",
            PromptTooLongError,
        ),
        (422, "validation", "Input validation error: `top_p` must be > 0.0", BadRequestError),
        (424, "generation", "Request failed during generation", ServerError),
        (429, "overloaded", "Model is overloaded", RateLimitError),
        (500, "incomplete_generation", "Incomplete generation", ServerError),
    ],
)
def test_errors(status: int, kind: str, message: str, expected: type[BackendError]) -> None:
    body = json.dumps({"error": message, "error_type": kind}).encode()
    error = DIALECT.explain(HTTPReply(status=status, headers={}, body=body))
    assert type(error) is expected
    assert error.status == status
    assert message in str(error)


def stream_of(data: bytes) -> list[ChatDelta]:
    decoder = DIALECT.decoder({})
    return [*decoder.feed(data), *decoder.finish()]


@given(st.binary(max_size=200) | st.sampled_from([b"[]", b"{}", b"null", b"1", b"[1]"]))
def test_junk_is_an_error_and_never_a_crash(data: bytes) -> None:
    with pytest.raises(BackendError):
        DIALECT.decode(HTTPReply(status=200, headers={}, body=data))
    with pytest.raises(BackendError):
        stream_of(b"data:" + data + b"\n\n")


def test_questions() -> None:
    query = DIALECT.count_tokens(HELLO)
    assert query is not None
    assert (query.call.path, query.call.at_root) == ("/tokenize", True)
    assert json.loads(query.call.body) == {"inputs": PROMPT}
    assert query.read(PROVIDER.tokens(15)) == 15


def test_the_official_client_reads_what_the_provider_writes() -> None:
    hub = pytest.importorskip("huggingface_hub")
    whole = hub.TextGenerationOutput.parse_obj_as_instance(PROVIDER.whole(ODD).body)
    assert whole.generated_text == "".join(ODD.text)
    assert whole.details.finish_reason == "eos_token"
    lines = [line[5:] for line in PROVIDER.stream(ODD).body.split(b"\n") if line]
    last = hub.TextGenerationStreamOutput.parse_obj_as_instance(lines[-1])
    assert last.details.input_length == 12
    first = hub.TextGenerationStreamOutput.parse_obj_as_instance(lines[0])
    assert (first.token.text, first.generated_text) == ("Hel", None)
