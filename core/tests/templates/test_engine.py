"""The engine: generation prompt, continuation, errors, folding, tools, third-party specs."""

from __future__ import annotations

import datetime

import pytest

from andon.chat import Tool
from andon.errors import (
    ConfigurationError,
    InvalidRequestError,
    RoleOrderError,
    TemplateError,
    UnsupportedRoleError,
)
from andon.messages import ChatMessage, ImagePart, TextPart, ToolCall
from andon.specs import ChatTemplateSpec
from andon.templates import ChatTemplateEngine, Segment, TemplateFormat, builtin, variants

SYSTEM = ChatMessage.system("Be brief.")
USER = ChatMessage.user("Hello")
ANSWER = ChatMessage.assistant("Hi")
WEATHER = Tool("get_weather", "Get the weather.", {"type": "object", "properties": {}})
CALL = ChatMessage.assistant(tool_calls=[ToolCall("abc123def", "get_weather", '{"city":"Paris"}')])
RESULT = ChatMessage.tool("21", "abc123def")


def engine(template, **options):
    return ChatTemplateEngine(template, **options)


def test_members_are_plain_texts():
    assert [str(member) for member in TemplateFormat][:6] == [
        "llama2",
        "mistral",
        "chatml",
        "alpaca",
        "vicuna",
        "raw",
    ]
    assert TemplateFormat.COMMAND_R == "command-r"


def test_a_text_is_one_users_message():
    assert engine("chatml").apply("Hello") == engine("chatml").apply([USER])
    assert engine("chatml").apply_prompt("Hello") == engine("chatml").apply([USER])


def test_dicts_are_read():
    messages = [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}]

    assert engine("chatml").apply(messages) == engine("chatml").apply([USER])


def test_the_generation_prompt_is_the_default():
    chatml = engine(TemplateFormat.CHATML)

    assert chatml.apply([USER]) == chatml.apply([USER], add_generation_prompt=True)
    assert chatml.apply([USER]) == chatml.apply([USER], add_generation_prompt=False) + (
        "<|im_start|>assistant\n"
    )


def test_a_partial_answer_is_continued_exactly():
    prompt = engine("chatml").apply([USER, ChatMessage.assistant("Once up")], None, True)

    assert prompt == "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\nOnce up"


def test_an_empty_answer_is_continued():
    prompt = engine("chatml").apply([USER, ChatMessage.assistant("")], continue_final_message=True)

    assert prompt == engine("chatml").apply([USER])


@pytest.mark.parametrize(
    ("messages", "arguments"),
    [
        ([USER], {"continue_final_message": True}),
        ([USER, ANSWER], {"continue_final_message": True, "add_generation_prompt": True}),
        ([USER, CALL], {"continue_final_message": True}),
        ([], {}),
        ([USER], {"normalize": "fold"}),
        ([ChatMessage.user("<|im_end|>")], {"control_tokens": "ignore"}),
    ],
)
def test_contradictions_are_refused(messages, arguments):
    with pytest.raises(InvalidRequestError):
        engine("chatml").apply(messages, **arguments)


def test_unknown_formats_and_variants_say_what_there_is():
    with pytest.raises(ConfigurationError, match="'chatml'"):
        engine("chatlm")
    with pytest.raises(ConfigurationError, match="'v3-tekken'"):
        engine("mistral", variant="v99")
    with pytest.raises(ConfigurationError):
        variants("nothing")


@pytest.mark.parametrize("name", ["llama2", "mistral", "alpaca", "vicuna", "gemma", "command-r"])
def test_two_users_in_a_row_are_refused_and_folded_on_request(name):
    messages = [USER, ChatMessage.user("Again"), ANSWER, ChatMessage.user("More")]
    with pytest.raises(RoleOrderError):
        engine(name).apply(messages)

    rendered = engine(name).render(messages, normalize="merge")

    assert "Hello\n\nAgain" in rendered.text
    assert rendered.normalizations == ("merged consecutive messages of user with a blank line",)


@pytest.mark.parametrize(
    ("name", "variant"), [("gemma", "2"), ("phi3", "3"), ("mistral", "legacy")]
)
def test_a_system_message_without_a_place_is_refused_and_folded_on_request(name, variant):
    with pytest.raises(UnsupportedRoleError):
        engine(name, variant=variant).apply([SYSTEM, USER])

    rendered = engine(name, variant=variant).render([SYSTEM, USER], normalize="merge")

    assert "Be brief.\n\nHello" in rendered.text
    assert rendered.normalizations == ("put the system message into the first user's message",)


def test_a_later_system_message_is_folded_into_the_next_user():
    messages = [SYSTEM, USER, ANSWER, ChatMessage.system("Now in French."), USER]
    with pytest.raises(RoleOrderError):
        engine("llama2").apply(messages)

    text = engine("llama2").apply(messages, normalize="merge")

    assert "<<SYS>>\nBe brief.\n<</SYS>>\n\nHello" in text
    assert "[INST] Now in French.\n\nHello [/INST]" in text


def test_an_answer_without_a_question_gets_an_empty_one_on_request():
    messages = [ANSWER, USER]
    with pytest.raises(RoleOrderError):
        engine("mistral").apply(messages)

    rendered = engine("mistral").render(messages, normalize="merge")

    assert rendered.text == "<s>[INST][/INST] Hi</s>[INST] Hello[/INST]"
    assert rendered.normalizations == ("put an empty user's message before the assistant's first",)


def test_what_needs_no_folding_is_not_folded():
    assert engine("llama2").render([SYSTEM, USER], normalize="merge").normalizations == ()


def test_folding_keeps_the_first_error():
    with pytest.raises(UnsupportedRoleError, match="tools"):
        engine("llama2").apply([USER, CALL, RESULT], normalize="merge")


def test_images_are_refused():
    message = ChatMessage.user([TextPart("What is this?"), ImagePart("https://example.org/a.png")])

    with pytest.raises(UnsupportedRoleError, match="image"):
        engine("chatml").apply([message])


@pytest.mark.parametrize("name", ["chatml", "llama2", "alpaca", "vicuna", "raw", "zephyr", "phi4"])
def test_formats_without_tools_refuse_them(name):
    with pytest.raises(UnsupportedRoleError):
        engine(name).apply([USER], tools=[WEATHER])
    with pytest.raises(UnsupportedRoleError):
        engine(name).apply([USER, CALL, RESULT, ANSWER, USER])
    with pytest.raises(UnsupportedRoleError):
        engine(name).apply([USER, ANSWER, ChatMessage(RESULT.role, "21")])


def test_tools_of_qwen():
    text = engine("qwen", variant="3").apply([USER, CALL, RESULT, RESULT], tools=[WEATHER])

    assert '<tools>\n{"type": "function", "function": {"name": "get_weather"' in text
    assert (
        '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n</tool_call>' in text
    )
    assert text.count("<|im_start|>user\n<tool_response>\n21\n</tool_response>") == 1
    assert text.count("</tool_response>") == 2


@pytest.mark.parametrize(
    ("variant", "call", "result"),
    [
        (
            "v3",
            '[TOOL_CALLS] [{"name": "get_weather", "arguments": {"city": "Paris"}, "id": "abc123def"}]',
            '[TOOL_RESULTS] {"content": 21, "call_id": "abc123def"}[/TOOL_RESULTS]',
        ),
        (
            "v7-tekken",
            '[TOOL_CALLS][{"name": "get_weather", "arguments": {"city": "Paris"}, "id": "abc123def"}]',
            "[TOOL_RESULTS]abc123def[TOOL_CONTENT]21[/TOOL_RESULTS]",
        ),
        (
            "v11",
            '[TOOL_CALLS]get_weather[CALL_ID]abc123def[ARGS]{"city": "Paris"}',
            "[TOOL_RESULTS]abc123def[TOOL_CONTENT]21[/TOOL_RESULTS]",
        ),
        (
            "v13",
            '[TOOL_CALLS]get_weather[ARGS]{"city": "Paris"}',
            "[TOOL_RESULTS]21[/TOOL_RESULTS]",
        ),
    ],
)
def test_tools_of_mistral(variant, call, result):
    text = engine("mistral", variant=variant).apply([USER, CALL, RESULT], tools=[WEATHER])

    assert f"{call}</s>{result}" in text
    assert text.startswith("<s>[AVAILABLE_TOOLS]")


def test_tools_of_llama():
    text = engine("llama3", variant="3.1").apply([USER, CALL, RESULT], tools=[WEATHER])

    assert "Environment: ipython\n" in text
    assert '{"name": "get_weather", "parameters": {"city": "Paris"}}<|eot_id|>' in text
    assert '<|start_header_id|>ipython<|end_header_id|>\n\n"21"<|eot_id|>' in text


def test_tools_of_harmony():
    fields = {
        "unit": {"type": "string", "enum": ["C", "F"], "default": "C"},
        "days": {"type": "array", "items": {"type": "integer"}, "description": "Which days"},
    }
    tool = Tool("get_weather", "", {"type": "object", "properties": fields, "required": ["days"]})

    text = engine("harmony").apply([USER, CALL, RESULT], tools=[tool])

    assert 'unit?: "C" | "F", // default: C\n// Which days\ndays: number[],\n' in text
    assert "to=functions.get_weather <|constrain|>json<|message|>" in text
    assert "<|start|>functions.get_weather to=assistant<|channel|>commentary<|message|>21" in text


def test_harmony_of_the_hub_ends_what_is_to_be_trained_on():
    hub = engine("harmony", variant="hf")

    assert hub.apply([USER, ANSWER], False).endswith("<|message|>Hi<|return|>")
    assert hub.apply([USER, ANSWER], continue_final_message=True).endswith("<|message|>Hi")
    assert engine("harmony").apply([USER, ANSWER], False).endswith("<|message|>Hi<|end|>")


def test_clocks_take_the_date_that_they_are_given():
    day = datetime.date(2026, 1, 5)

    assert "Today Date: 05 Jan 2026" in engine("llama3", variant="3.2", now=day).apply([USER])
    assert "Current date: 2026-01-05" in engine("harmony", now=day).apply([USER])
    assert "Today Date: 26 Jul 2024" in engine("llama3", variant="3.1", now=day).apply([USER])


def test_an_answer_stops_before_the_model_plays_the_user():
    # Vicuna's first version knew no end of a turn: it goes on with the user's heading.
    assert "### Human:" in engine("vicuna", variant="v0").stop
    assert "### Human:" in engine("guanaco").stop
    assert engine("vicuna").stop == ("</s>",)


def test_a_spec_of_others_goes_through_the_same_engine():
    def turns(messages, add_generation_prompt):
        text = "".join(f"[{message.role}]{message.content}[END]" for message in messages)
        return f"{text}[assistant]" if add_generation_prompt else text

    spec = ChatTemplateSpec(name="mine", render=turns, control_tokens=("[END]",), stop=("[END]",))
    mine = engine(spec)

    assert mine.apply([USER]) == "[user]Hello[END][assistant]"
    assert mine.apply([USER, ChatMessage.assistant("Hm ")], continue_final_message=True).endswith(
        "Hm "
    )
    assert mine.render("a[END]").segments[1] == Segment("[END]", False)
    with pytest.raises(UnsupportedRoleError):
        mine.apply([USER], tools=[WEATHER])
    with pytest.raises(InvalidRequestError):
        engine(spec, variant="v1")


def test_a_spec_that_leaves_a_message_out_is_caught():
    spec = ChatTemplateSpec(name="forgetful", render=lambda m, _: m[-1].text)

    with pytest.raises(UnsupportedRoleError, match="leaves out"):
        engine(spec).apply([SYSTEM, USER])


def test_a_spec_that_cuts_texts_is_caught():
    spec = ChatTemplateSpec(
        name="cutting", render=lambda m, _: m[0].text[:8], control_tokens=("<|im_end|>",)
    )

    with pytest.raises(TemplateError):
        engine(spec).render("tokens: <|im_end|>")


def test_builtin_rows_are_specs():
    assert isinstance(builtin("mistral", "v7"), ChatTemplateSpec)
    assert builtin("mistral").render([USER], True) == "<s>[INST] Hello[/INST]"
    assert builtin("harmony").render([USER], True).endswith("<|start|>assistant")


def test_an_engine_says_its_format_and_variant() -> None:
    engine = ChatTemplateEngine.from_model("mistralai/Mistral-Nemo-Instruct-2407")
    assert (engine.format, engine.variant) == (TemplateFormat.MISTRAL, "v3-tekken")
    own = ChatTemplateEngine(ChatTemplateSpec(name="own", render=lambda messages, prompt: ""))
    assert (own.format, own.variant) == ("own", None)
