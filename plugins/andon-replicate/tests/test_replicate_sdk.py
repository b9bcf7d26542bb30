"""Replicate's own SDK as the judge: it sends what andon sends, and reads what the provider writes."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from andon.chat import ChatRequest, Sampling
from andon.messages import ChatMessage, ImagePart, TextPart
from andon.specs import BackendContext
from andon.testing.provider import SampleAnswer
from andon.testing.providers.replicate import ID, ReplicateProvider, finished, started
from andon.testing.server import ReceivedRequest, Script, ScriptedServer, respond, send_reply
from andon.wire.dialect import HTTPCall, HTTPReply
from andon.wire.replicate import (
    InputStyle,
    ReplicateOptions,
    ReplicatePredictions,
    replicate_dialect,
)

replicate = pytest.importorskip("replicate", reason="the official SDK is not installed")

PROVIDER = ReplicateProvider()
ANSWER = SampleAnswer(text=("Hello", ",\n", "wörld!"))
LLAMA = "meta/meta-llama-3-8b-instruct"
CLAUDE = "anthropic/claude-4-sonnet"
GPT = "openai/gpt-5.1"
VERSION = "5c7d5dc6dd8bf75c1acaa8565735e7986bc5b66206b55cca93cb72c9bf15ccaa"
HELLO = ChatRequest(model=CLAUDE, messages=(ChatMessage.user("Hello"),))
PNG = "data:image/png;base64,iVBORw0KGgo="
WRITTEN = (
    "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nHello<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\n"
)
CHAT = [
    {"role": "user", "content": "Hello"},
    {"role": "assistant", "content": "Hi"},
    {"role": "user", "content": "And?"},
]

#: The same prediction for both: what andon is asked, and the inputs that a user of the SDK writes.
INPUTS: dict[str, tuple[ChatRequest, dict[str, Any]]] = {
    "plain": (HELLO, {"prompt": "Hello"}),
    "system": (
        replace(HELLO, messages=(ChatMessage.system("Be brief."), *HELLO.messages)),
        {"prompt": "Hello", "system_prompt": "Be brief."},
    ),
    "image": (
        replace(HELLO, messages=(ChatMessage.user([TextPart("What?"), ImagePart(PNG)]),)),
        {"prompt": "What?", "image": PNG},
    ),
    "sampling": (
        replace(HELLO, sampling=Sampling(9, temperature=0.5, top_p=0.9, seed=1)),
        {"prompt": "Hello", "max_tokens": 9, "temperature": 0.5, "top_p": 0.9, "seed": 1},
    ),
    "stop": (
        replace(HELLO, sampling=Sampling(stop=("END", "###"))),
        {"prompt": "Hello", "stop_sequences": "END,###"},
    ),
    "messages": (
        replace(HELLO, model=GPT, messages=tuple(ChatMessage.from_openai(one) for one in CHAT)),
        {"messages": CHAT},
    ),
    "reasoning": (
        replace(HELLO, model=GPT, reasoning_effort="low", sampling=Sampling(9)),
        {"messages": CHAT[:1], "reasoning_effort": "low", "max_completion_tokens": 9},
    ),
    "images beside messages": (
        replace(HELLO, model=GPT, messages=(ChatMessage.user([ImagePart(PNG)]),)),
        {"prompt": "", "image_input": [PNG]},
    ),
    "a template that is rendered here": (
        replace(HELLO, model=LLAMA),
        {"prompt": WRITTEN, "prompt_template": "{prompt}"},
    ),
    "a raw prompt": (
        ChatRequest(model=LLAMA, prompt="Once"),
        {"prompt": "Once", "prompt_template": "{prompt}"},
    ),
}


def script(request: ReceivedRequest) -> Script:
    routed = PROVIDER.route(request.method, request.target, request.body, ANSWER)
    if routed is not None:
        return [send_reply(routed)]
    if request.target.startswith("/v1/files/"):
        return [respond(200, PROVIDER.stream(ANSWER).body, "text/event-stream")]
    return [send_reply(PROVIDER.whole(ANSWER))]


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer(script) as server:
        yield server


@pytest.fixture
def client(server: ScriptedServer) -> Iterator[Any]:
    client = replicate.Client(api_token="K", base_url=server.url)
    yield client
    client._client.close()


def created() -> HTTPReply:
    body = json.dumps(started(ANSWER)).encode()
    return HTTPReply(status=201, headers={}, body=body)


def check_same(sent: ReceivedRequest, call: HTTPCall) -> None:
    assert (sent.method, sent.target) == (call.method, call.path)
    assert sent.headers["authorization"] == "Bearer K"
    for name in ("prefer", "cache-control"):
        assert sent.headers.get(name) == call.headers.get(name)
    if call.method == "GET" and "event-stream" in call.headers["accept"]:
        assert sent.headers["accept"] == call.headers["accept"]
    assert json.loads(sent.body or b"null") == json.loads(call.body or b"null")


@pytest.mark.parametrize("name", INPUTS)
def test_the_sdk_runs_the_same_prediction(server: ScriptedServer, client: Any, name: str) -> None:
    request, inputs = INPUTS[name]
    output = client.run(request.model, input=inputs)
    assert "".join(output) == "Hello,\nwörld!"
    [sent] = server.requests
    check_same(sent, ReplicatePredictions().encode(request))


@pytest.mark.parametrize("name", INPUTS)
def test_the_sdk_streams_the_same_prediction(
    server: ScriptedServer, client: Any, name: str
) -> None:
    request, inputs = INPUTS[name]
    request = replace(request, stream=True)
    events = list(client.stream(request.model, input=inputs))
    assert "".join(map(str, events)) == "Hello,\nwörld!"
    create, read = server.requests
    dialect = ReplicatePredictions()
    check_same(create, dialect.encode(request))
    reply = PROVIDER.route("POST", create.target, create.body, ANSWER)
    assert reply is not None
    follow_up = dialect.follow_up(request, reply)
    assert follow_up is not None
    check_same(read, follow_up)


def test_the_sdk_creates_predictions_of_versions_and_deployments(
    server: ScriptedServer, client: Any
) -> None:
    inputs = {"prompt": "Hello"}
    client.predictions.create(VERSION, inputs, wait=True)
    client.deployments.predictions.create("acme/llama", inputs, wait=5)
    version, deployment = server.requests
    options = ReplicateOptions(input_style=InputStyle.PROMPT)
    request = replace(HELLO, model=f"meta/llama-3:{VERSION}")
    check_same(version, ReplicatePredictions(options).encode(request))
    request = replace(HELLO, model="deployments/acme/llama")
    check_same(deployment, ReplicatePredictions(replace(options, wait=5)).encode(request))


def test_the_sdk_asks_again_and_cancels_in_the_same_way(
    server: ScriptedServer, client: Any
) -> None:
    begun = created()
    server.says([respond(201, begun.body)])
    client.poll_interval = 0
    prediction = client.models.predictions.create((CLAUDE.partition("/")[0], "x"), {})
    prediction.wait()
    assert prediction.status == "succeeded"
    prediction.cancel()
    assert prediction.status == "canceled"
    _, asked, cancelled = server.requests
    call = ReplicatePredictions().follow_up(HELLO, begun)
    assert call is not None
    assert call.undo is not None
    check_same(asked, call)
    check_same(cancelled, call.undo)


def test_an_interval_is_read_from_the_same_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPLICATE_POLL_INTERVAL", "0.25")
    dialect = replicate_dialect(BackendContext(environment=os.environ))
    call = dialect.follow_up(HELLO, created())
    assert call is not None
    assert replicate.Client(api_token="K").poll_interval == call.delay == 0.25


# -- What the provider writes ----------------------------------------------------------------------


def test_the_sdk_reads_a_prediction(client: Any) -> None:
    prediction = client.predictions.create(VERSION, {}, wait=True)
    assert (prediction.id, prediction.status) == (ID, "succeeded")
    assert prediction.output == list(ANSWER.text)
    assert prediction.metrics == finished(ANSWER)["metrics"]
    assert set(prediction.urls) == {"get", "cancel", "stream"}


def test_the_sdk_reads_events(client: Any) -> None:
    events = list(client.stream(CLAUDE, input={}))
    kinds = [event.event.value for event in events]
    assert kinds == ["logs", "output", "output", "output", "done"]
    assert [event.data for event in events[1:]] == [*ANSWER.text, "{}"]


def test_the_sdk_reads_errors(server: ScriptedServer, client: Any) -> None:
    server.says([send_reply(PROVIDER.error(422, "prompt is required"))])
    with pytest.raises(replicate.exceptions.ReplicateError) as caught:
        client.run(CLAUDE, input={})
    assert (caught.value.status, caught.value.detail) == (422, "prompt is required")
    failed = {**finished(ANSWER), "status": "failed", "error": "out of memory"}
    server.says([respond(201, json.dumps(failed).encode())])
    with pytest.raises(replicate.exceptions.ModelError, match="out of memory"):
        client.run(CLAUDE, input={})


def test_the_sdk_reads_an_error_inside_a_stream(server: ScriptedServer, client: Any) -> None:
    begun = PROVIDER.route("POST", "/v1/predictions", b'{"stream":true}', ANSWER)
    assert begun is not None
    events = PROVIDER.stream(ANSWER).events[0] + PROVIDER.stream_error("out of memory")
    server.says([send_reply(begun)], [respond(200, events, "text/event-stream")])
    with pytest.raises(RuntimeError, match="out of memory"):
        list(client.stream(CLAUDE, input={}))


def test_the_sdk_reads_the_models_and_the_account(server: ScriptedServer, client: Any) -> None:
    server.says([send_reply(PROVIDER.models([LLAMA, GPT]))], [send_reply(PROVIDER.health())])
    models = client.collections.get("language-models").models
    assert [f"{model.owner}/{model.name}" for model in models] == [LLAMA, GPT]
    assert client.accounts.current().username == "sample"
    dialect = ReplicatePredictions()
    calls = [dialect.list_models().call, dialect.health().call]
    for sent, call in zip(server.requests, calls, strict=True):
        check_same(sent, call)
