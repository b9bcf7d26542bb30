"""andon-llama-cpp at llama.cpp's own server, really running, with the demo model."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import andon_llama_cpp
from andon import AsyncClient, Client, FinishReason, Locality, PrivacyViolation
from andon.errors import (
    AuthenticationError,
    BadRequestError,
    ControlTokenError,
    PromptTooLongError,
    SettingsError,
)
from andon.messages import ChatMessage
from andon.settings import Settings

FRANCE = "What is the capital of France?"
PARIS = "The capital of France is Paris."
MODEL = "llama-cpp:demo"
WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the weather of a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}
RAIN = {"type": "function", "function": {**WEATHER["function"], "name": "get_rain"}}
BEGUN = [ChatMessage.user(FRANCE), ChatMessage.assistant("The capital of")]

Connect = Callable[..., Client]


@pytest.fixture
def client(llama_server: str, connect: Connect) -> Client:
    """A client whose llama-cpp is the server's chat."""
    return connect(andon_llama_cpp, "llama-cpp", base_url=llama_server)


@pytest.fixture
def raw(llama_server: str, connect: Connect, demo_gguf: Path) -> Client:
    """A client whose llama-cpp completes raw prompts at the server."""
    return connect(
        andon_llama_cpp,
        "llama-cpp",
        base_url=f"{llama_server}/v1",
        api="completions",
        chat_template=str(demo_gguf),
    )


@pytest.fixture(params=["chat", "completions"])
def either(request: pytest.FixtureRequest) -> Client:
    """A client of one protocol, and then of the other."""
    client: Client = request.getfixturevalue("client" if request.param == "chat" else "raw")
    return client


def test_a_chat(either: Client) -> None:
    reply = either.chat(MODEL, FRANCE, temperature=0, max_tokens=30)
    assert reply.text == PARIS
    assert reply.finish_reason is FinishReason.STOP
    assert reply.model == "demo"
    # The eight tokens of the text, and the one that ends it.
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (15, 9)
    assert not reply.usage.estimated
    assert reply.cost_usd == 0


def test_a_stream(either: Client) -> None:
    stream = either.stream(MODEL, FRANCE, temperature=0, max_tokens=30)
    pieces = [delta.text for delta in stream if delta.text]
    assert "".join(pieces) == PARIS
    assert len(pieces) > 3
    assert (stream.response.usage.input_tokens, stream.response.usage.output_tokens) == (15, 9)


def test_a_chat_of_asyncio(llama_server: str) -> None:
    async def ask() -> list[str]:
        settings = Settings(endpoints={"llama-cpp": {"base_url": llama_server}})
        async with AsyncClient(
            discover=False, plugins=[andon_llama_cpp], settings=settings
        ) as client:
            reply = await client.chat(MODEL, FRANCE, temperature=0, max_tokens=30)
            stream = client.stream(MODEL, FRANCE, temperature=0, max_tokens=30)
            return [reply.text, "".join([delta.text async for delta in stream])]

    assert asyncio.run(ask()) == [PARIS, PARIS]


def test_an_answer_that_is_cut_short(either: Client) -> None:
    reply = either.chat(MODEL, FRANCE, temperature=0, max_tokens=3)
    assert (reply.text, reply.finish_reason) == ("The capital of", FinishReason.LENGTH)


def test_a_stop_text(either: Client) -> None:
    reply = either.chat(MODEL, FRANCE, temperature=0, max_tokens=30, stop=" France")
    assert (reply.text, reply.finish_reason) == ("The capital of", FinishReason.STOP)


@pytest.mark.parametrize("streamed", [False, True])
def test_a_continued_answer_does_not_repeat_its_beginning(either: Client, streamed: bool) -> None:
    options = {"continue_final_message": True, "temperature": 0, "max_tokens": 30}
    if streamed:
        text = "".join(delta.text for delta in either.stream(MODEL, BEGUN, **options))
    else:
        text = either.chat(MODEL, BEGUN, **options).text
    assert text == " France is Paris."


def test_tools(either: Client) -> None:
    question = "What is the weather in Brussels?"
    reply = either.chat(MODEL, question, tools=[WEATHER], temperature=0, max_tokens=60)
    assert reply.finish_reason is FinishReason.TOOL_CALLS
    [call] = reply.tool_calls
    assert (call.name, json.loads(call.arguments)) == ("get_weather", {"city": "Brussels"})
    assert reply.text.strip() == ""


def test_streamed_tools(either: Client) -> None:
    question = "What is the weather in Brussels?"
    stream = either.stream(MODEL, question, tools=[WEATHER], temperature=0, max_tokens=60)
    assert "<tool_call>" not in "".join(delta.text for delta in stream)
    [call] = stream.response.tool_calls
    assert (call.name, json.loads(call.arguments)) == ("get_weather", {"city": "Brussels"})


@pytest.mark.parametrize(("choice", "called"), [("auto", "get_weather"), ("get_rain", "get_rain")])
def test_a_tool_that_is_named_is_called(client: Client, choice: str, called: str) -> None:
    # The server itself takes a tool's name for "auto".
    question, tools = "What is the weather in Brussels?", [WEATHER, RAIN]
    reply = client.chat(
        MODEL, question, tools=tools, tool_choice=choice, temperature=0, max_tokens=100
    )
    assert [call.name for call in reply.tool_calls] == [called]


def test_a_json_schema(either: Client) -> None:
    schema = {
        "type": "object",
        "properties": {"capital": {"enum": ["Oslo", "Rome"]}},
        "required": ["capital"],
        "additionalProperties": False,
    }
    reply = either.chat(MODEL, FRANCE, response_format=schema, temperature=0, max_tokens=40)
    assert json.loads(reply.text)["capital"] in {"Oslo", "Rome"}


def test_log_probabilities(either: Client) -> None:
    reply = either.chat(MODEL, FRANCE, top_logprobs=2, temperature=0, max_tokens=30)
    assert "".join(row.token for row in reply.logprobs) == PARIS
    assert all(row.logprob <= 0 and len(row.top) == 2 for row in reply.logprobs)
    stream = either.stream(MODEL, FRANCE, top_logprobs=2, temperature=0, max_tokens=30)
    assert "".join(row.token for delta in stream for row in delta.logprobs) == PARIS


def test_raw_completion_says_what_the_chat_says(client: Client, raw: Client) -> None:
    questions = [FRANCE, "5+16=?", "Mix blue and yellow.", "Count to 6.", "Are you human?"]
    chats = [client.chat(MODEL, q, temperature=0, max_tokens=60).text for q in questions]
    raws = [raw.chat(MODEL, q, temperature=0, max_tokens=60).text for q in questions]
    assert raws == chats
    prompt = f"<|im_start|>user\n{FRANCE}<|im_end|>\n<|im_start|>assistant\n"
    assert client.complete(MODEL, prompt, temperature=0, max_tokens=30).text == PARIS
    assert raw.complete(MODEL, prompt, temperature=0, max_tokens=30).text == PARIS


def test_a_control_token_in_a_message_is_refused(raw: Client) -> None:
    with pytest.raises(ControlTokenError, match="im_end"):
        raw.chat(MODEL, "Hello<|im_end|>")


def test_token_counts(client: Client, raw: Client) -> None:
    assert client.count_tokens(MODEL, FRANCE).tokens == 15
    assert raw.count_tokens(MODEL, FRANCE).tokens == 15
    with_tools = client.count_tokens(MODEL, FRANCE, tools=[WEATHER]).tokens
    assert with_tools == raw.count_tokens(MODEL, FRANCE, tools=[WEATHER]).tokens > 50


def test_models_and_health(either: Client) -> None:
    assert [(c.name, c.context_window) for c in either.list_models("llama-cpp")] == [("demo", 1024)]
    either.check_health("llama-cpp")


@pytest.mark.parametrize("streamed", [False, True])
def test_a_prompt_that_is_too_long(either: Client, streamed: bool) -> None:
    def ask() -> object:
        text = "word " * 3000
        return list(either.stream(MODEL, text)) if streamed else either.chat(MODEL, text)

    with pytest.raises(PromptTooLongError, match="exceeds the available context size") as caught:
        ask()
    assert (caught.value.status, caught.value.code) == (400, "exceed_context_size_error")


def test_another_name_of_the_model_is_as_good(client: Client) -> None:
    # A server with one model ignores the name.
    assert client.chat("llama-cpp:other", FRANCE, temperature=0, max_tokens=30).text == PARIS


def test_a_schema_that_it_cannot_keep(client: Client) -> None:
    schema = {"type": "object", "properties": {"a": {"$ref": "#/nowhere"}}}
    with pytest.raises(BadRequestError):
        client.chat(MODEL, FRANCE, response_format=schema, max_tokens=9)


def test_its_key(keyed_llama_server: str, connect: Connect) -> None:
    wrong = connect(andon_llama_cpp, "llama-cpp", base_url=keyed_llama_server, api_key="sesame-no")
    with pytest.raises(AuthenticationError) as caught:
        wrong.chat(MODEL, FRANCE)
    assert "sesame" not in str(caught.value)
    right = connect(
        andon_llama_cpp, "llama-cpp", base_url=keyed_llama_server, api_key="sesame-open"
    )
    assert right.chat(MODEL, FRANCE, temperature=0, max_tokens=30).text == PARIS


def test_its_locality_follows_its_address(llama_server: str, connect: Connect) -> None:
    for url, locality in (
        (llama_server, Locality.LOCAL),
        ("https://llama.example.com/v1", Locality.PUBLIC),
    ):
        settings = Settings(endpoints={"llama-cpp": {"base_url": url}})
        with Client(
            discover=False, plugins=[andon_llama_cpp], settings=settings, privacy="sovereign"
        ) as client:
            if locality is Locality.LOCAL:
                assert client.chat(MODEL, FRANCE, temperature=0, max_tokens=30).text == PARIS
            else:
                with pytest.raises(PrivacyViolation):
                    client.chat(MODEL, FRANCE)


def test_an_unknown_template_is_told_before_anything_is_sent(
    llama_server: str, connect: Connect
) -> None:
    client = connect(andon_llama_cpp, "llama-cpp", base_url=llama_server, api="completions")
    with pytest.raises(SettingsError, match="Set chat_template"):
        client.chat("llama-cpp:who-knows", FRANCE)


def test_the_slots_that_it_has(client: Client) -> None:
    # As run_llama_server.py starts it.
    assert client.learn_slots("llama-cpp") == 1


@pytest.mark.parametrize("strategy", ["sliding_window", "middle_out"])
def test_a_long_chat_is_fitted_by_the_servers_own_count(either: Client, strategy: str) -> None:
    """The server has a window of 1024 tokens; it says so, and counts, before it is sent a chat."""
    chat = [
        message
        for turn in range(60)
        for message in (
            ChatMessage.user(f"What is the capital of France? That is question {turn}."),
            ChatMessage.assistant("The capital of France is Paris."),
        )
    ]
    question = ChatMessage.user("What is the capital of France?")
    reply = either.chat(MODEL, [*chat, question], truncation=strategy, max_tokens=24)
    assert [attempt.error for attempt in reply.attempts] == [None]
    assert 900 < reply.usage.input_tokens <= 1024 - 24
