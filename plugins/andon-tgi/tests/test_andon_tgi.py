"""andon-tgi: its facts, and that huggingface_hub sends the same in both protocols."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import andon_tgi
from andon import Client, FinishReason, Locality
from andon.errors import AuthenticationError, SettingsError, UnsupportedParameterError
from andon.settings import Settings
from andon.testing.provider import SampleAnswer
from andon.testing.providers.tgi import TGIChatProvider, TGIProvider
from andon.testing.server import (
    LAST_CHUNK,
    ReceivedRequest,
    Script,
    ScriptedServer,
    chunk,
    respond,
    send_reply,
    stream_head,
)
from andon_tgi import ENDPOINT

SAMPLE = SampleAnswer()
USER = {"role": "user", "content": "Hello"}
PROMPT = "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n"
TOOL = {
    "type": "function",
    "function": {"name": "f", "description": "F", "parameters": {"type": "object"}},
}
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
FORM = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA, "strict": True}}

#: Logical requests of chats: options that both take under one name.
CHATS: dict[str, dict[str, Any]] = {
    "plain": {},
    "sampling": {"temperature": 0.5, "top_p": 0.9, "seed": 7, "stop": ["END"], "max_tokens": 9},
    "tools": {"tools": [TOOL], "tool_choice": "required"},
    "schema": {"response_format": FORM},
}

#: Raw prompts: our options, and the same in the official client's words.
GENERATIONS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "plain": ({}, {}),
    "sampling": (
        {"temperature": 0.5, "top_p": 0.9, "seed": 7, "stop": ["END"], "max_tokens": 9},
        {"temperature": 0.5, "top_p": 0.9, "seed": 7, "stop": ["END"], "max_new_tokens": 9,
         "do_sample": True},
    ),
    "greedy": ({"temperature": 0}, {"do_sample": False}),
    "schema": ({"response_format": SCHEMA}, {"grammar": {"type": "json", "value": SCHEMA}}),
    "logprobs": ({"top_logprobs": 3}, {"top_n_tokens": 3}),
}  # fmt: skip


def _play(request: ReceivedRequest) -> Script:
    body = json.loads(request.body)
    provider = TGIChatProvider() if "messages" in body else TGIProvider()
    if body.get("stream") or request.target == "/generate_stream":
        stream = provider.stream(SAMPLE)
        return [stream_head(stream.headers), chunk(stream.body), LAST_CHUNK]
    return [send_reply(provider.whole(SAMPLE))]


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer(_play) as server:
        yield server


@pytest.fixture
def connect(server: ScriptedServer) -> Iterator[Callable[..., Client]]:
    clients: list[Client] = []

    def make(**options: Any) -> Client:
        endpoint = {"base_url": f"{server.url}/v1", **options}
        settings = Settings(endpoints={"tgi": endpoint})
        clients.append(Client(discover=False, plugins=[andon_tgi], settings=settings))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


def test_the_facts() -> None:
    [spec] = andon_tgi.andon_register_backends()
    assert (spec.name, spec.locality, spec.models) == ("tgi", Locality.LOCAL, ("tgi",))
    assert ENDPOINT.base_url == "http://127.0.0.1:3000/v1"
    assert (ENDPOINT.key_variables, ENDPOINT.key_optional) == (("TGI_API_KEY",), True)


def test_an_api_that_is_none(connect: Callable[..., Client]) -> None:
    with pytest.raises(SettingsError, match='"chat", "completions"'):
        connect(api="generate").chat("tgi:tgi", "Hello")


@pytest.mark.parametrize("name", CHATS)
def test_the_official_client_sends_the_same_chat(
    server: ScriptedServer, connect: Callable[..., Client], name: str
) -> None:
    hub = pytest.importorskip("huggingface_hub")
    client = hub.InferenceClient(base_url=f"{server.url}/v1")
    client.chat_completion([USER], model="tgi", **CHATS[name])
    connect().chat("tgi:tgi", [USER], **CHATS[name])
    one, other = server.requests
    assert (one.method, one.target) == (other.method, other.target)
    # It writes the default of a stream that is none.
    assert json.loads(other.body) | {"stream": False} == json.loads(one.body)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("name", GENERATIONS)
def test_the_official_client_sends_the_same_prompt(
    server: ScriptedServer, connect: Callable[..., Client], name: str, streamed: bool
) -> None:
    hub = pytest.importorskip("huggingface_hub")
    ours, theirs = GENERATIONS[name]
    client = hub.InferenceClient(model=server.url)
    given = client.text_generation(PROMPT, details=True, stream=streamed, **theirs)
    told = "".join(e.token.text for e in given if not e.token.special) if streamed else None
    mine = connect(api="completions")
    if streamed:
        text = "".join(delta.text for delta in mine.stream("tgi:tgi", prompt=PROMPT, **ours))
        assert text == told
    else:
        assert mine.complete("tgi:tgi", PROMPT, **ours).text == given.generated_text
    one, other = server.requests
    # The official client calls the route at the root, which a field turns into one or the other.
    assert (one.target, other.target) == ("/", "/generate_stream" if streamed else "/generate")
    sent, meant = json.loads(other.body), json.loads(one.body)
    assert sent["inputs"] == meant["inputs"]
    # It writes defaults that say nothing.
    defaults = {"return_full_text": False, "watermark": False, "decoder_input_details": False}
    meant = {k: v for k, v in meant["parameters"].items() if (k, v) not in defaults.items()}
    if name not in {"greedy", "sampling"} and meant.get("do_sample") is False:
        del meant["do_sample"]
    assert sent["parameters"] == meant


def test_a_chat_is_rendered(server: ScriptedServer, connect: Callable[..., Client]) -> None:
    client = connect(api="completions", chat_template="chatml")
    reply = client.chat("tgi:tgi", "Hello", max_tokens=9)
    assert (reply.text, reply.finish_reason) == ("Hello, wörld!", FinishReason.STOP)
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (12, 5)
    assert json.loads(server.requests[0].body)["inputs"] == PROMPT


def test_its_key(server: ScriptedServer, connect: Callable[..., Client]) -> None:
    server.says([respond(401, b"")])
    with pytest.raises(AuthenticationError, match="gave no reason"):
        connect(api_key="wrong-key").chat("tgi:tgi", "Hello")
    assert server.requests[0].headers["authorization"] == "Bearer wrong-key"


def test_reasoning_effort_is_refused(connect: Callable[..., Client]) -> None:
    with pytest.raises(UnsupportedParameterError):
        connect().chat("tgi:tgi", "Hello", reasoning_effort="low")
