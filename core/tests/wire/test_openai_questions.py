"""Questions besides the chat at servers of OpenAI's protocol, and the choice of a protocol."""

from __future__ import annotations

import json
from typing import Any

import pytest

from andon.chat import ChatRequest, Sampling
from andon.errors import SettingsError
from andon.messages import ChatMessage
from andon.specs import BackendContext
from andon.wire.api_choice import choose_api
from andon.wire.dialect import HTTPReply
from andon.wire.openai_chat import OpenAIChat, Quirks, openai_dialect
from andon.wire.openai_responses import OpenAIResponses, responses_dialect

HELLO = ChatRequest(model="m", messages=(ChatMessage.user("Hello"),), sampling=Sampling(9))


def reply(value: Any) -> HTTPReply:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return HTTPReply(status=200, headers={}, body=data)


def read_models(value: Any) -> list[tuple[str, int | None, int | None]]:
    query = OpenAIChat().list_models()
    assert query is not None
    assert (query.call.method, query.call.path, query.call.body) == ("GET", "/models", b"")
    cards = query.read(reply(value))
    return [(card.name, card.context_window, card.max_output_tokens) for card in cards]


@pytest.mark.parametrize(
    ("rows", "read"),
    [
        ([{"id": "gpt-5.4-mini", "object": "model"}], [("gpt-5.4-mini", None, None)]),
        (
            [
                {"id": "a", "active": True, "context_window": 131072, "max_completion_tokens": 65536},
                {"id": "b", "active": False, "context_window": 8192},
            ],
            [("a", 131072, 65536)],
        ),
        ([{"id": "org/c", "context_length": 32768}], [("org/c", 32768, None)]),
        ([{"id": "d", "max_model_len": 4096, "root": "d"}], [("d", 4096, None)]),
        ([{"id": "e", "context_length": 0, "context_window": "big"}], [("e", None, None)]),
        ([], []),
    ],
)  # fmt: skip
def test_the_list_of_models(rows: Any, read: Any) -> None:
    assert read_models({"object": "list", "data": rows}) == read
    assert read_models(rows) == read


@pytest.mark.parametrize(
    "value", [b"", b"<html>", {}, {"data": 5}, {"data": [{}]}, {"data": [{"id": 5}]}, [1], "no"]
)
def test_what_is_no_list_of_models(value: Any) -> None:
    with pytest.raises((ValueError, TypeError, KeyError, AttributeError)):
        read_models(value)


def test_health_where_a_server_tells_it() -> None:
    assert OpenAIChat().health() is None
    query = OpenAIChat(Quirks(health_path="/health")).health()
    assert query is not None
    assert (query.call.method, query.call.path) == ("GET", "/health")
    query.read(reply(b""))


def test_tokens_where_a_server_counts_them() -> None:
    assert OpenAIChat().count_tokens(HELLO) is None
    counting = OpenAIChat(Quirks(input_tokens=True))
    assert counting.count_tokens(ChatRequest(model="m", prompt="Once")) is None
    query, other = counting.count_tokens(HELLO), OpenAIResponses().count_tokens(HELLO)
    assert query is not None and other is not None
    assert query.call == other.call
    assert query.read(reply({"input_tokens": 8})) == 8


def test_headers_of_every_call() -> None:
    context = BackendContext(options={"project": "p"})
    dialect = openai_dialect(
        Quirks(input_tokens=True), lambda given: {"openai-project": given.options["project"]}
    )(context)
    queries = (dialect.list_models(), dialect.count_tokens(HELLO))
    calls = [dialect.encode(HELLO), *(query.call for query in queries if query)]
    assert [call.headers["openai-project"] for call in calls] == ["p", "p", "p"]


def test_a_setting_chooses_the_protocol() -> None:
    create = choose_api({"chat": openai_dialect(), "responses": responses_dialect()})
    assert isinstance(create(BackendContext()), OpenAIChat)
    assert isinstance(create(BackendContext(options={"api": "responses"})), OpenAIResponses)
    for wrong in ("respones", "", 5):
        with pytest.raises(SettingsError, match='api must be one of "chat", "responses", not'):
            create(BackendContext(options={"api": wrong}))
