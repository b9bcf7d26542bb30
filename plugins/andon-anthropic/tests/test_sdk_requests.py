"""The same request through Anthropic's own SDK and through andon: what arrives is the same."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, NamedTuple

import pytest
from pydantic import TypeAdapter

import andon_anthropic
from andon import Client, Price, ResponseFormat, Tool
from andon.chat import ChatRequest
from andon.messages import ChatMessage, ImagePart, ProviderState, Role, TextPart, ToolCall
from andon.specs import BackendContext

anthropic = pytest.importorskip("anthropic", reason="the official SDK is not installed")

PNG = "iVBORw0KGgo="
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "additionalProperties": False,
}
WEATHER = Tool("weather", "How it is.", SCHEMA)
WEATHER_PARAM = {"name": "weather", "description": "How it is.", "input_schema": SCHEMA}
NOW = Tool("now")
NOW_PARAM = {"name": "now", "input_schema": {"type": "object", "properties": {}}}
CALLS = (ToolCall("toolu_1", "weather", '{"city":"Köln"}'), ToolCall("toolu_2", "now", "{}"))
USES = [
    {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Köln"}},
    {"type": "tool_use", "id": "toolu_2", "name": "now", "input": {}},
]
RESULTS = (ChatMessage.tool("Rain", "toolu_1"), ChatMessage.tool("12:00", "toolu_2"))
RESULT_PARAMS = [
    {"type": "tool_result", "tool_use_id": "toolu_1", "content": "Rain"},
    {"type": "tool_result", "tool_use_id": "toolu_2", "content": "12:00"},
]
THOUGHT = {"type": "thinking", "thinking": "", "signature": "Eq+/="}
THINKER = ChatMessage(
    Role.ASSISTANT, "Let me see.", tool_calls=CALLS, provider_state=(
        ProviderState("anthropic-messages",
                      '[{"type":"thinking","thinking":"","signature":"Eq+/="},11,"call","call"]'),
    ),
)  # fmt: skip
HELLO = ChatMessage.user("Hello")
HELLO_PARAM = {"role": "user", "content": "Hello"}
OLDER = "claude-haiku-4-5"
FREE = Price(input=Decimal(0), output=Decimal(0))
#: The SDK has no sampling parameters any more; so one reaches the version that has.
SAMPLING = {"extra_headers": {"anthropic-version": "2023-06-01"}}


def text(value: str) -> dict[str, Any]:
    return {"type": "text", "text": value}


class Same(NamedTuple):
    """One logical request.

    :param messages: the chat, for andon.
    :param options: andon's options besides ``max_tokens``.
    :param theirs: arguments of the SDK besides ``model`` and ``max_tokens``.
    :param model: the model's name.
    """

    messages: tuple[ChatMessage, ...]
    options: dict[str, Any]
    theirs: dict[str, Any]
    model: str = "claude-opus-5-5"


REQUESTS: dict[str, Same] = {
    "plain": Same((HELLO,), {}, {"messages": [HELLO_PARAM]}),
    "system": Same(
        (ChatMessage.system("Be brief."), HELLO), {}, {"system": "Be brief.", "messages": [HELLO_PARAM]}
    ),
    "two systems": Same(
        (ChatMessage.system("Be brief."), ChatMessage.system("Rhyme."), HELLO),
        {},
        {"system": [text("Be brief."), text("Rhyme.")], "messages": [HELLO_PARAM]},
    ),
    "a system later": Same(
        (HELLO, ChatMessage.assistant("Hi"), ChatMessage.user("Go on"), ChatMessage.system("Rhyme.")),
        {},
        {"messages": [HELLO_PARAM, {"role": "assistant", "content": "Hi"}, {"role": "user", "content": "Go on"},
                      {"role": "system", "content": "Rhyme."}]},
    ),
    "several turns": Same(
        (HELLO, ChatMessage.assistant("Hi"), ChatMessage.user("Grüße, 世界 😀\u2028")),
        {},
        {"messages": [HELLO_PARAM, {"role": "assistant", "content": "Hi"},
                      {"role": "user", "content": "Grüße, 世界 😀\u2028"}]},
    ),
    "images": Same(
        (ChatMessage.user([TextPart("What?"), ImagePart(f"data:image/png;base64,{PNG}"),
                           ImagePart("https://example.org/a.webp")]),),
        {},
        {"messages": [{"role": "user", "content": [
            text("What?"),
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
            {"type": "image", "source": {"type": "url", "url": "https://example.org/a.webp"}},
        ]}]},
    ),
    "tools": Same(
        (HELLO,), {"tools": [WEATHER, NOW]}, {"messages": [HELLO_PARAM], "tools": [WEATHER_PARAM, NOW_PARAM]}
    ),
    "results of parallel calls": Same(
        (HELLO, ChatMessage.assistant("Let me see.", CALLS), *RESULTS, ChatMessage.user("So?")),
        {"tools": [WEATHER, NOW]},
        {"messages": [HELLO_PARAM, {"role": "assistant", "content": [text("Let me see."), *USES]},
                      {"role": "user", "content": [*RESULT_PARAMS, text("So?")]}],
         "tools": [WEATHER_PARAM, NOW_PARAM]},
    ),
    "signed thoughts in a loop with tools": Same(
        (HELLO, THINKER, *RESULTS),
        {"tools": [WEATHER, NOW], "reasoning_effort": "low"},
        {"messages": [HELLO_PARAM, {"role": "assistant", "content": [THOUGHT, text("Let me see."), *USES]},
                      {"role": "user", "content": RESULT_PARAMS}],
         "tools": [WEATHER_PARAM, NOW_PARAM],
         "thinking": {"type": "adaptive", "display": "summarized"}, "output_config": {"effort": "low"}},
    ),
    "any tool": Same(
        (HELLO,),
        {"tools": [NOW], "tool_choice": "required"},
        {"messages": [HELLO_PARAM], "tools": [NOW_PARAM], "tool_choice": {"type": "any"}},
    ),
    "one tool": Same(
        (HELLO,),
        {"tools": [NOW], "tool_choice": "now"},
        {"messages": [HELLO_PARAM], "tools": [NOW_PARAM], "tool_choice": {"type": "tool", "name": "now"}},
    ),
    "no tool": Same(
        (HELLO,),
        {"tools": [NOW], "tool_choice": "none"},
        {"messages": [HELLO_PARAM], "tools": [NOW_PARAM], "tool_choice": {"type": "none"}},
    ),
    "a JSON schema": Same(
        (HELLO,),
        {"response_format": ResponseFormat("json_schema", SCHEMA)},
        {"messages": [HELLO_PARAM], "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
    ),
    "reasoning, and a JSON schema": Same(
        (HELLO,),
        {"reasoning_effort": "xhigh", "response_format": ResponseFormat("json_schema", SCHEMA)},
        {"messages": [HELLO_PARAM], "thinking": {"type": "adaptive", "display": "summarized"},
         "output_config": {"effort": "xhigh", "format": {"type": "json_schema", "schema": SCHEMA}}},
    ),
    "no reasoning": Same(
        (HELLO,),
        {"reasoning_effort": "none"},
        {"messages": [HELLO_PARAM], "thinking": {"type": "disabled"}},
    ),
    "reasoning of an older model": Same(
        (HELLO,),
        {"reasoning_effort": "high"},
        {"messages": [HELLO_PARAM], "thinking": {"type": "enabled", "budget_tokens": 4_500}},
        OLDER,
    ),
    "sampling": Same(
        (HELLO,),
        {"temperature": 0.5, "top_p": 0.9},
        {"messages": [HELLO_PARAM], "extra_body": {"temperature": 0.5, "top_p": 0.9}, **SAMPLING},
        OLDER,
    ),
    "stop": Same(
        (HELLO,), {"stop": ["END", "\nYou:"]}, {"messages": [HELLO_PARAM], "stop_sequences": ["END", "\nYou:"]}
    ),
    "an answer that is continued": Same(
        (HELLO, ChatMessage.assistant("The best answer is (")),
        {"continue_final_message": True},
        {"messages": [HELLO_PARAM, {"role": "assistant", "content": "The best answer is ("}]},
        OLDER,
    ),
}  # fmt: skip

#: Logical requests in which the two differ, each with what differs and why.
DIFFERENT: dict[str, tuple[Same, str, str]] = {
    "turns of one role": (
        Same((HELLO, ChatMessage.user("there")), {},
             {"messages": [HELLO_PARAM, {"role": "user", "content": "there"}]}),
        "messages",
        "the API makes one turn of them; andon does so itself, to have tools' results in one place",
    ),
    "reasoning": (
        Same((HELLO,), {"reasoning_effort": "low"},
             {"messages": [HELLO_PARAM], "thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}),
        "thinking",
        "andon asks for summaries, or newer models would think without a word",
    ),
    "an older model and later instructions": (
        Same((HELLO, ChatMessage.system("Rhyme.")), {},
             {"messages": [HELLO_PARAM, {"role": "system", "content": "Rhyme."}]}, OLDER),
        "messages system",
        "the model refuses instructions amid the turns; andon puts them at the top",
    ),
}  # fmt: skip

#: Headers that say something; the others are the two HTTP libraries' own, or tell of the SDK.
MEANINGFUL = ("accept", "anthropic-version", "authorization", "content-type", "x-api-key")


def through_andon(url: str, same: Same, stream: bool) -> None:
    endpoint = {"base_url": url, "api_key": "K"}
    backend = f"anthropic:{same.model}"
    with Client(
        discover=False,
        plugins=[andon_anthropic],
        endpoints={"anthropic": endpoint},
        prices={backend: FREE},
    ) as client:
        options: Any = {"max_tokens": 9_000, **same.options}
        if stream:
            list(client.stream(backend, same.messages, **options))
        else:
            client.chat(backend, same.messages, **options)


def through_sdk(url: str, same: Same, stream: bool) -> None:
    with anthropic.Anthropic(api_key="K", base_url=url, max_retries=0) as client:
        more = {"stream": True} if stream else {}
        answer = client.messages.create(model=same.model, max_tokens=9_000, **same.theirs, **more)
        if stream:
            list(answer)


def meaningful(seen: Any) -> tuple[str, str, dict[str, str | None], Any]:
    method, path, headers, body = seen
    return method, path, {name: headers.get(name) for name in MEANINGFUL}, body


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("name", REQUESTS)
def test_the_two_send_the_same(server: Any, name: str, stream: bool) -> None:
    through_sdk(server.url, REQUESTS[name], stream)
    through_andon(server.url, REQUESTS[name], stream)
    theirs, ours = map(meaningful, server.seen)
    assert ours == theirs
    assert ours[3].get("stream", False) is stream


@pytest.mark.parametrize("name", REQUESTS)
def test_the_sdks_types_know_what_is_sent(server: Any, name: str) -> None:
    through_andon(server.url, REQUESTS[name], False)
    [(*_, body)] = server.seen
    # Its types have these no more.
    known = {
        member: value for member, value in body.items() if member not in {"temperature", "top_p"}
    }
    params = anthropic.types.message_create_params.MessageCreateParamsNonStreaming
    # A member that the types do not have is lost here.
    assert plain(TypeAdapter(params).validate_python(known)) == known


def plain(value: Any) -> Any:
    """Return a value as JSON has it: pydantic checks the items of an iterable when they are taken."""
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, str) or not isinstance(value, Iterable):
        return value
    return [plain(item) for item in value]


@pytest.mark.parametrize("name", DIFFERENT)
def test_the_two_differ_in_nothing_else(server: Any, name: str) -> None:
    same, members, _why = DIFFERENT[name]
    through_sdk(server.url, same, False)
    through_andon(server.url, same, False)
    (*head, theirs), (*our_head, ours) = map(meaningful, server.seen)
    assert our_head == head
    differing = {name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)}
    assert differing == set(members.split())


def test_the_tokens_of_a_prompt(server: Any) -> None:
    same = REQUESTS["results of parallel calls"]
    with anthropic.Anthropic(api_key="K", base_url=server.url, max_retries=0) as client:
        assert client.messages.count_tokens(model=same.model, **same.theirs).input_tokens == 12
    [spec] = andon_anthropic.andon_register_backends()
    backend: Any = spec.create(BackendContext(options={"base_url": server.url, "api_key": "K"}))
    request = ChatRequest(model=same.model, messages=same.messages, tools=(WEATHER, NOW))
    assert backend.count_tokens(request) == 12
    backend.close()
    theirs, ours = map(meaningful, server.seen)
    assert ours == theirs


def test_the_list_of_models(server: Any) -> None:
    """The SDK takes pages of 20 and turns them over; one of andon's has room for all."""
    with anthropic.Anthropic(api_key="K", base_url=server.url, max_retries=0) as client:
        listed = list(client.models.list(limit=1000))
    with Client(
        discover=False,
        plugins=[andon_anthropic],
        endpoints={"anthropic": {"base_url": server.url, "api_key": "K"}},
    ) as andon:
        cards = andon.list_models("anthropic")
    assert [
        (card.name, card.context_window, card.max_output_tokens, card.description) for card in cards
    ] == [
        (model.id, model.max_input_tokens, model.max_tokens, model.display_name) for model in listed
    ]
    (*theirs, their_headers, _), (*ours, headers, _) = map(meaningful, server.seen)
    assert ours == theirs == ["GET", "/v1/models?limit=1000"]
    # A header for a body that is not there: andon's endpoint sends it always.
    assert headers == {**their_headers, "content-type": "application/json"}
