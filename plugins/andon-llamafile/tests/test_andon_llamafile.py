"""What andon-llamafile says of its backend, and the request that is built from it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

import pytest

import andon_llamafile
from andon import Client, Locality, Price
from andon.chat import ChatRequest, Sampling
from andon.errors import BackendError, UnsupportedParameterError
from andon.messages import ChatMessage
from andon.testing import Recorded, Recorder
from andon.wire.openai_chat import OpenAIChat
from andon_llamafile import ENDPOINT, QUIRKS

HELLO = ChatRequest(model="some-model", messages=(ChatMessage.user("Hello"),), sampling=Sampling(9))
REPLY = {
    "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "some-model",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
    ],
    "usage": {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6},
}  # fmt: skip


@pytest.fixture
def server() -> Iterator[tuple[str, list[Recorded]]]:
    with Recorder(REPLY) as recorder:
        yield recorder.url, recorder.seen


def test_the_facts() -> None:
    [spec] = andon_llamafile.andon_register_backends()
    assert (spec.name, spec.locality) == ("llamafile", Locality.LOCAL)
    assert ENDPOINT.locality is Locality.LOCAL
    assert ENDPOINT.base_url == "http://127.0.0.1:8080/v1"
    assert ENDPOINT.key_variables == ("LLAMAFILE_API_KEY",)
    assert ENDPOINT.key_optional is True


def test_a_request_that_is_really_sent(server: tuple[str, list[Recorded]]) -> None:
    url, seen = server
    with Client(
        discover=False,
        plugins=[andon_llamafile],
        endpoints={"llamafile": {"base_url": f"{url}/v1", "api_key": "K"}},
        prices={"llamafile:some-model": Price(input=Decimal(1), output=Decimal(1))},
    ) as client:
        reply = client.chat("llamafile:some-model", "Hello", max_tokens=9)
    assert (reply.text, reply.usage.total_tokens) == ("Hi", 6)
    body = {
        "model": "some-model",
        "messages": [{"role": "user", "content": "Hello"}],
        "max_tokens": 9,
    }
    assert seen == [("/v1/chat/completions", "Bearer K", body)]


def test_a_finish_reason_ends_a_stream() -> None:
    last = {"choices": [{"index": 0, "delta": {"content": "."}, "finish_reason": "stop"}]}
    decoder = OpenAIChat(QUIRKS).decoder({})
    assert decoder.feed(f"data: {json.dumps(last)}\n\n".encode())[0].text == "."
    [end] = decoder.finish()
    assert (end.finish_reason, end.usage) == ("stop", None)


def test_an_answer_cannot_be_continued() -> None:
    messages = (*HELLO.messages, ChatMessage.assistant("Hi,"))
    with pytest.raises(UnsupportedParameterError, match="continue_final_message"):
        OpenAIChat(QUIRKS).encode(replace(HELLO, messages=messages, continue_final_message=True))


def test_raw_completion_continues_an_answer_in_every_version(
    server: tuple[str, list[Recorded]],
) -> None:
    url, seen = server
    options = {"base_url": f"{url}/v1", "api": "completions", "chat_template": "chatml"}
    begun = [*HELLO.messages, ChatMessage.assistant("Hi,")]
    with (
        Client(
            discover=False, plugins=[andon_llamafile], endpoints={"llamafile": options}
        ) as client,
        pytest.raises(BackendError, match="no answer"),
    ):  # the server speaks of chats
        client.chat("llamafile:any", begun, continue_final_message=True)
    assert seen[0].path == "/completion"
    assert seen[0].body["prompt"].endswith("<|im_start|>assistant\nHi,")
