"""What every provider's writer owes to the kit, and what OpenAI's writes."""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
from collections.abc import Iterator
from dataclasses import replace

import pytest

from andon.chat import FinishReason, TokenLogprob, Usage
from andon.testing import providers
from andon.testing.conformance.samples import CALL, FIRST, OTHER_CALL, SAMPLE, TEXT
from andon.testing.provider import Provider
from andon.testing.providers.openai_chat import OpenAIChatProvider

PARTS = {
    "reasoning", "tools", "parallel_tools", "cached_usage", "cache_write_usage", "reasoning_usage",
    "logprobs", "stream_error",
}  # fmt: skip


def all_providers() -> Iterator[type[Provider]]:
    for info in pkgutil.iter_modules(providers.__path__):
        module = importlib.import_module(f"{providers.__name__}.{info.name}")
        for _, value in inspect.getmembers(module, inspect.isclass):
            if value.__module__ == module.__name__ and Provider in value.__mro__:
                yield value


@pytest.fixture(params=list(all_providers()), ids=lambda kind: kind.__name__)
def provider(request: pytest.FixtureRequest) -> Provider:
    made: Provider = request.param()
    return made


def test_abilities_are_known(provider: Provider) -> None:
    assert provider.abilities <= PARTS
    assert provider.finish_reasons <= set(FinishReason)


def test_letters_are_written_as_they_are(provider: Provider) -> None:
    # Escaped, they would prove nothing: neither UTF-8 that is cut, nor odd ends of lines.
    for body in (provider.whole(SAMPLE).body, provider.stream(SAMPLE).body):
        assert "wörld".encode() in body and "\u2028".encode() in body


def test_a_stream_has_a_first_text_and_an_end(provider: Provider) -> None:
    stream = provider.stream(SAMPLE)
    assert stream.end and stream.body.endswith(stream.end)
    assert any(FIRST in event for event in stream.events)
    assert all(name == name.lower() for name in stream.headers)


def test_errors_have_their_status_and_message(provider: Provider) -> None:
    for status in (400, 401, 429, 500, 529):
        reply = provider.error(status, "It is nöt to be")
        assert reply.status == status
        assert "It is n" in reply.body.decode() or "It is n" in str(reply.headers)


# -- OpenAI's -------------------------------------------------------------------------------------


def chunks(provider: OpenAIChatProvider, **changes: object) -> list[dict[str, object]]:
    body = provider.stream(replace(SAMPLE, **changes)).body.decode()
    lines = body.split("\n\n")
    assert lines[-2:] == ["data: [DONE]", ""]
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-2]]


def test_a_whole_answer() -> None:
    logprobs = (TokenLogprob("Hello", -0.5, (("Hello", -0.5),)),)
    answer = replace(
        SAMPLE, reasoning=("hm",), tool_calls=(CALL,), logprobs=logprobs, usage=Usage(9, 8, 3, 2, 1)
    )
    body = json.loads(OpenAIChatProvider().whole(answer).body)
    [choice] = body["choices"]
    assert choice["message"]["content"] == TEXT
    assert choice["message"]["reasoning_content"] == "hm"
    assert choice["message"]["tool_calls"][0]["function"]["arguments"] == CALL.arguments
    assert choice["logprobs"]["content"][0]["token"] == "Hello"
    assert body["usage"] == {
        "prompt_tokens": 9,
        "completion_tokens": 8,
        "total_tokens": 17,
        "prompt_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 2},
        "completion_tokens_details": {"reasoning_tokens": 1},
    }


def test_tool_calls_are_streamed_in_pieces() -> None:
    found = ["", ""]
    for chunk in chunks(OpenAIChatProvider(), tool_calls=(CALL, OTHER_CALL)):
        for choice in chunk["choices"]:
            for piece in choice["delta"].get("tool_calls", ()):
                found[piece["index"]] += piece["function"]["arguments"]
    assert found == [CALL.arguments, OTHER_CALL.arguments]


@pytest.mark.parametrize("place", ["chunk", "last", "x_groq"])
def test_where_usage_stands(place: str) -> None:
    *_, before, last = chunks(OpenAIChatProvider(usage=place))
    match place:
        case "chunk":
            assert last["choices"] == [] and last["usage"]["prompt_tokens"] == 12
            assert before["choices"][0]["finish_reason"] == "stop"
        case "last":
            assert last["usage"]["prompt_tokens"] == 12 and last["choices"]
        case "x_groq":
            assert last["x_groq"]["usage"]["prompt_tokens"] == 12 and last["usage"] is None


def test_questions() -> None:
    plain = OpenAIChatProvider()
    assert plain.tokens(3) is None
    assert [row["id"] for row in json.loads(plain.models(["a", "b"]).body)["data"]] == ["a", "b"]
    assert json.loads(OpenAIChatProvider(bare_models=True).models(["a"]).body)[0]["id"] == "a"
    assert json.loads(OpenAIChatProvider(token_count="count").tokens(3).body)["count"] == 3
    assert len(json.loads(OpenAIChatProvider(token_count="tokens").tokens(3).body)["tokens"]) == 3


def test_raw_prompts() -> None:
    provider = OpenAIChatProvider()
    assert provider.route("POST", "/v1/chat/completions", b"{}", SAMPLE) is None
    whole = provider.route("POST", "/v1/completions", b"{}", SAMPLE)
    assert whole is not None and json.loads(whole.body)["choices"][0]["text"] == TEXT
    stream = provider.route("POST", "/v1/completions", b'{"stream": true}', SAMPLE)
    assert stream is not None and stream.body.endswith(b"data: [DONE]\n\n")
