"""Messages: reading what people have, and writing it back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon import ChatMessage, ImagePart, InvalidRequestError, Role, TextPart, ToolCall
from andon.messages import as_messages

texts = st.text()
parts = st.lists(st.builds(TextPart, texts) | st.builds(ImagePart, texts), min_size=1).map(tuple)
calls = st.lists(st.builds(ToolCall, texts, texts, texts), max_size=2).map(tuple)
messages = st.builds(
    ChatMessage,
    st.sampled_from(Role),
    texts | parts,
    name=st.none() | texts,
    tool_calls=calls,
    tool_call_id=st.none() | texts,
    reasoning=st.none() | texts,
)


@given(messages)
def test_openai_dicts_round_trip(message: ChatMessage) -> None:
    assert ChatMessage.from_openai(message.to_openai()) == message


def test_a_text_is_one_user_message() -> None:
    assert as_messages("hi") == (ChatMessage.user("hi"),)


def test_dicts_and_messages_mix() -> None:
    chat = as_messages([ChatMessage.system("be brief"), {"role": "user", "content": "hi"}])
    assert [message.role for message in chat] == [Role.SYSTEM, Role.USER]


def test_the_developer_role_is_the_system_role() -> None:
    assert as_messages([{"role": "developer", "content": "x"}])[0].role is Role.SYSTEM


def test_image_parts_are_read() -> None:
    part = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA", "detail": "low"}}
    content = as_messages([{"role": "user", "content": [part, {"type": "text", "text": "?"}]}])
    assert content[0].content == (ImagePart("data:image/png;base64,AA", "low"), TextPart("?"))
    assert content[0].text == "?"


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ([], "at least one"),
        ([{"role": "robot", "content": "x"}], "unknown role 'robot'"),
        ([{"role": "user", "contents": "x"}], "no field 'contents'"),
        ([{"role": "user", "content": 5}], "content must be"),
        ([{"role": "user", "content": [{"type": "video"}]}], "text or image_url"),
        ([{"role": "assistant", "tool_calls": [{"name": "f"}]}], "tool call"),
        ([42], "must be a ChatMessage or a dict"),
        ({"role": "user", "content": "x"}, "into a list"),
    ],
)
def test_a_mistake_is_named(bad: object, says: str) -> None:
    with pytest.raises(InvalidRequestError, match=says):
        as_messages(bad)  # type: ignore[arg-type]
