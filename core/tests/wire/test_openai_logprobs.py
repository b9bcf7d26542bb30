"""Log probabilities, in every form that servers of OpenAI's protocol give them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from andon.chat import TokenLogprob
from andon.errors import BackendError
from andon.wire.dialect import HTTPReply
from andon.wire.openai_chat import OpenAIChat

ROWS = [
    {"token": "Hé", "logprob": -0.5, "bytes": [1], "top_logprobs": [
        {"token": "Ho", "logprob": -2.5, "bytes": None}, {"token": "Hé", "logprob": -0.5}]},
    {"token": "!", "logprob": -0, "top_logprobs": []},
]  # fmt: skip
READ = (TokenLogprob("Hé", -0.5, (("Hé", -0.5), ("Ho", -2.5))), TokenLogprob("!", 0.0))
LISTS = {
    "tokens": ["Hé", "!"],
    "token_logprobs": [-0.5, 0.0],
    "top_logprobs": [{"Ho": -2.5, "Hé": -0.5}, None],
    "text_offset": [0, 2],
}

FORMS: dict[str, tuple[dict[str, Any], tuple[TokenLogprob, ...]]] = {
    "none": ({"logprobs": None}, ()),
    "rows": ({"logprobs": {"content": ROWS, "refusal": None}}, READ),
    "rows of a refusal": ({"logprobs": {"content": None, "refusal": ROWS}}, READ),
    "lists": ({"logprobs": LISTS}, READ),
    "lists without alternatives": (
        {"logprobs": {"tokens": ["a"], "token_logprobs": [-1], "top_logprobs": None}},
        (TokenLogprob("a", -1.0),),
    ),
    "lists with one mapping for all": (
        {"logprobs": LISTS | {"top_logprobs": {"Ho": -2.5}}},
        (TokenLogprob("Hé", -0.5), TokenLogprob("!", 0.0)),
    ),
    "the first token of an echo": (
        {"logprobs": {"tokens": ["Once", "!"], "token_logprobs": [None, -1.0]}},
        (TokenLogprob("!", -1.0),),
    ),
    "a number, as in Together's streams": (
        {"logprobs": -0.25, "top_logprobs": {"x": -3, "Hé!": -0.25}},
        (TokenLogprob("Hé!", -0.25, (("Hé!", -0.25), ("x", -3.0))),),
    ),
}


def reply(choice: Mapping[str, Any]) -> HTTPReply:
    whole = {"index": 0, "message": {"content": "Hé!"}, "finish_reason": "stop"} | dict(choice)
    body = json.dumps({"choices": [whole]}).encode()
    return HTTPReply(status=200, headers={}, body=body)


@pytest.mark.parametrize(("choice", "read"), FORMS.values(), ids=FORMS)
def test_whole_answers(choice: Any, read: tuple[TokenLogprob, ...]) -> None:
    [delta] = OpenAIChat().decode(reply(choice))
    assert delta.logprobs == read


@pytest.mark.parametrize("field", ["delta", "text"])
@pytest.mark.parametrize(("choice", "read"), FORMS.values(), ids=FORMS)
def test_streams(choice: Any, read: tuple[TokenLogprob, ...], field: str) -> None:
    decoder = OpenAIChat().decoder({})
    piece = {"content": "Hé!"} if field == "delta" else "Hé!"
    for _ in range(2):  # the first piece is read apart
        data = json.dumps({"choices": [{"index": 0, field: piece} | choice]})
        [delta] = decoder.feed(f"data: {data}\n\n".encode())
        assert (delta.text, delta.logprobs) == ("Hé!", read)


def test_tokens_without_a_text_are_not_lost() -> None:
    """Half of a letter has no text yet."""
    choice = {"delta": {"content": ""}, "logprobs": {"content": [{"token": "", "logprob": -1}]}}
    data = json.dumps({"choices": [choice]})
    [delta] = OpenAIChat().decoder({}).feed(f"data: {data}\n\n".encode())
    assert delta.logprobs == (TokenLogprob("", -1.0),)


@pytest.mark.parametrize(
    "value", [{"content": 5}, {"content": ["a"]}, {"content": [{"logprob": 1}]}, {"tokens": 5}]
)
def test_other_shapes(value: Any) -> None:
    with pytest.raises(BackendError, match="no answer"):
        OpenAIChat().decode(reply({"logprobs": value}))
