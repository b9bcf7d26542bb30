"""What andon-aws-bedrock says of its backend, and requests that are really sent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

import andon_aws_bedrock
from andon import AsyncClient, Client, Locality, Price
from andon.chat import FinishReason, Usage
from andon.errors import (
    MissingKeyError,
    RateLimitError,
    ServerError,
    SettingsError,
    StreamInterrupted,
    UnsupportedParameterError,
)
from andon.messages import ChatMessage, ToolCall
from andon.specs import BackendContext
from andon.testing.provider import SampleAnswer
from andon_aws_bedrock import ENDPOINT
from andon_aws_bedrock.signature import Credentials, Scope, signed_headers

if TYPE_CHECKING:
    from andon.testing.server import ReceivedRequest

MODEL = "us.anthropic.x-v1:0"
NAME = f"aws-bedrock:{MODEL}"
FREE = Price(input=Decimal(0), output=Decimal(0))
KEYS = {
    "region": "us-east-1",
    "access_key_id": "AKID",
    "secret_access_key": "secret-key-1",
    "session_token": "token-1",
}
CREDENTIALS = Credentials(
    access_key_id="AKID", secret_access_key="secret-key-1", session_token="token-1"
)
NOWHERE = {"AWS_EC2_METADATA_DISABLED": "true"}


def settings(url: str, **options: Any) -> dict[str, Any]:
    endpoint = {"base_url": url, "max_retries": 0, **(options or KEYS)}
    return {"discover": False, "plugins": [andon_aws_bedrock],
            "endpoints": {"aws-bedrock": endpoint}, "prices": {NAME: FREE}}  # fmt: skip


def check_signature(request: ReceivedRequest, credentials: Credentials, region: str) -> None:
    """Check that a request is signed as it arrived."""
    authorization = request.headers["authorization"]
    names = authorization.partition("SignedHeaders=")[2].partition(",")[0].split(";")
    given = {name: request.headers[name] for name in names if not name.startswith("x-amz-")}
    moment = datetime.strptime(request.headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    assert abs(datetime.now(UTC) - moment) < timedelta(minutes=5)
    signed = signed_headers(
        request.method,
        f"http://{request.headers['host']}{request.target}",
        given,
        request.body,
        credentials=credentials,
        scope=Scope(region, "bedrock"),
        moment=moment,
    )
    assert authorization == signed["authorization"]


def test_the_facts() -> None:
    [spec] = andon_aws_bedrock.andon_register_backends()
    assert (spec.name, spec.locality) == ("aws-bedrock", Locality.PRIVATE)
    assert ENDPOINT.key_variables == ("AWS_BEARER_TOKEN_BEDROCK",)
    assert ENDPOINT.base_url_variables == ("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "AWS_ENDPOINT_URL")


def test_a_chat_and_a_stream_that_are_really_sent(bedrock: Any) -> None:
    with Client(**settings(bedrock.url)) as client:
        reply = client.chat(NAME, "Hello", max_tokens=9)
        deltas = list(client.stream(NAME, "Grüße", max_tokens=9))
    assert (reply.text, reply.usage) == ("Hello, wörld!", Usage(12, 5))
    assert reply.request_id == deltas[0].request_id == "5a9cdb7c-3a4c-4d42-9a5f-0d1c5a6cf7a1"
    assert "".join(delta.text for delta in deltas) == "Hello, wörld!"
    assert deltas[-1].usage == Usage(12, 5)
    whole, streamed = bedrock.seen
    assert whole.target == "/model/us.anthropic.x-v1%3A0/converse"
    assert streamed.target == "/model/us.anthropic.x-v1%3A0/converse-stream"
    assert whole.json() == {
        "messages": [{"role": "user", "content": [{"text": "Hello"}]}],
        "inferenceConfig": {"maxTokens": 9},
    }
    for request in bedrock.seen:
        check_signature(request, CREDENTIALS, "us-east-1")


def test_in_asyncio_as_well(bedrock: Any) -> None:
    async def run() -> None:
        async with AsyncClient(**settings(bedrock.url)) as client:
            assert (await client.chat(NAME, "Hello")).text == "Hello, wörld!"
            deltas = [delta async for delta in client.stream(NAME, "Hello")]
            assert "".join(delta.text for delta in deltas) == "Hello, wörld!"
            assert (await client.count_tokens(NAME, "Hello")).tokens == 12

    asyncio.run(run())
    assert bedrock.seen[2].target.endswith("/count-tokens")
    for request in bedrock.seen:
        check_signature(request, CREDENTIALS, "us-east-1")


def test_a_path_that_needs_care_is_signed_as_it_is_sent(bedrock: Any) -> None:
    arn = "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.x~y-v1:0"
    name = f"aws-bedrock:{arn}"
    with Client(**settings(f"{bedrock.url}/base") | {"prices": {name: FREE}}) as client:
        client.chat(name, "Hello")
    [request] = bedrock.seen
    assert "/base/model/arn%3Aaws%3A" in request.target
    assert "%2Feu.x~y-v1%3A0/converse" in request.target
    check_signature(request, CREDENTIALS, "us-east-1")


def test_a_loop_with_tools_and_signed_thoughts(bedrock: Any) -> None:
    calls = (ToolCall("tooluse_1", "weather", '{"city":"Köln"}'),)
    bedrock.answer = SampleAnswer(
        reasoning=("I look ", "it up."), text=(), tool_calls=calls, finish_reason=FinishReason.TOOL_CALLS
    )  # fmt: skip
    tool = {"type": "function", "function": {"name": "weather"}}
    messages = [ChatMessage.user("How is Köln?")]
    with Client(**settings(bedrock.url)) as client:
        stream = client.stream(NAME, messages, tools=[tool])
        for _ in stream:
            pass
        asked = stream.response.message
        assert (asked.tool_calls, asked.reasoning) == (calls, "I look it up.")
        messages += [asked, ChatMessage.tool("Rain", "tooluse_1")]
        client.chat(NAME, messages, tools=[tool])
    thought, call = bedrock.seen[1].json()["messages"][1]["content"]
    assert thought["reasoningContent"]["reasoningText"]["text"] == "I look it up."
    assert thought["reasoningContent"]["reasoningText"]["signature"]
    assert call["toolUse"] == {
        "toolUseId": "tooluse_1",
        "name": "weather",
        "input": {"city": "Köln"},
    }


@pytest.mark.parametrize(("status", "kind"), [(429, RateLimitError), (424, ServerError)])
def test_errors_have_our_names(bedrock: Any, status: int, kind: type[Exception]) -> None:
    with (
        Client(**settings(f"{bedrock.url}/{status}")) as client,
        pytest.raises(kind, match=rf"Because \(HTTP {status}\)") as caught,
    ):
        client.chat(NAME, "Hello")
    assert (caught.value.backend, caught.value.status) == ("aws-bedrock", status)  # type: ignore[attr-defined]


def test_an_error_inside_a_stream(bedrock: Any) -> None:
    bedrock.broken = True
    with Client(**settings(bedrock.url)) as client:
        stream = client.stream(NAME, "Hello", failover="stop")
        with pytest.raises(StreamInterrupted, match="Busy") as caught:
            list(stream)
    assert caught.value.partial == "Hello, wörld!"
    assert isinstance(caught.value.__cause__, RateLimitError)


def test_what_the_protocol_cannot_say_is_refused(bedrock: Any) -> None:
    with Client(**settings(bedrock.url)) as client:
        with pytest.raises(UnsupportedParameterError, match="a seed"):
            client.chat(NAME, "Hello", seed=1)
        assert client.chat(NAME, "Hello", seed=1, drop_unsupported=True).text == "Hello, wörld!"


# -- Where it is, and who calls --------------------------------------------------------------------


def create(environment: Mapping[str, str], **options: Any) -> Any:
    [spec] = andon_aws_bedrock.andon_register_backends()
    return spec.create(BackendContext(options=options, environment=environment))


def ask(environment: Mapping[str, str], **options: Any) -> None:
    """Send one question for a token count."""
    from andon.chat import ChatRequest

    backend = create(environment, **options)
    try:
        backend.count_tokens(ChatRequest(model="m", messages=(ChatMessage.user("Hello"),)))
        for secret in ("secret-key-1", "token-1", "bedrock-api-key-1"):
            assert secret not in repr(backend)
    finally:
        backend.close()


@pytest.mark.parametrize(
    ("region", "url"),
    [
        ("us-east-1", "https://bedrock-runtime.us-east-1.amazonaws.com"),
        ("us-gov-west-1", "https://bedrock-runtime.us-gov-west-1.amazonaws.com"),
        ("cn-north-1", "https://bedrock-runtime.cn-north-1.amazonaws.com.cn"),
        ("eusc-de-east-1", "https://bedrock-runtime.eusc-de-east-1.amazonaws.eu"),
        ("us-iso-east-1", "https://bedrock-runtime.us-iso-east-1.c2s.ic.gov"),
        ("us-isob-east-1", "https://bedrock-runtime.us-isob-east-1.sc2s.sgov.gov"),
    ],
)
def test_the_address_of_a_region(region: str, url: str) -> None:
    assert repr(url) in repr(create({"AWS_REGION": region}))
    boto3 = pytest.importorskip("boto3", reason="the official SDK is not installed")
    keys = {"aws_access_key_id": "A", "aws_secret_access_key": "B"}
    client = boto3.client("bedrock-runtime", region_name=region, **keys)
    assert client.meta.endpoint_url == url


@pytest.mark.parametrize(
    ("environment", "options", "url"),
    [
        ({"AWS_DEFAULT_REGION": "us-east-2"}, {}, "//bedrock-runtime.us-east-2."),
        ({"AWS_DEFAULT_REGION": "us-east-2", "AWS_REGION": "us-west-2"}, {}, "//bedrock-runtime.us-west-2."),
        ({"AWS_REGION": "us-west-2"}, {"region": "eu-west-1"}, "//bedrock-runtime.eu-west-1."),
        ({"AWS_REGION": "us-west-2", "AWS_USE_FIPS_ENDPOINT": "true"}, {}, "//bedrock-runtime-fips.us-west-2."),
        ({"AWS_ENDPOINT_URL": "http://here"}, {}, "http://here"),
        ({"AWS_ENDPOINT_URL": "http://here", "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": "http://there"}, {}, "http://there"),
    ],
)  # fmt: skip
def test_the_settings_of_the_address(
    environment: dict[str, str], options: dict[str, str], url: str
) -> None:
    assert url in repr(create(environment, **options))


@pytest.mark.parametrize(
    ("environment", "options"),
    [
        ({"AWS_BEARER_TOKEN_BEDROCK": "bedrock-api-key-1"}, {}),
        ({"AWS_BEARER_TOKEN_BEDROCK": "other", "AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "B"},
         {"api_key": "bedrock-api-key-1"}),
        ({"AWS_BEARER_TOKEN_BEDROCK": "bedrock-api-key-1", "AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "B"}, {}),
        ({}, {"headers": {"authorization": "Bearer bedrock-api-key-1"}}),
    ],
)  # fmt: skip
def test_an_api_key(bedrock: Any, environment: dict[str, str], options: dict[str, Any]) -> None:
    ask(environment, base_url=bedrock.url, **options)
    [request] = bedrock.seen
    assert request.headers["authorization"] == "Bearer bedrock-api-key-1"
    assert "x-amz-date" not in request.headers


def test_keys_in_the_settings_go_before_an_api_key_in_the_environment(bedrock: Any) -> None:
    ask({"AWS_BEARER_TOKEN_BEDROCK": "other"}, base_url=bedrock.url, **KEYS)
    check_signature(bedrock.seen[0], CREDENTIALS, "us-east-1")
    assert bedrock.seen[0].headers["x-amz-security-token"] == "token-1"


def test_the_region_of_an_address_is_the_one_that_is_signed_for() -> None:
    from andon_aws_bedrock.chain import find_region

    url = "https://vpce-1.bedrock-runtime.ap-south-1.vpce.amazonaws.com"
    context = BackendContext(options={"base_url": url}, environment={"AWS_REGION": "us-east-1"})
    assert find_region(context) == "ap-south-1"


SAID = "AWS_BEARER_TOKEN_BEDROCK.*AWS_ACCESS_KEY_ID.*AWS_REGION.*endpoints=.*llama-cpp:demo"


@pytest.mark.parametrize(
    "options", [{}, {"region": "us-east-1"}, {"base_url": "http://127.0.0.1:9"}]
)
def test_without_credentials_one_is_told_where_they_go(options: dict[str, str]) -> None:
    with pytest.raises(MissingKeyError, match=SAID):
        ask(NOWHERE, **options)
    if not options:
        with pytest.raises(MissingKeyError, match=SAID):
            ask({}, **options)


@pytest.mark.parametrize(
    ("environment", "options", "said"),
    [
        ({"AWS_BEARER_TOKEN_BEDROCK": "K"}, {}, "AWS_REGION"),
        ({"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "B"}, {}, "AWS_REGION"),
        ({"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "B"}, {"base_url": "http://127.0.0.1:9"}, "AWS_REGION"),
        ({}, {"region": "us-east-1/../x"}, "like us-east-1"),
        ({"AWS_REGION": "evil.example.org"}, {}, "like us-east-1"),
        ({}, {"region": "us-east-1", "api_key": "schlüssel"}, "no key has"),
        ({}, {"region": "us-east-1", "zone": "a"}, "no setting 'zone'"),
        ({}, {"region": 1}, "must be a text"),
    ],
)  # fmt: skip
def test_wrong_settings(environment: dict[str, str], options: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        ask(environment, **options)


def test_the_body_that_is_signed_is_the_body_that_is_sent(bedrock: Any) -> None:
    with Client(**settings(bedrock.url, **KEYS, headers={"x-custom": "a  b"})) as client:
        client.chat(NAME, "Grüße 世界 \u2028")
    [request] = bedrock.seen
    assert "x-custom" in request.headers["authorization"]
    assert json.loads(request.body)["messages"][0]["content"] == [{"text": "Grüße 世界 \u2028"}]
    check_signature(request, CREDENTIALS, "us-east-1")
