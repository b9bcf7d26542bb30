"""andon-huggingface: its facts, and that huggingface_hub sends and reads the same."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest

import andon_huggingface
from andon import BackendContext, Client, Locality, Price
from andon.errors import MissingKeyError, PermissionDeniedError, SettingsError
from andon.messages import ToolCall
from andon.settings import Settings
from andon.testing.provider import SampleAnswer
from andon.testing.providers.openai_chat import OpenAIChatProvider
from andon.testing.server import (
    LAST_CHUNK,
    ReceivedRequest,
    Script,
    ScriptedServer,
    chunk,
    send_reply,
    stream_head,
)
from andon.wire.dialect import HTTPReply
from andon.wire.openai_chat import OpenAIChat
from andon_huggingface import ENDPOINT, QUIRKS, bill_to

PROVIDER = OpenAIChatProvider()
SAMPLE = SampleAnswer(tool_calls=(ToolCall("call_1", "f", '{"a": 1}'),))
MODEL = "meta-llama/Llama-3.1-8B-Instruct:groq"
FREE = {f"huggingface:{MODEL}": Price(input=Decimal(0), output=Decimal(0))}
TOOL = {
    "type": "function",
    "function": {"name": "f", "description": "F", "parameters": {"type": "object"}},
}
CALLED = {
    "role": "assistant",
    "content": None,
    "tool_calls": [
        {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
        {"id": "call_2", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}},
    ],
}
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
USER = {"role": "user", "content": "Hello"}
SCHEMA = {"name": "x", "schema": {"type": "object"}, "strict": True}
FORM = {"type": "json_schema", "json_schema": SCHEMA}

#: Logical requests: the messages, and options that both take under one name.
REQUESTS: dict[str, tuple[list[dict[str, Any]], dict[str, Any]]] = {
    "plain": ([USER], {}),
    "system": ([{"role": "system", "content": "Be brief."}, USER], {"max_tokens": 9}),
    "image": ([{"role": "user", "content": [{"type": "text", "text": "What?"}, PICTURE]}], {}),
    "tools": ([USER], {"tools": [TOOL]}),
    "tool results": (
        [
            USER, CALLED, {"role": "tool", "tool_call_id": "call_1", "content": "1"},
            {"role": "tool", "tool_call_id": "call_2", "content": "2"},
        ],
        {"tools": [TOOL]},
    ),
    "required": ([USER], {"tools": [TOOL], "tool_choice": "required"}),
    "sampling": ([USER], {"temperature": 0.5, "top_p": 0.9, "seed": 7, "stop": ["END"]}),
    "logprobs": ([USER], {"top_logprobs": 2}),
    "schema": ([USER], {"response_format": FORM}),
    "stream": ([USER], {"stream": True}),
}  # fmt: skip

#: What the official client sends in another way, and why that is as well.
DIFFERENCES = {
    # At an address of one's own it takes the server for a TGI, whose form this is. The router and
    # most of the servers behind it take OpenAI's; for a TGI there is andon-tgi.
    "schema": {"response_format": FORM},
    # It sends nothing of streams but the switch; without this there is no usage.
    "stream": {"stream_options": {"include_usage": True}},
}


def _play(request: ReceivedRequest) -> Script:
    if json.loads(request.body).get("stream"):
        stream = PROVIDER.stream(SAMPLE)
        return [stream_head(stream.headers), chunk(stream.body), LAST_CHUNK]
    return [send_reply(PROVIDER.whole(SAMPLE))]


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer(_play) as server:
        yield server


@pytest.fixture
def connect(server: ScriptedServer) -> Iterator[Callable[..., Client]]:
    clients: list[Client] = []

    def make(**options: Any) -> Client:
        endpoint = {"base_url": f"{server.url}/v1", "api_key": "hf_key", **options}
        settings = Settings(endpoints={"huggingface": endpoint})
        client = Client(discover=False, plugins=[andon_huggingface], settings=settings, prices=FREE)
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.close()


def test_the_facts() -> None:
    [spec] = andon_huggingface.andon_register_backends()
    assert (spec.name, spec.locality) == ("huggingface", Locality.PUBLIC)
    assert ENDPOINT.base_url == "https://router.huggingface.co/v1"
    assert ENDPOINT.key_variables == ("HF_TOKEN",)


def test_a_token_is_needed() -> None:
    client = Client(discover=False, plugins=[andon_huggingface], settings=Settings(), prices=FREE)
    with client, pytest.raises(MissingKeyError, match="HF_TOKEN"):
        client.chat(f"huggingface:{MODEL}", "Hello")


def test_who_pays(server: ScriptedServer, connect: Callable[..., Client]) -> None:
    raw = PROVIDER.route("POST", "/v1/completions", b"{}", SampleAnswer())
    assert raw is not None
    server.says([send_reply(PROVIDER.whole(SAMPLE))], [send_reply(raw)])
    connect(bill_to="my-organisation").chat(f"huggingface:{MODEL}", "Hello")
    completing = connect(bill_to="my-organisation", api="completions", chat_template="chatml")
    assert completing.chat(f"huggingface:{MODEL}", "Hello").text == "Hello, wörld!"
    assert [request.target for request in server.requests] == [
        "/v1/chat/completions", "/v1/completions",
    ]  # fmt: skip
    assert {r.headers["x-hf-bill-to"] for r in server.requests} == {"my-organisation"}


def test_nobody_pays_unless_told(server: ScriptedServer, connect: Callable[..., Client]) -> None:
    connect().chat(f"huggingface:{MODEL}", "Hello")
    assert "x-hf-bill-to" not in server.requests[0].headers


@pytest.mark.parametrize("name", ["", "a\nb", "Ünion"])
def test_a_name_that_is_no_header(name: str) -> None:
    with pytest.raises(SettingsError, match="bill_to"):
        bill_to(BackendContext(options={"bill_to": name}))


@pytest.mark.parametrize(
    "body", [b'{"error":"You have exceeded your credits"}', b'{"error":{"message":"You have"}}']
)
def test_no_more_credits(body: bytes) -> None:
    error = OpenAIChat(QUIRKS).explain(HTTPReply(status=402, headers={}, body=body))
    assert isinstance(error, PermissionDeniedError)
    assert "You have" in str(error)


@pytest.mark.parametrize("name", REQUESTS)
def test_the_official_client_sends_the_same(
    server: ScriptedServer, connect: Callable[..., Client], name: str
) -> None:
    hub = pytest.importorskip("huggingface_hub")
    messages, options = REQUESTS[name]
    theirs = hub.InferenceClient(base_url=f"{server.url}/v1", api_key="hf_key")
    given = {"logprobs": True, **options} if "top_logprobs" in options else options
    answer = theirs.chat_completion(messages, model=MODEL, **given)
    if options.get("stream"):
        list(answer)
    ours = {key: value for key, value in options.items() if key != "stream"}
    if options.get("stream"):
        list(connect().stream(f"huggingface:{MODEL}", messages, **ours))
    else:
        connect().chat(f"huggingface:{MODEL}", messages, **ours)
    one, other = server.requests
    assert (one.method, one.target) == (other.method, other.target)
    for header in ("authorization", "content-type"):
        assert one.headers[header] == other.headers[header]
    sent = json.loads(one.body) | DIFFERENCES.get(name, {})
    # It writes the default of a stream that is none.
    sent = {key: value for key, value in sent.items() if value is not False}
    assert json.loads(other.body) == sent
    # Routers look for the model at the beginning of the body.
    assert next(iter(json.loads(other.body))) == "model"


def test_the_official_client_reads_what_the_provider_writes(server: ScriptedServer) -> None:
    hub = pytest.importorskip("huggingface_hub")
    client = hub.InferenceClient(base_url=f"{server.url}/v1", api_key="hf_key")
    whole = client.chat_completion([USER], model=MODEL)
    assert whole.choices[0].message.content == "Hello, wörld!"
    assert whole.choices[0].message.tool_calls[0].function.name == "f"
    assert (whole.usage.prompt_tokens, whole.usage.completion_tokens) == (12, 5)
    chunks = list(client.chat_completion([USER], model=MODEL, stream=True))
    pieces = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(pieces) == "Hello, wörld!"
