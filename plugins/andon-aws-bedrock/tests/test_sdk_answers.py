"""AWS's own SDK reads what the fixtures write, and reads the same as andon."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from struct import pack
from typing import Any
from zlib import crc32

import pytest

from andon.answer import Answer
from andon.chat import ChatDelta, FinishReason, Usage
from andon.messages import ToolCall
from andon.testing.provider import SampleAnswer
from andon.testing.providers.bedrock import BedrockProvider
from andon.wire.bedrock_converse import BedrockConverse
from andon.wire.event_stream import EventStreamDecoder

boto3 = pytest.importorskip("boto3", reason="the official SDK is not installed")
eventstream: Any = pytest.importorskip("botocore.eventstream")
exceptions: Any = pytest.importorskip("botocore.exceptions")
loaders: Any = pytest.importorskip("botocore.loaders")
models: Any = pytest.importorskip("botocore.model")
parsers: Any = pytest.importorskip("botocore.parsers")
botocore_config: Any = pytest.importorskip("botocore.config")
validate: Any = pytest.importorskip("botocore.validate")

PROVIDER, DIALECT = BedrockProvider(), BedrockConverse()
CALLS = (ToolCall("tooluse_1", "weather", '{"city":"Köln"}'), ToolCall("tooluse_2", "now", "{}"))
SAMPLES = {
    "text": SampleAnswer(),
    "cut": SampleAnswer(finish_reason=FinishReason.LENGTH),
    "refused": SampleAnswer(text=(), finish_reason=FinishReason.CONTENT_FILTER),
    "cached": SampleAnswer(usage=Usage(20, 5, cached_input_tokens=10, cache_write_tokens=7)),
    "one call": SampleAnswer(text=(), tool_calls=CALLS[:1], finish_reason=FinishReason.TOOL_CALLS),
    "thoughts, text and parallel calls": SampleAnswer(
        reasoning=("I look ", "it up."),
        tool_calls=CALLS,
        finish_reason=FinishReason.TOOL_CALLS,
        usage=Usage(20, 9),
    ),
}
REQUEST: dict[str, Any] = {
    "modelId": "m", "messages": [{"role": "user", "content": [{"text": "Hello"}]}]
}  # fmt: skip


@contextmanager
def sdk(url: str) -> Iterator[Any]:
    client = boto3.client(
        "bedrock-runtime",
        region_name="us-east-1",
        endpoint_url=url,
        aws_access_key_id="AKID",
        aws_secret_access_key="SECRET",
        config=botocore_config.Config(retries={"max_attempts": 0}),
    )
    try:
        yield client
    finally:
        client.close()


def accumulate(events: Any) -> dict[str, Any]:
    """Put the SDK's events together: block after block, as a reader of its documentation would."""
    blocks: dict[int, dict[str, Any]] = {}
    answer: dict[str, Any] = {}
    for event in events:
        [(kind, value)] = event.items()
        if kind == "contentBlockStart":
            blocks[value["contentBlockIndex"]] = {
                "toolUse": {**value["start"]["toolUse"], "input": ""}
            }
        elif kind == "contentBlockDelta":
            block = blocks.setdefault(value["contentBlockIndex"], {})
            [(part, piece)] = value["delta"].items()
            if part == "text":
                block["text"] = block.get("text", "") + piece
            elif part == "toolUse":
                block["toolUse"]["input"] += piece["input"]
            else:
                thought = block.setdefault("reasoningContent", {}).setdefault("reasoningText", {})
                for name in piece:
                    thought[name] = thought.get(name, "") + piece[name]
        elif kind in {"messageStop", "metadata"}:
            answer |= value
    for block in blocks.values():
        if "toolUse" in block:
            block["toolUse"]["input"] = json.loads(block["toolUse"]["input"] or "{}")
    message = {"role": "assistant", "content": [blocks[index] for index in sorted(blocks)]}
    return {**answer, "output": {"message": message}}


def check(theirs: dict[str, Any], deltas: list[ChatDelta], sample: SampleAnswer) -> None:
    """Check that the SDK's answer is the sample, and that andon reads it so as well."""
    whole = Answer()
    for delta in deltas:
        whole.append(delta)
    ours, content = whole.message(), theirs["output"]["message"]["content"]
    texts = [block["text"] for block in content if "text" in block]
    thoughts = [
        block["reasoningContent"]["reasoningText"]
        for block in content
        if "reasoningContent" in block
    ]
    calls = [block["toolUse"] for block in content if "toolUse" in block]
    assert "".join(texts) == ours.text == "".join(sample.text)
    assert "".join(thought["text"] for thought in thoughts) == (ours.reasoning or "")
    assert (ours.reasoning or "") == "".join(sample.reasoning)
    kept = [piece for state in ours.provider_state for piece in json.loads(state.data)]
    assert [piece["reasoningText"] for piece in kept if isinstance(piece, dict)] == thoughts
    assert [(call["toolUseId"], call["name"], call["input"]) for call in calls] == [
        (call.id, call.name, json.loads(call.arguments)) for call in ours.tool_calls
    ]
    assert theirs["stopReason"] == deltas[-1].raw_finish_reason
    usage, read = theirs["usage"], deltas[-1].usage
    assert read == sample.usage
    parts = usage["inputTokens"] + usage["cacheReadInputTokens"] + usage["cacheWriteInputTokens"]
    assert (parts, usage["outputTokens"]) == (read.input_tokens, read.output_tokens)
    assert usage["totalTokens"] == read.total_tokens


def streamed(sample: SampleAnswer) -> list[ChatDelta]:
    stream = PROVIDER.stream(sample)
    decoder = DIALECT.decoder(stream.headers)
    return [*decoder.feed(stream.body), *decoder.finish()]


@pytest.fixture(scope="module")
def service() -> Any:
    return models.ServiceModel(loaders.Loader().load_service_model("bedrock-runtime", "service-2"))


@pytest.mark.parametrize("name", SAMPLES)
def test_whole_answers(bedrock: Any, service: Any, name: str) -> None:
    bedrock.answer = SAMPLES[name]
    with sdk(bedrock.url) as client:
        theirs = client.converse(**REQUEST)
    [delta] = DIALECT.decode(PROVIDER.whole(SAMPLES[name]))
    check(theirs, [delta], SAMPLES[name])
    assert theirs["ResponseMetadata"]["RequestId"] == delta.request_id
    # The SDK lets what it does not know pass, and what is missing; its model does not.
    body = json.loads(PROVIDER.whole(SAMPLES[name]).body)
    shape = service.operation_model("Converse").output_shape
    report = validate.ParamValidator().validate(body, shape)
    assert not report.has_errors(), report.generate_report()


@pytest.mark.parametrize("name", SAMPLES)
def test_streams(bedrock: Any, name: str) -> None:
    bedrock.answer = SAMPLES[name]
    with sdk(bedrock.url) as client:
        reply = client.converse_stream(**REQUEST)
        theirs = accumulate(reply["stream"])
    deltas = streamed(SAMPLES[name])
    check(theirs, deltas, SAMPLES[name])
    assert reply["ResponseMetadata"]["RequestId"] == deltas[-1].request_id


@pytest.mark.parametrize("name", SAMPLES)
def test_frames_and_events(service: Any, name: str) -> None:
    stream = PROVIDER.stream(SAMPLES[name])
    buffer = eventstream.EventStreamBuffer()
    buffer.add_data(stream.body)
    shape = service.operation_model("ConverseStream").output_shape.members["stream"]
    theirs = list(buffer)
    ours = list(EventStreamDecoder().feed(stream.body))
    assert [(dict(frame.headers), frame.payload) for frame in ours] == [
        (message.headers, message.payload) for message in theirs
    ]
    for message in theirs:
        parsed = parsers.EventStreamJSONParser().parse(message.to_response_dict(), shape)
        [(kind, _)] = parsed.items()
        event = json.loads(message.payload)
        # The padding is in no model.
        assert event.pop("p")
        report = validate.ParamValidator().validate(event, shape.members[kind])
        assert not report.has_errors(), report.generate_report()


def test_headers_of_every_type() -> None:
    values = [
        b"\x00", b"\x01", b"\x02\xff", b"\x03\x80\x00", b"\x04\x7f\xff\xff\xff", b"\x05" + b"\xfe" * 8,
        b"\x06\x00\x02\x00\xff", b"\x07\x00\x03\xe2\x82\xac", b"\x08" + b"\x01" * 8, b"\x09" + b"u" * 16,
    ]  # fmt: skip
    written = b"".join(b"\x01%c%s" % (97 + place, value) for place, value in enumerate(values))
    prelude = pack(">II", 16 + len(written) + 2, len(written))
    data = prelude + pack(">I", crc32(prelude)) + written + b"{}"
    data += pack(">I", crc32(data))
    buffer = eventstream.EventStreamBuffer()
    buffer.add_data(data)
    [theirs], [ours] = list(buffer), list(EventStreamDecoder().feed(data))
    assert len(ours.headers) == len(values)
    assert (dict(ours.headers), ours.payload) == (theirs.headers, theirs.payload)


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 408, 424, 429, 500, 503])
def test_errors(bedrock: Any, service: Any, status: int) -> None:
    url = f"{bedrock.url}/{status}"
    with sdk(url) as client, pytest.raises(exceptions.ClientError) as caught:
        client.converse(**REQUEST)
    theirs = caught.value.response
    ours = DIALECT.explain(PROVIDER.error(status, "Because"))
    assert theirs["Error"] == {"Message": "Because", "Code": ours.code}
    assert theirs["ResponseMetadata"]["RequestId"] == ours.request_id
    assert theirs["ResponseMetadata"]["HTTPStatusCode"] == ours.status
    # The statuses of the model's own errors are those of the fixtures.
    stated = {
        shape.name: shape.metadata["error"]["httpStatusCode"] for shape in service.error_shapes
    }
    assert stated.get(ours.code, status) == status or status == 402


def test_an_error_inside_a_stream(bedrock: Any) -> None:
    bedrock.broken = True
    with sdk(bedrock.url) as client:
        stream = client.converse_stream(**REQUEST)["stream"]
        with pytest.raises(exceptions.EventStreamError) as caught:
            list(stream)
    assert caught.value.response["Error"] == {"Code": "throttlingException", "Message": "Busy"}


def test_tokens(bedrock: Any) -> None:
    messages = {"converse": {"messages": REQUEST["messages"]}}
    with sdk(bedrock.url) as client:
        assert client.count_tokens(modelId="m", input=messages)["inputTokens"] == 12
