"""The same request through AWS's own SDK and through andon: what arrives is the same."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

import andon_aws_bedrock
from andon import Client, Price, ResponseFormat, Tool
from andon.messages import ChatMessage, ImagePart, ProviderState, Role, TextPart, ToolCall
from andon_aws_bedrock.signature import Credentials, Scope, signed_headers

if TYPE_CHECKING:
    from andon.testing.server import ReceivedRequest

boto3 = pytest.importorskip("boto3", reason="the official SDK is not installed")
botocore_config: Any = pytest.importorskip("botocore.config")
loaders: Any = pytest.importorskip("botocore.loaders")
models: Any = pytest.importorskip("botocore.model")
validate: Any = pytest.importorskip("botocore.validate")

NOVA = "us.amazon.nova-2-lite-v1:0"
CLAUDE = "us.anthropic.claude-opus-5-5"
OLDER = "anthropic.claude-haiku-4-5-20251001-v1:0"
ARN = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123"
PNG = "iVBORw0KGgo="
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
WEATHER = Tool("weather", "How it is.", SCHEMA, strict=True)
WEATHER_SPEC = {
    "toolSpec": {
        "name": "weather",
        "description": "How it is.",
        "inputSchema": {"json": SCHEMA},
        "strict": True,
    }
}
NOW = Tool("now")
NOW_SPEC = {
    "toolSpec": {"name": "now", "inputSchema": {"json": {"type": "object", "properties": {}}}}
}
CALLS = (ToolCall("a", "weather", '{"city":"Köln"}'), ToolCall("b", "now", "{}"))
USES = [
    {"toolUse": {"toolUseId": "a", "name": "weather", "input": {"city": "Köln"}}},
    {"toolUse": {"toolUseId": "b", "name": "now", "input": {}}},
]
RESULTS = (ChatMessage.tool("Rain", "a"), ChatMessage.tool("12:00", "b"))
RESULT_PARAMS = [
    {"toolResult": {"toolUseId": "a", "content": [{"text": "Rain"}]}},
    {"toolResult": {"toolUseId": "b", "content": [{"text": "12:00"}]}},
]
SIGNED = {"reasoningText": {"text": "Hm", "signature": "Eq+/="}}
THINKER = ChatMessage(
    Role.ASSISTANT, "Let me see.", tool_calls=CALLS, provider_state=(
        ProviderState("bedrock-converse", json.dumps([SIGNED, {"redactedContent": "AAEC"}, 11, "call", "call"])),
    ),
)  # fmt: skip
HELLO = ChatMessage.user("Hello")
HELLO_PARAM = {"role": "user", "content": [{"text": "Hello"}]}
FREE = Price(input=Decimal(0), output=Decimal(0))
KEYS = {
    "region": "us-east-1",
    "access_key_id": "AKID",
    "secret_access_key": "SECRET",
    "session_token": "TOKEN",
}
CREDENTIALS = Credentials(access_key_id="AKID", secret_access_key="SECRET", session_token="TOKEN")


def user(*content: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(content)}


def assistant(*content: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(content)}


def text(value: str) -> dict[str, str]:
    return {"text": value}


def json_schema(name: str) -> dict[str, Any]:
    written = json.dumps(SCHEMA, separators=(",", ":"))
    structure = {"jsonSchema": {"schema": written, "name": name}}
    return {"type": "json_schema", "structure": structure}


class Same(NamedTuple):
    """One logical request.

    :param messages: the chat, for andon.
    :param options: andon's options.
    :param theirs: arguments of the SDK besides ``modelId``.
    :param model: the model's name.
    """

    messages: tuple[ChatMessage, ...]
    options: dict[str, Any]
    theirs: dict[str, Any]
    model: str = NOVA


REQUESTS: dict[str, Same] = {
    "plain": Same((HELLO,), {}, {"messages": [HELLO_PARAM]}),
    "an ARN": Same((HELLO,), {}, {"messages": [HELLO_PARAM]}, ARN),
    "systems": Same(
        (ChatMessage.system("Be brief."), HELLO, ChatMessage.system("Rhyme.")), {},
        {"system": [text("Be brief."), text("Rhyme.")], "messages": [HELLO_PARAM]},
    ),
    "several turns": Same(
        (HELLO, ChatMessage.assistant("Hi"), ChatMessage.user("Grüße, 世界 😀\u2028")), {},
        {"messages": [HELLO_PARAM, assistant(text("Hi")), user(text("Grüße, 世界 😀\u2028"))]},
    ),
    "turns of one role": Same(
        (HELLO, ChatMessage.user("there")), {}, {"messages": [user(text("Hello"), text("there"))]}
    ),
    "an image": Same(
        (ChatMessage.user([TextPart("What?"), ImagePart(f"data:image/png;base64,{PNG}")]),), {},
        {"messages": [user(text("What?"), {"image": {"format": "png", "source": {"bytes": b64decode(PNG)}}})]},
    ),
    "tools": Same(
        (HELLO,), {"tools": [WEATHER, NOW]},
        {"messages": [HELLO_PARAM], "toolConfig": {"tools": [WEATHER_SPEC, NOW_SPEC]}},
    ),
    "any tool": Same(
        (HELLO,), {"tools": [NOW], "tool_choice": "required"},
        {"messages": [HELLO_PARAM], "toolConfig": {"tools": [NOW_SPEC], "toolChoice": {"any": {}}}},
    ),
    "one tool": Same(
        (HELLO,), {"tools": [NOW], "tool_choice": "now"},
        {"messages": [HELLO_PARAM], "toolConfig": {"tools": [NOW_SPEC], "toolChoice": {"tool": {"name": "now"}}}},
    ),
    "no tool": Same((HELLO,), {"tools": [NOW], "tool_choice": "none"}, {"messages": [HELLO_PARAM]}),
    "results of parallel calls": Same(
        (HELLO, ChatMessage.assistant("Let me see.", CALLS), *RESULTS, ChatMessage.user("So?")),
        {"tools": [WEATHER, NOW]},
        {"messages": [HELLO_PARAM, assistant(text("Let me see."), *USES), user(*RESULT_PARAMS, text("So?"))],
         "toolConfig": {"tools": [WEATHER_SPEC, NOW_SPEC]}},
    ),
    "signed thoughts in a loop with tools": Same(
        (HELLO, THINKER, *RESULTS), {"tools": [WEATHER, NOW]},
        {"messages": [
            HELLO_PARAM,
            assistant({"reasoningContent": SIGNED}, {"reasoningContent": {"redactedContent": b"\0\1\2"}},
                      text("Let me see."), *USES),
            user(*RESULT_PARAMS)],
         "toolConfig": {"tools": [WEATHER_SPEC, NOW_SPEC]}},
    ),
    "sampling and stop": Same(
        (HELLO,), {"max_tokens": 9, "temperature": 0.5, "top_p": 0.9, "stop": ["END", "\nYou:"]},
        {"messages": [HELLO_PARAM], "inferenceConfig": {
            "maxTokens": 9, "temperature": 0.5, "topP": 0.9, "stopSequences": ["END", "\nYou:"]}},
    ),
    "a JSON schema": Same(
        (HELLO,), {"response_format": ResponseFormat("json_schema", SCHEMA, "place")},
        {"messages": [HELLO_PARAM], "outputConfig": {"textFormat": json_schema("place")}},
    ),
    "reasoning, and a JSON schema": Same(
        (HELLO,), {"reasoning_effort": "xhigh", "response_format": ResponseFormat("json_schema", SCHEMA)},
        {"messages": [HELLO_PARAM], "outputConfig": {"effort": "xhigh", "textFormat": json_schema("answer")},
         "additionalModelRequestFields": {"thinking": {"type": "adaptive", "display": "summarized"}}},
        CLAUDE,
    ),
    "reasoning of an older model": Same(
        (HELLO,), {"reasoning_effort": "high", "max_tokens": 9_000},
        {"messages": [HELLO_PARAM], "inferenceConfig": {"maxTokens": 9_000},
         "additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 4_500}}},
        OLDER,
    ),
    "reasoning of Nova": Same(
        (HELLO,), {"reasoning_effort": "low"},
        {"messages": [HELLO_PARAM],
         "additionalModelRequestFields": {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "low"}}},
    ),
    "reasoning of an open model": Same(
        (HELLO,), {"reasoning_effort": "low"},
        {"messages": [HELLO_PARAM], "additionalModelRequestFields": {"reasoning_effort": "low"}},
        "openai.gpt-oss-120b-1:0",
    ),
    "an answer that is continued": Same(
        (HELLO, ChatMessage.assistant("The best answer is (")), {"continue_final_message": True},
        {"messages": [HELLO_PARAM, assistant(text("The best answer is ("))]},
        OLDER,
    ),
}  # fmt: skip

#: Headers in which the two differ, each with why.
DIFFERENT_HEADERS = {
    "accept-encoding": "andon can read compressed replies, though Bedrock compresses none",
    "amz-sdk-invocation-id": "a name of the SDK's for its own logs",
    "amz-sdk-request": "how often the SDK has tried; Bedrock does not need it",
    "content-length": "the SDK writes JSON with spaces and escapes",
    "user-agent": "tells of the SDK",
    "x-amz-date": "the two ask at their own time",
    "authorization": "compared without its signature, which is of the bytes and of the time",
}


def through_andon(url: str, same: Same, stream: bool) -> None:
    endpoint = {"base_url": url, "max_retries": 0, **KEYS}
    backend = f"aws-bedrock:{same.model}"
    with Client(
        discover=False,
        plugins=[andon_aws_bedrock],
        endpoints={"aws-bedrock": endpoint},
        prices={backend: FREE},
    ) as client:
        options: Any = same.options
        if stream:
            list(client.stream(backend, same.messages, **options))
        else:
            client.chat(backend, same.messages, **options)


@contextmanager
def sdk(url: str) -> Iterator[Any]:
    client = boto3.client(
        "bedrock-runtime",
        region_name="us-east-1",
        endpoint_url=url,
        aws_access_key_id="AKID",
        aws_secret_access_key="SECRET",
        aws_session_token="TOKEN",
        config=botocore_config.Config(retries={"max_attempts": 0}),
    )
    try:
        yield client
    finally:
        client.close()


def through_sdk(url: str, same: Same, stream: bool) -> None:
    with sdk(url) as client:
        if stream:
            list(client.converse_stream(modelId=same.model, **same.theirs)["stream"])
        else:
            client.converse(modelId=same.model, **same.theirs)


def meaningful(request: ReceivedRequest) -> tuple[str, str, dict[str, str], str, Any]:
    headers = {n: v for n, v in request.headers.items() if n not in DIFFERENT_HEADERS}
    authorization = request.headers["authorization"].partition(", Signature=")[0]
    return (
        request.method,
        request.target,
        headers,
        re.sub(r"/\d{8}/", "/DATE/", authorization),
        request.json(),
    )


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("name", REQUESTS)
def test_the_two_send_the_same(bedrock: Any, name: str, stream: bool) -> None:
    through_andon(bedrock.url, REQUESTS[name], stream)
    through_sdk(bedrock.url, REQUESTS[name], stream)
    ours, theirs = map(meaningful, bedrock.seen)
    assert ours == theirs


@pytest.mark.parametrize("name", REQUESTS)
def test_of_what_the_sdk_sends_we_make_the_same_signature(bedrock: Any, name: str) -> None:
    through_sdk(bedrock.url, REQUESTS[name], stream=False)
    [request] = bedrock.seen
    date = request.headers["x-amz-date"]
    signed = signed_headers(
        request.method,
        f"{bedrock.url}{request.target}",
        {"content-type": request.headers["content-type"], "user-agent": "x"},
        request.body,
        credentials=CREDENTIALS,
        scope=Scope("us-east-1", "bedrock"),
        moment=datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC),
    )
    assert signed == {name: request.headers[name] for name in signed}


@pytest.fixture(scope="module")
def service() -> Any:
    return models.ServiceModel(loaders.Loader().load_service_model("bedrock-runtime", "service-2"))


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("name", REQUESTS)
def test_requests_are_of_the_service_model(
    bedrock: Any, service: Any, name: str, stream: bool
) -> None:
    through_andon(bedrock.url, REQUESTS[name], stream)
    operation = service.operation_model("ConverseStream" if stream else "Converse")
    check(operation, REQUESTS[name].model, bedrock.seen[0].json())


def test_a_count_is_the_same(bedrock: Any, service: Any) -> None:
    same = REQUESTS["results of parallel calls"]
    backend = f"aws-bedrock:{same.model}"
    endpoint = {"base_url": bedrock.url, **KEYS}
    with Client(
        discover=False, plugins=[andon_aws_bedrock], endpoints={"aws-bedrock": endpoint}
    ) as client:
        counted = client.count_tokens(backend, same.messages, tools=same.options["tools"])
    with sdk(bedrock.url) as theirs:
        answer = theirs.count_tokens(modelId=same.model, input={"converse": same.theirs})
    assert counted.tokens == answer["inputTokens"] == 12
    ours, their = map(meaningful, bedrock.seen)
    assert ours == their
    check(service.operation_model("CountTokens"), same.model, bedrock.seen[0].json())


def check(operation: Any, model: str, body: Any) -> None:
    """Check a body against the service model: names, types, and what is required."""
    report = validate.ParamValidator().validate({"modelId": model, **body}, operation.input_shape)
    assert not report.has_errors(), report.generate_report()
