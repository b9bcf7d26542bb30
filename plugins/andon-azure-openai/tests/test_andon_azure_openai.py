"""What andon-azure-openai says of its backend: addresses, versions, and Azure's own answers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import closing
from decimal import Decimal
from typing import Any

import pytest

import andon_azure_openai
from andon import Client, Locality, Price, Settings
from andon.backends.http_options import read_base_url
from andon.chat import ChatRequest, FinishReason
from andon.errors import AuthenticationError, ContentFilterError, NotFoundError, SettingsError
from andon.messages import ChatMessage
from andon.specs import BackendContext, ModelProfile
from andon.testing.provider import SampleAnswer
from andon.testing.providers.openai_chat import OpenAIChatProvider
from andon.testing.server import LAST_CHUNK, ScriptedServer, chunk, respond, send_reply, stream_head
from andon.wire.dialect import HTTPReply
from andon_azure_openai import ENDPOINT
from andon_azure_openai.place import make_dialect

HELLO = ChatRequest(model="my gpt/4", messages=(ChatMessage.user("Hello"),))
PROVIDER = OpenAIChatProvider()
HOST = "https://name.openai.azure.com"
OLD = {"api_version": "2024-10-21"}


def test_the_facts() -> None:
    [spec] = andon_azure_openai.andon_register_backends()
    assert (spec.name, spec.locality) == ("azure-openai", Locality.PRIVATE)
    assert ENDPOINT.base_url == ""
    assert ENDPOINT.key_variables == ("AZURE_OPENAI_API_KEY",)


# -- Addresses -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "environment", "address"),
    [
        ({}, {"AZURE_OPENAI_ENDPOINT": HOST}, f"{HOST}/openai/v1"),
        ({"azure_endpoint": f"{HOST}/"}, {}, f"{HOST}/openai/v1"),
        ({"azure_endpoint": HOST}, {"AZURE_OPENAI_ENDPOINT": "https://x"}, f"{HOST}/openai/v1"),
        ({"azure_endpoint": f"{HOST}/openai/v1/"}, {}, f"{HOST}/openai/v1"),
        ({"azure_endpoint": f"{HOST}/openai"}, {}, f"{HOST}/openai/v1"),
        ({"azure_endpoint": HOST} | OLD, {}, f"{HOST}/openai"),
        ({"azure_endpoint": HOST}, {"OPENAI_API_VERSION": "2024-10-21"}, f"{HOST}/openai"),
        ({"azure_endpoint": HOST, "api_version": "preview"}, {}, f"{HOST}/openai/v1"),
        ({"base_url": "https://gate.test/x/"}, {"AZURE_OPENAI_ENDPOINT": HOST}, "https://gate.test/x"),
    ],
)  # fmt: skip
def test_the_address(options: dict[str, str], environment: dict[str, str], address: str) -> None:
    context = BackendContext(options=options, environment=environment)
    assert read_base_url("azure-openai", ENDPOINT, context) == address


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "AZURE_OPENAI_ENDPOINT.*azure_endpoint"),
        ({"azure_endpoint": "name.openai.azure.com"}, "must be an address"),
        ({"azure_endpoint": HOST, "api_version": "2024-10-21&x=1"}, "must be a version"),
        ({"azure_endpoint": HOST, "api": "chats"}, "api must be one of"),
        ({"azure_endpoint": HOST, "deployment": "x"}, "no setting 'deployment'"),
    ],
)
def test_wrong_settings(options: dict[str, str], said: str) -> None:
    [spec] = andon_azure_openai.andon_register_backends()
    with pytest.raises(SettingsError, match=said):
        spec.create(BackendContext(options={"api_key": "K"} | options))


@pytest.mark.parametrize(
    ("options", "path", "models"),
    [
        ({}, "/chat/completions", "/models"),
        ({"api_version": "preview"}, "/chat/completions?api-version=preview", "/models?api-version=preview"),
        (
            OLD,
            "/deployments/my%20gpt%2F4/chat/completions?api-version=2024-10-21",
            "/models?api-version=2024-10-21",
        ),
        (
            OLD | {"base_url": f"{HOST}/openai/deployments/mine"},
            "/chat/completions?api-version=2024-10-21",
            "/models?api-version=2024-10-21",
        ),
        ({"api": "responses"}, "/responses", "/models"),
        (OLD | {"api": "responses"}, "/responses?api-version=2024-10-21", "/models?api-version=2024-10-21"),
    ],
)  # fmt: skip
def test_the_paths(options: dict[str, str], path: str, models: str) -> None:
    dialect = make_dialect(BackendContext(options=options))
    assert dialect.encode(HELLO, ModelProfile()).path == path
    query = dialect.list_models()
    assert query is not None and query.call.path == models
    assert dialect.count_tokens(HELLO, ModelProfile()) is None


def test_raw_prompts_at_a_deployment() -> None:
    call = make_dialect(BackendContext(options=OLD)).encode(
        ChatRequest(model="m", prompt="Once"), ModelProfile()
    )
    assert call.path == "/deployments/m/completions?api-version=2024-10-21"


# -- Azure's own answers ---------------------------------------------------------------------------


@pytest.fixture
def azure() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        yield server


def backend(server: ScriptedServer, **options: Any) -> Any:
    [spec] = andon_azure_openai.andon_register_backends()
    given = {"azure_endpoint": server.url, "api_key": "K", "max_retries": 0} | options
    return spec.create(BackendContext(options=given))


def ask(server: ScriptedServer, *, stream: bool = False, **options: Any) -> list[Any]:
    request = ChatRequest(model="m", messages=HELLO.messages, stream=stream)
    with closing(backend(server, **options)) as asked:
        return list(asked.stream(request, 10))


FILTERED = {
    "error": {
        "message": "The response was filtered due to the prompt triggering the policy.",
        "type": None, "param": "prompt", "code": "content_filter", "status": 400,
        "innererror": {
            "code": "ResponsibleAIPolicyViolation",
            "content_filter_result": {"violence": {"filtered": True, "severity": "medium"}},
        },
    }
}  # fmt: skip


@pytest.mark.parametrize(
    ("status", "body", "kind", "code"),
    [
        (400, FILTERED, ContentFilterError, "content_filter"),
        (
            401,
            {"error": {"code": "401", "message": "Access denied due to invalid subscription key"}},
            AuthenticationError,
            None,
        ),
        (401, {"statusCode": 401, "message": "Unauthorized"}, AuthenticationError, None),
        (
            404,
            {"error": {"code": "DeploymentNotFound", "message": "The deployment does not exist"}},
            NotFoundError,
            "DeploymentNotFound",
        ),
    ],
)
def test_errors(
    azure: ScriptedServer, status: int, body: Any, kind: type[Exception], code: str | None
) -> None:
    azure.says([respond(status, json.dumps(body).encode(), apim_request_id="apim-1")])
    with pytest.raises(kind) as caught:
        ask(azure)
    error: Any = caught.value
    assert type(error) is kind
    assert (error.status, error.code, error.request_id) == (status, code, "apim-1")
    said = body.get("error", body)["message"]
    assert said in str(error)


def events(values: Iterable[Any]) -> bytes:
    return b"".join(f"data: {json.dumps(value)}\n\n".encode() for value in values)


def test_the_filters_first_chunk_and_its_remarks() -> None:
    filters = {"hate": {"filtered": False, "severity": "safe"}}
    choice = {"index": 0, "delta": {"content": "Hi"}, "content_filter_results": filters}
    values = [
        {"choices": [], "created": 0, "id": "", "model": "", "object": "", "prompt_filter_results": []},
        {"choices": [choice], "id": "chatcmpl-1", "model": "gpt-5.4"},
        {"choices": [{"index": 0, "content_filter_offsets": {}, "content_filter_results": filters}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "content_filter"}]},
    ]  # fmt: skip
    decoder = make_dialect(BackendContext()).decoder({"apim-request-id": "apim-1"})
    text, last = decoder.feed(events(values) + b"data: [DONE]\n\n")
    assert (text.text, text.model, text.request_id) == ("Hi", "gpt-5.4", "apim-1")
    assert last.finish_reason is FinishReason.CONTENT_FILTER


@pytest.mark.parametrize("options", [{}, OLD, {"api_version": "preview"}])
@pytest.mark.parametrize("stream", [False, True])
def test_a_chat_from_end_to_end(
    azure: ScriptedServer, options: dict[str, str], stream: bool
) -> None:
    sample = SampleAnswer()
    written = PROVIDER.stream(sample)
    begin = stream_head(written.headers)
    azure.says(
        [begin, chunk(written.body), LAST_CHUNK] if stream else [send_reply(PROVIDER.whole(sample))]
    )
    with Client(
        discover=False,
        plugins=[andon_azure_openai],
        settings=Settings(
            endpoints={"azure-openai": {"azure_endpoint": azure.url, "api_key": "K", **options}}
        ),
        prices={"azure-openai:mine": Price(input=Decimal(0), output=Decimal(0))},
    ) as client:
        if stream:
            text = "".join(delta.text for delta in client.stream("azure-openai:mine", "Hello"))
        else:
            text = client.chat("azure-openai:mine", "Hello").text
    assert text == "".join(sample.text)
    [request] = azure.requests
    assert request.headers["api-key"] == "K"
    assert "authorization" not in request.headers
    assert request.json()["model"] == "mine"


def test_the_models_that_may_be_deployed(azure: ScriptedServer) -> None:
    reply = PROVIDER.models(["gpt-5.4", "gpt-5.4-mini"])
    assert isinstance(reply, HTTPReply)
    azure.says([send_reply(reply)], [send_reply(reply)])
    with closing(backend(azure)) as asked:
        assert [card.name for card in asked.list_models()] == ["gpt-5.4", "gpt-5.4-mini"]
        asked.check_health()
    assert [request.target for request in azure.requests] == ["/openai/v1/models"] * 2
