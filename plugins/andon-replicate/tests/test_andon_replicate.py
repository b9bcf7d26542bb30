"""What andon-replicate says of its backend, and what really goes out and comes back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

import pytest

import andon_replicate
from andon import AsyncClient, Client, FinishReason, Locality, MissingKeyError, Price
from andon.backends.http_backend import HTTPBackend
from andon.errors import PermissionDeniedError, RequestTimeout
from andon.specs import BackendContext, BackendSpec
from andon.testing.provider import SampleAnswer
from andon.testing.providers.replicate import ID, ReplicateProvider, started
from andon.testing.server import (
    ReceivedRequest,
    Script,
    ScriptedServer,
    chunk,
    hold,
    respond,
    send_reply,
    stream_head,
)
from andon_replicate import ENDPOINT

MODEL = "meta/meta-llama-3-8b-instruct"
ANSWER = SampleAnswer(text=("Hello", ",\n", "wörld!"))
PROVIDER = ReplicateProvider()
SPEC: BackendSpec = next(iter(andon_replicate.andon_register_backends()))
PRICES = {f"replicate:{MODEL}": Price(input=Decimal(1), output=Decimal(1))}
CREATE = f"POST /v1/models/{MODEL}/predictions"
GET = f"GET /v1/predictions/{ID}"
STREAM = f"GET /v1/files/{ID}"
CANCEL = f"POST /v1/predictions/{ID}/cancel"


def script(request: ReceivedRequest) -> Script:
    routed = PROVIDER.route(request.method, request.target, request.body, ANSWER)
    if routed is not None:
        return [send_reply(routed)]
    if request.target.startswith("/v1/files/"):
        return [respond(200, PROVIDER.stream(ANSWER).body, "text/event-stream")]
    if request.target.startswith("/v1/collections/"):
        return [send_reply(PROVIDER.models([MODEL]))]
    if request.target == "/v1/account":
        return [send_reply(PROVIDER.health())]
    return [send_reply(PROVIDER.whole(ANSWER))]


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer(script) as server:
        yield server


def make(server: ScriptedServer, **settings: str) -> Client:
    endpoints = {"replicate": {"base_url": server.url, "api_key": "r8_K", **settings}}
    return Client(discover=False, plugins=[andon_replicate], endpoints=endpoints, prices=PRICES)


def sent(server: ScriptedServer) -> list[str]:
    return [f"{request.method} {request.target}" for request in server.requests]


def pending() -> Script:
    return [respond(201, json.dumps(started(ANSWER)).encode())]


def test_the_facts() -> None:
    assert (SPEC.name, SPEC.locality) == ("replicate", Locality.PUBLIC)
    assert ENDPOINT.base_url == "https://api.replicate.com"
    assert ENDPOINT.key_variables == ("REPLICATE_API_TOKEN",)
    assert ENDPOINT.key_optional is False


def test_a_key_that_is_missing() -> None:
    with pytest.raises(MissingKeyError, match="REPLICATE_API_TOKEN"):
        SPEC.create(BackendContext())


def test_the_environment_names_server_and_key(server: ScriptedServer) -> None:
    environment = {"REPLICATE_BASE_URL": server.url, "REPLICATE_API_TOKEN": "r8_secret"}
    backend = SPEC.create(BackendContext(environment=environment))
    assert isinstance(backend, HTTPBackend)
    assert [card.name for card in backend.list_models()] == [MODEL]
    backend.check_health()
    backend.close()
    assert {request.headers["authorization"] for request in server.requests} == {"Bearer r8_secret"}


def test_a_whole_answer_in_one_call(server: ScriptedServer) -> None:
    with make(server) as client:
        reply = client.chat(f"replicate:{MODEL}", "Hello", max_tokens=9)
    assert (reply.text, reply.usage, reply.request_id) == ("Hello,\nwörld!", ANSWER.usage, ID)
    assert sent(server) == [CREATE]
    [request] = server.requests
    assert (request.headers["authorization"], request.headers["prefer"]) == ("Bearer r8_K", "wait")
    assert request.json()["input"]["max_tokens"] == 9


def test_an_answer_that_takes_longer(server: ScriptedServer) -> None:
    server.says(pending(), pending())
    with make(server, poll_interval="0") as client:
        assert client.chat(f"replicate:{MODEL}", "Hello").text == "Hello,\nwörld!"
    assert sent(server) == [CREATE, GET, GET]


def test_a_stream_and_its_usage(server: ScriptedServer) -> None:
    with make(server) as client:
        stream = client.stream(f"replicate:{MODEL}", "Hello")
        texts = [delta.text for delta in stream if delta.text]
        usage = stream.response.usage
    assert texts == list(ANSWER.text)
    assert usage == ANSWER.usage
    assert sent(server) == [CREATE, STREAM, GET]
    assert server.requests[1].headers["authorization"] == "Bearer r8_K"


def test_chats_and_streams_in_tasks(server: ScriptedServer) -> None:
    async def run() -> tuple[str, str]:
        endpoints = {"replicate": {"base_url": server.url, "api_key": "K"}}
        async with AsyncClient(
            discover=False, plugins=[andon_replicate], endpoints=endpoints, prices=PRICES
        ) as client:
            name = f"replicate:{MODEL}"
            reply = await client.chat(name, "Hello")
            return reply.text, "".join([d.text async for d in client.stream(name, "Hello")])

    assert asyncio.run(run()) == ("Hello,\nwörld!", "Hello,\nwörld!")
    assert sent(server) == [CREATE, CREATE, STREAM, GET]


def test_an_answer_that_was_cut_off(server: ScriptedServer) -> None:
    cut_off = replace(ANSWER, finish_reason=FinishReason.LENGTH)
    server.says([send_reply(PROVIDER.whole(cut_off))])
    with make(server) as client:
        reply = client.chat(f"replicate:{MODEL}", "Hello", max_tokens=5)
    assert (reply.finish_reason, reply.raw_finish_reason) == (FinishReason.LENGTH, "succeeded")


# -- Giving up ------------------------------------------------------------------------------------


def half_a_stream() -> Script:
    stream = PROVIDER.stream(ANSWER)
    return [stream_head(stream.headers), chunk(b"".join(stream.events[:2])), hold]


def test_closing_a_stream_cancels_the_prediction(server: ScriptedServer) -> None:
    server.says(pending(), half_a_stream())
    with make(server) as client, client.stream(f"replicate:{MODEL}", "Hello") as stream:
        assert next(stream).text == "Hello"
    assert sent(server) == [CREATE, STREAM, CANCEL]


def test_closing_a_stream_in_a_task_cancels_the_prediction(server: ScriptedServer) -> None:
    server.says(pending(), half_a_stream())

    async def run() -> None:
        endpoints = {"replicate": {"base_url": server.url, "api_key": "K"}}
        async with (
            AsyncClient(
                discover=False, plugins=[andon_replicate], endpoints=endpoints, prices=PRICES
            ) as client,
            client.stream(f"replicate:{MODEL}", "Hello") as stream,
        ):
            assert (await anext(stream)).text == "Hello"

    asyncio.run(run())
    assert sent(server) == [CREATE, STREAM, CANCEL]


def test_a_timeout_cancels_the_prediction(server: ScriptedServer) -> None:
    server.says(pending(), [hold])
    with make(server, wait="0", poll_interval="0") as client, pytest.raises(RequestTimeout):
        client.chat(f"replicate:{MODEL}", "Hello", timeout=0.5)
    assert "prefer" not in server.requests[0].headers
    assert sent(server)[-1] == CANCEL


def test_an_account_without_credit(server: ScriptedServer) -> None:
    server.says([send_reply(PROVIDER.error(402, "You have insufficient credit"))])
    with make(server) as client, pytest.raises(PermissionDeniedError, match="insufficient credit"):
        client.chat(f"replicate:{MODEL}", "Hello")
    assert sent(server) == [CREATE]
