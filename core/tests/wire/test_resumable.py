"""Streams that their servers keep: which call goes on with them, and where."""

from __future__ import annotations

import json
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon.chat import ChatDelta, ChatRequest
from andon.errors import BackendError, SettingsError, StreamInterrupted
from andon.messages import ChatMessage
from andon.specs import BackendContext, ModelProfile
from andon.testing.provider import SampleAnswer
from andon.testing.providers.llama_server import LlamaServerProvider
from andon.testing.providers.openai_chat import OpenAIChatProvider
from andon.testing.providers.openai_responses import OpenAIResponsesProvider
from andon.wire.dialect import Dialect, HTTPCall, StreamDecoder
from andon.wire.llama_server import LlamaServerCompletion
from andon.wire.openai_chat import OpenAIChat, openai_dialect
from andon.wire.openai_quirks import LLAMA_SERVER, OPENAI
from andon.wire.openai_responses import OpenAIResponses, responses_dialect
from andon.wire.prompt_rendering import PromptRenderer
from andon.wire.resumable import OVERLAP

HELLO = ChatRequest(model="m", messages=(ChatMessage.user("Hello"),), stream=True)
CHAT = OpenAIChat(LLAMA_SERVER, {"x": "y"}, resumable=True)
RAW = LlamaServerCompletion(PromptRenderer("chatml"), LLAMA_SERVER, resumable=True)
RESPONSES = OpenAIResponses({"openai-project": "p"}, resumable=True)

CHAT_BODY = OpenAIChatProvider().stream(SampleAnswer()).body
RAW_BODY = LlamaServerProvider().stream(SampleAnswer()).body
EVENTS = OpenAIResponsesProvider(background=True).stream(SampleAnswer(text=("Hel", "lo", "!")))


def begin(dialect: Dialect, request: ChatRequest = HELLO) -> tuple[HTTPCall, StreamDecoder]:
    call = dialect.encode(request, ModelProfile())
    assert call.decoder is not None
    return call, call.decoder({})


def rejoin(dialect: Dialect, decoder: StreamDecoder) -> HTTPCall:
    call = dialect.reconnect(decoder)
    assert call is not None
    return call


def read_on(call: HTTPCall, data: bytes) -> list[ChatDelta]:
    assert call.decoder is not None
    return list(call.decoder({}).feed(data))


# -- A llama-server, which counts bytes ------------------------------------------------------------


@pytest.mark.parametrize("dialect", [CHAT, RAW], ids=["chat", "completion"])
def test_a_stream_has_an_id_that_nobody_guesses(dialect: Dialect) -> None:
    calls = [begin(dialect)[0] for _ in range(100)]
    ids = {call.headers["x-conversation-id"] for call in calls}
    assert len(ids) == 100
    assert all(len(one) == 32 for one in ids)
    for call in calls:
        undo = call.undo
        assert undo is not None
        assert (undo.method, undo.at_root) == ("DELETE", True)
        assert undo.path == f"/v1/stream?conv_id={call.headers['x-conversation-id']}"
        assert undo.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("dialect", "body"), [(CHAT, CHAT_BODY), (RAW, RAW_BODY)], ids=["chat", "completion"]
)
@given(data=st.data())
def test_a_stream_goes_on_at_its_byte(dialect: Dialect, body: bytes, data: st.DataObject) -> None:
    _, uncut = begin(dialect)
    wanted = list(uncut.feed(body))
    call, decoder = begin(dialect)
    deltas: list[ChatDelta] = []
    place = 0
    for end in sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=4))):
        deltas += decoder.feed(body[place:end])
        onward = rejoin(dialect, decoder)
        assert (onward.method, onward.at_root, onward.undo) == ("GET", True, call.undo)
        query = parse_qs(urlsplit(onward.path).query)
        assert query["conv_id"] == [call.headers["x-conversation-id"]]
        place = int(query["from"][0])
        assert end - OVERLAP <= place <= end
        assert onward.decoder is not None
        decoder = onward.decoder({})
    deltas += decoder.feed(body[place:])
    assert deltas == wanted
    assert decoder.done


def test_what_comes_again_must_be_the_same() -> None:
    _, decoder = begin(CHAT)
    # Somebody on the way puts a sign of life in, which the server does not count.
    decoder.feed(b":\n\n" + CHAT_BODY[:700])
    onward = rejoin(CHAT, decoder)
    place = int(parse_qs(urlsplit(onward.path).query)["from"][0])
    with pytest.raises(StreamInterrupted, match="another stream"):
        read_on(onward, CHAT_BODY[place:])


def test_a_whole_answer_is_not_kept() -> None:
    call = CHAT.encode(replace(HELLO, stream=False), ModelProfile())
    assert call.undo is None
    assert "x-conversation-id" not in call.headers


def test_an_answer_that_nobody_wants_kept() -> None:
    plain = OpenAIChat(LLAMA_SERVER)
    call = plain.encode(HELLO, ModelProfile())
    assert call.undo is None
    assert call.decoder is None
    assert plain.reconnect(plain.decoder({})) is None


# -- Responses, whose events are numbered ----------------------------------------------------------


def test_a_response_in_the_background() -> None:
    call, _ = begin(RESPONSES)
    body = json.loads(call.body)
    assert (body["background"], body["store"], body["stream"]) == (True, True, True)
    # Asked for twice, it would be answered twice.
    assert not call.repeatable


def test_a_response_that_comes_whole_is_not_stored() -> None:
    call = RESPONSES.encode(replace(HELLO, stream=False), ModelProfile())
    body = json.loads(call.body)
    assert body["store"] is False
    assert "background" not in body
    assert call.repeatable


def test_the_events_after_the_last_are_asked_for() -> None:
    _, decoder = begin(RESPONSES, replace(HELLO, top_logprobs=1, reasoning_effort="low"))
    assert RESPONSES.reconnect(decoder) is None  # its id has not come
    decoder.feed(b"".join(EVENTS.events[:4]) + EVENTS.events[4][:-1])
    onward = rejoin(RESPONSES, decoder)
    url = urlsplit(onward.path)
    assert (onward.method, url.path, onward.body) == ("GET", "/responses/resp_sample", b"")
    assert parse_qs(url.query) == {
        # What was asked for besides does not come again by itself.
        "include[]": ["reasoning.encrypted_content", "message.output_text.logprobs"],
        "starting_after": ["3"],
        "stream": ["true"],
    }
    undo = onward.undo
    assert undo is not None
    assert (undo.method, undo.path) == ("POST", "/responses/resp_sample/cancel")
    assert onward.headers["openai-project"] == undo.headers["openai-project"] == "p"


def test_half_an_event_comes_again_as_a_whole() -> None:
    _, decoder = begin(RESPONSES)
    first = decoder.feed(b"".join(EVENTS.events[:5]) + EVENTS.events[5][:50])
    rest = read_on(rejoin(RESPONSES, decoder), b"".join((*EVENTS.events[5:], EVENTS.end)))
    assert "".join(delta.text for delta in (*first, *rest)) == "Hello!"


def test_a_server_that_begins_at_the_beginning() -> None:
    _, decoder = begin(RESPONSES)
    first = decoder.feed(b"".join(EVENTS.events[:6]))
    rest = read_on(rejoin(RESPONSES, decoder), EVENTS.body)
    assert "".join(delta.text for delta in (*first, *rest)) == "Hello!"


def test_a_sign_of_life_is_no_place_to_go_on_from() -> None:
    _, decoder = begin(RESPONSES)
    decoder.feed(b"".join(EVENTS.events[:6]))
    decoder.feed(b'event: keepalive\ndata: {"type":"keepalive","sequence_number":6}\n\n')
    assert "starting_after=5" in rejoin(RESPONSES, decoder).path
    # Were it numbered apart from the rest, an event would be left out.
    rest = read_on(rejoin(RESPONSES, decoder), b"".join((*EVENTS.events[6:], EVENTS.end)))
    assert "".join(delta.text for delta in rest) == "lo!"


def test_an_event_that_was_left_out_is_no_answer() -> None:
    _, decoder = begin(RESPONSES)
    place = [b'"delta":"Hel"' in event for event in EVENTS.events].index(True)
    decoder.feed(b"".join(EVENTS.events[: place + 1]))
    rest = read_on(rejoin(RESPONSES, decoder), b"".join((*EVENTS.events[place + 2 :], EVENTS.end)))
    assert [delta.text for delta in rest] == ["!"]
    with pytest.raises(BackendError, match="left 2 characters out"):
        decoder.feed(b"")


def test_events_without_numbers_cannot_be_asked_for() -> None:
    _, decoder = begin(RESPONSES)
    head = b'data: {"type":"response.created","response":{"id":"resp_1","output":[]}}\n\n'
    decoder.feed(head)
    assert RESPONSES.reconnect(decoder) is None


# -- Settings --------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["true", 1, None])
def test_the_setting_is_a_switch(value: object) -> None:
    context = BackendContext(options={"resumable": value})
    for create in (openai_dialect(LLAMA_SERVER), responses_dialect()):
        with pytest.raises(SettingsError, match="resumable must be true or false"):
            create(context)


def test_a_protocol_without_it() -> None:
    with pytest.raises(SettingsError, match='set api to "responses"'):
        openai_dialect(OPENAI)(BackendContext(options={"resumable": True}))
    openai_dialect(OPENAI)(BackendContext(options={"resumable": False}))
