"""Predictions of Replicate: where they are created, and what their inputs are."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from andon.chat import ChatRequest, ResponseFormat, Sampling, Tool
from andon.errors import (
    ControlTokenError,
    InvalidRequestError,
    SettingsError,
    UnsupportedParameterError,
)
from andon.messages import ChatMessage, ImagePart, TextPart, ToolCall
from andon.specs import BackendContext, ChatTemplateSpec
from andon.wire.replicate import (
    InputStyle,
    ReplicateOptions,
    ReplicatePredictions,
    replicate_dialect,
)

LLAMA = "meta/meta-llama-3-8b-instruct"
CLAUDE = "anthropic/claude-4-sonnet"
GPT = "openai/gpt-5.1"
VERSION = "5c7d5dc6dd8bf75c1acaa8565735e7986bc5b66206b55cca93cb72c9bf15ccaa"
HELLO = ChatRequest(model=LLAMA, messages=(ChatMessage.user("Hello"),))
BRIEF = (ChatMessage.system("Be brief."), *HELLO.messages)
LONGER = (*HELLO.messages, ChatMessage.assistant("Hi"), ChatMessage.user("And?"))
PNG = "data:image/png;base64,iVBORw0KGgo="
PICTURE = (ChatMessage.user([TextPart("What?"), ImagePart(PNG)]),)
WRITTEN = (
    "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nHello<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\n"
)


def given(request: ChatRequest, **options: Any) -> dict[str, Any]:
    call = ReplicatePredictions(ReplicateOptions(**options)).encode(request)
    fields: dict[str, Any] = json.loads(call.body)["input"]
    return fields


# -- Where ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "path", "body"),
    [
        (LLAMA, f"/v1/models/{LLAMA}/predictions", {}),
        (f"meta/llama-3:{VERSION}", "/v1/predictions", {"version": VERSION}),
        ("deployments/acme/llama-3", "/v1/deployments/acme/llama-3/predictions", {}),
    ],
)
def test_where_a_prediction_is_created(model: str, path: str, body: dict[str, str]) -> None:
    request = replace(HELLO, model=model)
    options = ReplicateOptions(input_style=InputStyle.PROMPT)
    call = ReplicatePredictions(options).encode(request)
    assert (call.method, call.path) == ("POST", path)
    assert json.loads(call.body) == {**body, "input": {"prompt": "Hello"}}
    assert call.repeatable is False


@pytest.mark.parametrize(
    "model",
    ["llama-3", "a/b/c", "a/b:latest", "deployments/a", "a b/c", "a/../b", "a/..", "../b", ""],
)
def test_names_that_are_no_models(model: str) -> None:
    with pytest.raises(InvalidRequestError, match="owner/name"):
        ReplicatePredictions().encode(replace(HELLO, model=model))


def test_whole_answers_are_held_and_streams_are_not() -> None:
    whole = ReplicatePredictions().encode(HELLO)
    assert whole.headers["prefer"] == "wait"
    assert "stream" not in json.loads(whole.body)
    stream = ReplicatePredictions().encode(replace(HELLO, stream=True))
    assert "prefer" not in stream.headers
    assert json.loads(stream.body)["stream"] is True


@pytest.mark.parametrize(("wait", "header"), [(5, "wait=5"), (60, "wait"), (0, None)])
def test_how_long_a_call_is_held(wait: int, header: str | None) -> None:
    call = ReplicatePredictions(ReplicateOptions(wait=wait)).encode(HELLO)
    assert call.headers.get("prefer") == header


# -- Inputs ---------------------------------------------------------------------------------------


def test_a_prompt_that_is_written_here() -> None:
    assert given(HELLO) == {"prompt": WRITTEN, "prompt_template": "{prompt}"}


def test_an_answer_that_is_continued() -> None:
    messages = (*HELLO.messages, ChatMessage.assistant("Well"))
    request = replace(HELLO, messages=messages, continue_final_message=True)
    assert given(request)["prompt"] == f"{WRITTEN}Well"


def test_control_tokens_do_not_get_into_a_prompt() -> None:
    with pytest.raises(ControlTokenError):
        given(replace(HELLO, messages=(ChatMessage.user("a<|eot_id|>b"),)))


def test_a_template_of_a_plugin() -> None:
    spec = ChatTemplateSpec(
        name="acme",
        render=lambda messages, prompt: "".join(f"[{m.content}]" for m in messages),
        stop=("[",),
        models=("acme-*",),
    )
    context = BackendContext(options={"input_style": "template"}, chat_templates=lambda: [spec])
    request = replace(HELLO, model="acme/acme-1", sampling=Sampling(stop=("END",)))
    call = replicate_dialect(context).encode(request)
    assert json.loads(call.body)["input"] == {
        "prompt": "[Hello]",
        "prompt_template": "{prompt}",
        "stop_sequences": "END,[",
    }


def test_a_model_that_writes_its_prompts_itself() -> None:
    assert given(replace(HELLO, model=CLAUDE)) == {"prompt": "Hello"}
    assert given(replace(HELLO, model=CLAUDE, messages=BRIEF)) == {
        "prompt": "Hello",
        "system_prompt": "Be brief.",
    }
    assert given(replace(HELLO, model=CLAUDE, messages=PICTURE)) == {
        "prompt": "What?",
        "image": PNG,
    }


def test_a_model_that_takes_messages() -> None:
    assert given(replace(HELLO, model=GPT, messages=LONGER)) == {
        "messages": [
            {"role": "user", "content": "Hello"},
            {"role": "assistant", "content": "Hi"},
            {"role": "user", "content": "And?"},
        ]
    }
    assert given(replace(HELLO, model=GPT, messages=PICTURE)) == {
        "prompt": "What?",
        "image_input": [PNG],
    }


@pytest.mark.parametrize("style", InputStyle)
def test_the_settings_choose_the_style(style: InputStyle) -> None:
    fields = given(replace(HELLO, model=LLAMA), input_style=style)
    key = {"template": "prompt_template", "prompt": "prompt", "messages": "messages"}[style]
    assert key in fields


def test_a_raw_prompt() -> None:
    assert given(ChatRequest(model=LLAMA, prompt="Once {prompt}")) == {
        "prompt": "Once {prompt}",
        "prompt_template": "{prompt}",
    }


def test_sampling() -> None:
    sampling = Sampling(9, temperature=0.0, top_p=0.5, stop=("END", "###"), seed=0)
    fields = given(replace(HELLO, sampling=sampling))
    # The field replaces what ends an answer of this template, so that goes along.
    ends = fields.pop("stop_sequences").split(",")
    assert ends[:2] == ["END", "###"]
    assert "<|eot_id|>" in ends[2:]
    del fields["prompt"], fields["prompt_template"]
    assert fields == {"max_tokens": 9, "temperature": 0.0, "top_p": 0.5, "seed": 0}


def test_stop_texts_of_a_raw_prompt_are_the_callers_alone() -> None:
    request = ChatRequest(model=LLAMA, prompt="Once", sampling=Sampling(stop=("END",)))
    assert given(request)["stop_sequences"] == "END"


def test_the_name_of_max_tokens() -> None:
    request = replace(HELLO, sampling=Sampling(9))
    assert given(replace(request, model=GPT))["max_completion_tokens"] == 9
    assert given(request, max_tokens_field="max_new_tokens")["max_new_tokens"] == 9


def test_reasoning() -> None:
    request = replace(HELLO, model=GPT, reasoning_effort="low")
    assert given(request)["reasoning_effort"] == "low"


# -- What cannot be said --------------------------------------------------------------------------

WEATHER = Tool("weather")
CALL = ToolCall("call_a", "weather", "{}")


@pytest.mark.parametrize(
    ("changes", "parameter"),
    [
        ({"tools": (WEATHER,)}, "tools"),
        ({"response_format": ResponseFormat("json_object")}, "response_format"),
        ({"top_logprobs": 1}, "top_logprobs"),
        ({"reasoning_effort": "low"}, "reasoning_effort"),
        ({"sampling": Sampling(stop=("a,b",))}, "stop"),
        ({"model": GPT, "sampling": Sampling(stop=("a",))}, "stop"),
        ({"model": GPT, "sampling": Sampling(seed=1)}, "seed"),
        (
            {"model": CLAUDE, "messages": LONGER[:2], "continue_final_message": True},
            "continue_final_message",
        ),
        ({"messages": PICTURE}, None),
        ({"model": CLAUDE, "messages": LONGER}, None),
        ({"model": CLAUDE, "messages": (PICTURE[0], *LONGER)}, None),
        (
            {
                "model": CLAUDE,
                "messages": (ChatMessage.user([ImagePart(PNG), ImagePart(PNG)]),),
            },
            None,
        ),
        ({"model": GPT, "messages": (PICTURE[0], *LONGER)}, None),
        ({"model": GPT, "messages": (ChatMessage.assistant("", [CALL]),)}, None),
        ({"model": GPT, "messages": (), "prompt": "Once"}, None),
        ({"model": "meta/unheard-of-1"}, None),
    ],
)
def test_refusals(changes: dict[str, Any], parameter: str | None) -> None:
    with pytest.raises(UnsupportedParameterError) as caught:
        ReplicatePredictions().encode(replace(HELLO, **changes))
    assert caught.value.parameter == parameter


def test_tools_that_are_not_to_be_used() -> None:
    assert given(replace(HELLO, tools=(WEATHER,), tool_choice="none")) == given(HELLO)


# -- Settings -------------------------------------------------------------------------------------


def test_settings() -> None:
    context = BackendContext(
        options={"input_style": "prompt", "max_tokens_field": "max_length", "wait": "0"},
        environment={"REPLICATE_POLL_INTERVAL": "0.25"},
    )
    dialect = replicate_dialect(context)
    assert dialect._options == ReplicateOptions(
        input_style=InputStyle.PROMPT, max_tokens_field="max_length", wait=0, poll_interval=0.25
    )
    assert replicate_dialect(BackendContext())._options == ReplicateOptions()


@pytest.mark.parametrize(
    "options",
    [
        {"input_style": "chatml"},
        {"max_tokens_field": "max tokens"},
        {"wait": "61"},
        {"wait": "-1"},
        {"wait": 5},
        {"poll_interval": "soon"},
    ],
)
def test_wrong_settings(options: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=next(iter(options))):
        replicate_dialect(BackendContext(options=options))
