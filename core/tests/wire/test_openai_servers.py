"""Servers that speak OpenAI's protocol in their own way: the requests and questions of each."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from andon.chat import ChatDelta, ChatRequest, FinishReason, ResponseFormat, Sampling, Tool
from andon.errors import UnsupportedParameterError
from andon.messages import ChatMessage, ImagePart, Role, TextPart
from andon.specs import ModelProfile
from andon.testing.provider import SampleAnswer
from andon.testing.providers.openai_chat import OpenAIChatProvider
from andon.wire.dialect import HTTPCall, HTTPReply
from andon.wire.openai_chat import OpenAIChat, Quirks
from andon.wire.openai_quirks import LLAMA_SERVER, VLLM

HELLO = ChatRequest(model="m-1", messages=(ChatMessage.user("Hello"),), sampling=Sampling(9))
TOOLS = (Tool("get_weather"), Tool("get_rain"))
SCHEMA = ResponseFormat("json_schema", {"type": "object", "properties": {}})
BEGUN = replace(
    HELLO,
    messages=(*HELLO.messages, ChatMessage.assistant("The capital ")),
    continue_final_message=True,
)
PARTS = ChatMessage(Role.USER, (TextPart("Hel"), TextPart("lo")))
PICTURE = ChatMessage(Role.USER, (ImagePart("data:image/png;base64,AA=="),))


def call(request: ChatRequest, quirks: Quirks) -> HTTPCall:
    return OpenAIChat(quirks).encode(request)


def body(request: ChatRequest, quirks: Quirks) -> dict[str, Any]:
    sent: dict[str, Any] = json.loads(call(request, quirks).body)
    return sent


def test_text_only() -> None:
    quirks = Quirks(text_only=True)
    [message] = body(replace(HELLO, messages=(PARTS,)), quirks)["messages"]
    assert message == {"role": "user", "content": "Hello"}
    with pytest.raises(UnsupportedParameterError, match="images") as caught:
        call(replace(HELLO, messages=(PICTURE,)), quirks)
    assert caught.value.parameter is None


def test_a_schema_as_a_value() -> None:
    quirks = Quirks(schema_form="value")
    schema = {"type": "object", "properties": {}}
    form = body(replace(HELLO, response_format=SCHEMA), quirks)["response_format"]
    assert form == {"type": "json_object", "value": schema}
    anything = replace(HELLO, response_format=ResponseFormat("json_object"))
    assert body(anything, quirks)["response_format"]["value"] == {"type": "object"}


@pytest.mark.parametrize("form", [SCHEMA, ResponseFormat("json_object")])
def test_no_form_at_all(form: ResponseFormat) -> None:
    with pytest.raises(UnsupportedParameterError) as caught:
        call(
            replace(HELLO, response_format=form),
            Quirks(json_schema=False, json_object=False),
        )
    assert caught.value.parameter == "response_format"


@pytest.mark.parametrize(("top_p", "sent"), [(1.0, None), (1, None), (0.9, 0.9)])
def test_a_top_p_of_one_may_be_an_error(top_p: float, sent: float | None) -> None:
    request = replace(HELLO, sampling=Sampling(9, top_p=top_p))
    assert body(request, Quirks(full_top_p=False)).get("top_p") == sent
    assert body(request, Quirks())["top_p"] == top_p


def test_a_tool_that_cannot_be_named_is_offered_alone() -> None:
    request = replace(HELLO, tools=TOOLS, tool_choice="get_rain")
    sent = body(request, Quirks(named_tool=False))
    assert [tool["function"]["name"] for tool in sent["tools"]] == ["get_rain"]
    assert sent["tool_choice"] == "required"
    both = body(request, Quirks())
    assert [tool["function"]["name"] for tool in both["tools"]] == ["get_weather", "get_rain"]
    assert both["tool_choice"] == {"type": "function", "function": {"name": "get_rain"}}


def test_a_continuation_that_needs_not_be_told() -> None:
    told = body(BEGUN, VLLM)
    assert (told["continue_final_message"], told["add_generation_prompt"]) == (True, False)
    silent = body(BEGUN, Quirks(continuation=True, continuation_flags=False))
    assert not {"continue_final_message", "add_generation_prompt"} & set(silent)
    assert silent["messages"][-1] == {"role": "assistant", "content": "The capital "}


def test_a_whole_answer_that_repeats_what_it_continues() -> None:
    whole = OpenAIChatProvider().whole(SampleAnswer(text=("The capital is Paris.",)))
    reader = call(BEGUN, LLAMA_SERVER).reader
    assert reader is not None
    [delta] = reader(whole)
    assert (delta.text, delta.finish_reason) == ("is Paris.", FinishReason.STOP)
    # Nobody else's answer is touched, nor one that continues nothing.
    assert call(BEGUN, VLLM).reader is None
    assert call(HELLO, LLAMA_SERVER).reader is None


@pytest.mark.parametrize("streamed", [False, True])
def test_a_stop_text_that_is_left_in_the_answer(streamed: bool) -> None:
    request = replace(HELLO, sampling=Sampling(9, stop=("END",)), stream=streamed)
    made = call(request, Quirks(stop_echoed=True))
    sample = SampleAnswer(text=("Hello", " E", "ND"))
    deltas: list[ChatDelta]
    if streamed:
        assert made.decoder is not None
        decoder = made.decoder({})
        deltas = [*decoder.feed(OpenAIChatProvider().stream(sample).body), *decoder.finish()]
    else:
        assert made.reader is not None
        deltas = list(made.reader(OpenAIChatProvider().whole(sample)))
    assert "".join(delta.text for delta in deltas) == "Hello "
    assert (deltas[-1].finish_reason, deltas[-1].usage is not None) == (FinishReason.STOP, True)


def test_raw_prompts_below_the_version() -> None:
    raw = ChatRequest(model="m-1", prompt="Once")
    made = call(raw, LLAMA_SERVER)
    assert (made.path, made.at_root) == ("/v1/completions", True)
    assert (call(raw, VLLM).path, call(raw, VLLM).at_root) == ("/completions", False)


def test_health_stands_beside_the_version() -> None:
    query = OpenAIChat(VLLM).health()
    assert query is not None
    assert (query.call.method, query.call.path, query.call.at_root) == ("GET", "/health", True)
    query.read(HTTPReply(status=200, headers={}, body=b""))


MESSAGES = [{"role": "user", "content": "Hello"}]
COUNTS: list[tuple[str, str | None, str, bool, dict[str, Any], Any]] = [
    ("vllm", None, "/tokenize", True, {"model": "m-1", "messages": MESSAGES}, {"count": 7}),
    ("vllm", "Once", "/tokenize", True, {"model": "m-1", "prompt": "Once"}, {"count": 7}),
    (
        "llama-server", None, "/chat/completions/input_tokens", False,
        {"model": "m-1", "messages": MESSAGES, "max_tokens": 9}, {"input_tokens": 7},
    ),
    (
        "llama-server", "Once", "/tokenize", True, {"content": "Once", "add_special": True},
        {"tokens": [1] * 7},
    ),
    (
        "tgi", None, "/chat_tokenize", True,
        {"model": "m-1", "messages": MESSAGES, "max_tokens": 9}, {"tokenize_response": [{}] * 7},
    ),
    ("tgi", "Once", "/tokenize", True, {"inputs": "Once"}, [{}] * 7),
    ("localai", "Once", "/tokenize", False, {"model": "m-1", "content": "Once"}, {"tokens": [1] * 7}),
    ("realizar", "Once", "/tokenize", True, {"text": "Once", "model_id": "m-1"}, {"num_tokens": 7}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "prompt", "path", "at_root", "sent", "reply"), COUNTS)
def test_how_tokens_are_counted(
    kind: Any, prompt: str | None, path: str, at_root: bool, sent: dict[str, Any], reply: Any
) -> None:
    dialect = OpenAIChat(Quirks(max_tokens_field="max_tokens", counting=kind))
    request = HELLO if prompt is None else ChatRequest(model="m-1", prompt=prompt)
    query = dialect.count_tokens(replace(request, stream=True), ModelProfile())
    assert query is not None
    assert (query.call.path, query.call.at_root) == (path, at_root)
    assert json.loads(query.call.body) == sent
    assert query.read(HTTPReply(status=200, headers={}, body=json.dumps(reply).encode())) == 7


@pytest.mark.parametrize("kind", ["localai", "realizar"])
def test_some_count_no_chats(kind: Any) -> None:
    assert OpenAIChat(Quirks(counting=kind)).count_tokens(HELLO) is None


def test_vllm_counts_the_tools_and_the_open_answer() -> None:
    query = OpenAIChat(VLLM).count_tokens(replace(BEGUN, tools=TOOLS))
    assert query is not None
    sent = json.loads(query.call.body)
    assert [tool["function"]["name"] for tool in sent["tools"]] == ["get_weather", "get_rain"]
    assert (sent["continue_final_message"], sent["add_generation_prompt"]) == (True, False)


@pytest.mark.parametrize("reply", [b"{}", b"[]", b'{"count":"7"}', b'{"count":-1}', b"x"])
def test_a_reply_that_is_no_count(reply: bytes) -> None:
    query = OpenAIChat(VLLM).count_tokens(HELLO)
    assert query is not None
    with pytest.raises((ValueError, TypeError, KeyError)):
        query.read(HTTPReply(status=200, headers={}, body=reply))


def test_a_list_of_models_with_facts_of_the_file() -> None:
    query = OpenAIChat(LLAMA_SERVER).list_models()
    assert query is not None
    rows = [{"id": "a", "meta": {"n_ctx": 1024, "n_ctx_train": 4096}}, {"id": "b", "meta": None}]
    cards = query.read(HTTPReply(status=200, headers={}, body=json.dumps({"data": rows}).encode()))
    assert [(card.name, card.context_window) for card in cards] == [("a", 1024), ("b", None)]
