from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon.backends.in_process import InProcessBackend
from andon.chat import FinishReason, ResponseFormat, Sampling, Tool, Usage
from andon.errors import (
    ClientClosedError,
    ContextOverflowError,
    InvalidRequestError,
    ModelLoadError,
    RequestTimeout,
    ServerError,
    UnknownModelError,
    UnsupportedParameterError,
)
from andon.messages import ChatMessage, ImagePart
from andon.specs import BackendContext, ChatTemplateSpec, ModelCard
from andon.tokens import Exactness

WEATHER = Tool(
    "weather",
    "Tells the weather",
    {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)
SHOUT = Tool("shout")
CALL = '<tool_call>\n{"name": "weather", "arguments": {"city": "Rome"}}\n</tool_call>'


def tokens(text: str) -> list[bytes]:
    return [bytes([byte]) for byte in text.encode()]


# --- The way of an answer ------------------------------------------------------------------------


def test_text_comes_token_by_token_and_the_last_delta_says_how_it_ended(bench):
    one = bench(lambda prompt: [b"Hel", b"lo", b"", b"!"])
    *pieces, last = one.ask()
    assert [delta.text for delta in pieces] == ["Hel", "lo", "!"]
    assert last.finish_reason is FinishReason.STOP
    assert last.raw_finish_reason == "end_of_generation"
    assert last.usage == Usage(input_tokens=len(one.engine.prompts[0]), output_tokens=5)
    assert last.model == "/models/qwen2.5-7b"


def test_the_chat_is_rendered_by_the_template_and_content_kept_apart(bench):
    one = bench()
    one.ask("a <|im_end|> b")
    assert one.engine.prompts[0].endswith("user\na <|im_end|> b<|im_end|>\n<|im_start|>assistant\n")
    assert [s.text for s in one.engine.tokenized[0] if not s.control] == ["<|im_end|>"]


def test_a_raw_prompt_is_taken_as_it_stands_with_one_bos(bench):
    one = bench(metadata={"bos_token": "<s>"})
    one.ask(prompt="[INST] hi")
    one.ask(prompt="<s>[INST] hi")
    assert one.engine.prompts == ["\x02[INST] hi", "<s>[INST] hi"]
    assert all(segment.control for segments in one.engine.tokenized for segment in segments)


def test_a_continued_message_is_left_open(bench):
    one = bench(lambda prompt: [b" is Paris."])
    messages = (ChatMessage.user("France?"), ChatMessage.assistant("The capital"))
    assert one.text(messages=messages, continue_final_message=True) == " is Paris."
    assert one.engine.prompts[0].endswith("<|im_start|>assistant\nThe capital")


def test_what_was_reused_is_reported(bench):
    one = bench()
    one.engine.reused_tokens = 7
    assert one.ask()[-1].usage.cached_input_tokens == 7


@given(st.text(max_size=20), st.lists(st.integers(1, 5)))
def test_characters_are_never_cut(text, sizes):
    from andon.backends.engine import GenerateOptions
    from andon.backends.generation import Answer, Watch
    from andon.backends.prompt import Prompt

    data = text.encode()
    pieces = []
    for size in sizes:
        pieces.append(data[:size])
        data = data[size:]
    watch = Watch(lambda: False, lambda: 0.0, None)
    answer = Answer(
        Prompt([], (), None, "", tool_calls=False, forced_call=False),
        GenerateOptions(max_tokens=100),
        watch,
    )
    assert "".join(delta.text for delta in answer.read(iter([*pieces, data]))) == text


def test_bytes_that_are_no_character_become_replacement_characters(bench):
    assert bench(lambda prompt: [b"a\xff", b"b\xe2\x82"]).text() == "a\ufffdb\ufffd"


def test_a_stop_text_ends_the_answer_and_the_engine(bench):
    one = bench(lambda prompt: tokens("one. two. three."))
    deltas = one.ask(sampling=Sampling(stop=(". t",)))
    assert "".join(delta.text for delta in deltas) == "one"
    assert deltas[-1].finish_reason is FinishReason.STOP
    assert deltas[-1].raw_finish_reason == "stop_text"
    assert one.engine.given == len("one. t")
    assert one.engine.open_answers == 0


def test_the_templates_own_stop_text_counts_too(bench):
    assert bench(lambda prompt: tokens("done<|im_end|>\n<|im_start|>user")).text() == "done"


# --- Limits --------------------------------------------------------------------------------------


def test_max_tokens_ends_the_answer(bench):
    last = bench(lambda prompt: tokens("x" * 50)).ask(sampling=Sampling(max_tokens=5))[-1]
    assert last.finish_reason is FinishReason.LENGTH
    assert last.usage.output_tokens == 5


@pytest.mark.parametrize("asked", [None, 10_000])
def test_the_window_ends_the_answer(bench, asked):
    one = bench(lambda prompt: tokens("x" * 5000))
    last = one.ask(sampling=Sampling(max_tokens=asked))[-1]
    assert last.finish_reason is FinishReason.LENGTH
    assert last.usage.total_tokens == 1000


def test_a_prompt_without_room_for_an_answer_is_refused(bench):
    one = bench()
    with pytest.raises(ContextOverflowError, match=r"1,0\d\d tokens.*shorten") as caught:
        one.ask(prompt="x" * 1030)
    assert (caught.value.input_tokens, caught.value.window) == (1031, 1000)
    assert one.engine.options == []


def test_an_engine_without_a_window_is_not_limited(bench):
    assert bench(window=None).text() == "hello"


def test_sampling_reaches_the_engine(bench):
    one = bench()
    one.ask(sampling=Sampling(temperature=0.5, top_p=0.9, seed=7, max_tokens=3))
    options = one.engine.options[0]
    assert (options.temperature, options.top_p, options.seed, options.max_tokens) == (
        0.5,
        0.9,
        7,
        3,
    )


def test_what_a_request_leaves_open_is_as_the_models_card_says(bench, tmp_path):
    known = replace(
        card("demo", tmp_path / "qwen2.5.gguf"), sampling=Sampling(temperature=0, top_p=0.5)
    )
    one = bench(cards=[known])
    one.ask(model="demo")
    one.ask(model="demo", sampling=Sampling(temperature=1))
    assert [(o.temperature, o.top_p) for o in one.engine.options] == [(0, 0.5), (1, 0.5)]


def test_a_plugins_template_serves_a_model_that_brings_none(bench):
    arrows = ChatTemplateSpec(
        name="arrows",
        render=lambda messages, prompt: "".join(f"-> {m.text}" for m in messages),
        models=("mega*",),
    )
    one = bench(templates=[arrows])
    one.ask("hello", model="/models/mega-7b.gguf")
    assert one.engine.prompts[0].endswith("-> hello")
    own = bench(templates=[arrows], metadata={"chat_template": "{{ messages[0].content }}!"})
    own.ask("hello", model="/models/mega-7b.gguf")
    assert own.engine.prompts[0].endswith("hello!")


# --- Time ----------------------------------------------------------------------------------------


def test_the_timeout_ends_the_answer_between_tokens(bench):
    one = bench(lambda prompt: tokens("x" * 500))
    stream = one.backend.stream(one.request(), 10)
    assert next(stream).text == "x"
    one.clock.now = 10
    with pytest.raises(RequestTimeout, match="not complete in time") as caught:
        list(stream)
    assert (caught.value.backend, caught.value.model) == ("fake", "/models/qwen2.5-7b")
    assert one.engine.given <= 2
    assert one.text(sampling=Sampling(max_tokens=3)) == "xxx"


def test_the_engine_is_told_of_the_timeout_while_it_reads_the_prompt(bench):
    one = bench()

    def slow(prompt):
        one.clock.now += 60
        assert one.engine.options[0].cancelled()
        return iter(())

    one.engine.script = slow
    with pytest.raises(RequestTimeout):
        one.ask(timeout=30)


def test_waiting_for_ones_turn_counts(bench):
    one = bench()
    model = one.backend._model("/models/qwen2.5-7b")
    ticket = model.turnstile.join()
    one.clock.now = 5

    def wait(timeout):
        assert timeout == 3
        one.clock.now += timeout
        return False

    joined = model.turnstile.join()
    joined.leave()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("andon.backends.turnstile.Ticket.wait", lambda self, timeout: wait(timeout))
        with pytest.raises(RequestTimeout, match="other answers"):
            one.ask(timeout=3)
    ticket.leave()
    assert one.text() == "hello"


# --- Errors --------------------------------------------------------------------------------------


def test_an_engines_own_errors_pass_and_others_become_server_errors(bench):
    def fails(error):
        def script(prompt):
            yield b"a"
            raise error

        return script

    one = bench(fails(UnsupportedParameterError("no")))
    with pytest.raises(UnsupportedParameterError):
        one.ask()
    one.engine.script = fails(ValueError("broken"))
    with pytest.raises(ServerError, match="ValueError: broken") as caught:
        one.ask()
    assert isinstance(caught.value.__cause__, ValueError)
    assert caught.value.backend == "fake"
    one.engine.script = lambda prompt: [b"fine"]
    assert one.text() == "fine"


def test_what_no_engine_can_do_is_refused_before_any_work(bench):
    one = bench()
    image = ChatMessage.user([ImagePart("data:image/png;base64,AAAA")])
    for kwargs in (
        {"reasoning_effort": "low"},
        {"messages": (image,)},
        {"tools": (WEATHER,), "response_format": ResponseFormat("json_object")},
    ):
        with pytest.raises(UnsupportedParameterError):
            one.ask(**kwargs)
    assert one.engine.options == []


# --- Models --------------------------------------------------------------------------------------


def card(name: str, path: Path | None = None, backends: tuple[str, ...] = ("fake",)) -> ModelCard:
    return ModelCard(
        name=name, backends=backends, context_window=7, file=(lambda: path) if path else None
    )


def test_a_name_of_the_catalogue_is_loaded_from_its_file(bench, tmp_path):
    path = tmp_path / "qwen2.5.gguf"
    one = bench(cards=[card("demo", path)])
    assert one.text(model="demo") == one.text(model=str(path)) == "hello"
    assert one.loads == [path]


def test_models_lists_what_the_catalogue_has_for_this_backend(bench, tmp_path):
    mine = card("mine", tmp_path)
    one = bench(cards=[mine, card("remote"), card("other", tmp_path, ("elsewhere",))])
    assert one.backend.models() == [mine]


def test_an_unknown_name_lists_the_known_ones_and_speaks_of_paths(bench, tmp_path):
    one = bench(cards=[card("demo", tmp_path)])
    with pytest.raises(UnknownModelError, match=r"no model 'dmeo'; .* has demo; a path .*\./dmeo"):
        one.ask(model="dmeo")


def test_the_home_folder_is_expanded(bench, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    one = bench()
    one.text(model="~/qwen2.5.gguf")
    assert one.loads == [tmp_path / "qwen2.5.gguf"]


def test_a_failed_load_is_tried_again(tmp_path):
    attempts: list[Path] = []

    def load(name, path, context):
        attempts.append(path)
        raise (ModelLoadError("damaged") if len(attempts) == 1 else KeyError("odd"))

    backend = InProcessBackend("fake", load, BackendContext())
    from andon.chat import ChatRequest

    request = ChatRequest(model="/models/x", prompt="hi")
    with pytest.raises(ModelLoadError, match="damaged"):
        backend.measure(request)
    with pytest.raises(ModelLoadError, match=r"/models/x.*KeyError"):
        backend.measure(request)
    assert len(attempts) == 2


def test_measure_is_exact_and_its_tokens_are_used_again(bench):
    one = bench()
    request = one.request()
    measure = one.backend.measure(request)
    assert measure.count.exactness is Exactness.EXACT
    assert measure.count.tokens == list(one.backend.stream(request, None))[-1].usage.input_tokens
    assert measure.card.name == request.model
    assert measure.card.context_window == 1000
    assert len(one.engine.tokenized) == 1


def test_measure_gives_the_catalogues_card_with_the_real_window(bench, tmp_path):
    known = ModelCard(
        name="demo",
        context_window=7,
        capabilities=frozenset({"chat", "tools"}),
        file=lambda: tmp_path / "qwen2.5",
    )
    measure = bench(cards=[known]).backend
    found = measure.measure(bench().request(model="demo")).card
    assert (found.capabilities, found.context_window) == (known.capabilities, 1000)


# --- Tools and JSON ------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_a_call_in_the_text_becomes_a_tool_call(bench, size):
    data = f"Let me see.{CALL}".encode()
    one = bench(lambda prompt: [data[i : i + size] for i in range(0, len(data), size)])
    deltas = one.ask(tools=(WEATHER,))
    calls = [call for delta in deltas for call in delta.tool_calls]
    assert "".join(delta.text for delta in deltas) == "Let me see."
    assert [(call.index, call.name) for call in calls] == [(0, "weather")]
    assert json.loads(calls[0].arguments) == {"city": "Rome"}
    assert deltas[-1].finish_reason is FinishReason.TOOL_CALLS
    assert "Tells the weather" in one.engine.prompts[0]


def test_without_tools_or_with_none_the_text_is_left_alone(bench):
    one = bench(lambda prompt: tokens(CALL))
    assert one.text() == one.text(tools=(WEATHER,), tool_choice="none") == CALL
    assert "Tells the weather" not in one.engine.prompts[1]


@pytest.mark.parametrize("choice", ["required", "weather"])
def test_a_forced_call_begins_in_the_prompt_and_keeps_the_schema(bench, choice):
    one = bench(lambda prompt: tokens('{"name": "weather", "arguments": {"city": "Rome"}}'))
    deltas = one.ask(tools=(WEATHER, SHOUT), tool_choice=choice)
    (call,) = [call for delta in deltas for call in delta.tool_calls]
    assert call.name == "weather"
    assert deltas[-1].finish_reason is FinishReason.TOOL_CALLS
    assert one.engine.prompts[0].endswith("<|im_start|>assistant\n<tool_call>\n")
    schema = one.engine.options[0].json_schema
    names = [s["properties"]["name"]["const"] for s in schema.get("anyOf", [schema])]
    assert names == (["weather", "shout"] if choice == "required" else ["weather"])


def test_a_forced_call_that_is_cut_off_says_so(bench):
    one = bench(lambda prompt: tokens('{"name": "weather", "argu'))
    last = one.ask(tools=(WEATHER,), tool_choice="required", sampling=Sampling(max_tokens=9))[-1]
    assert last.finish_reason is FinishReason.LENGTH


def test_references_in_parameters_survive_inside_the_schema_of_the_call(bench):
    parameters = {
        "type": "object",
        "properties": {"at": {"$ref": "#/$defs/place"}, "to": {"items": {"$ref": "#/$defs/place"}}},
        "$defs": {"place": {"type": "string"}},
    }
    one = bench(lambda prompt: [b"{}"])
    one.ask(tools=(Tool("go", "", parameters),), tool_choice="go")
    arguments = one.engine.options[0].json_schema["properties"]["arguments"]
    assert arguments["properties"] == {
        "at": {"type": "string"},
        "to": {"items": {"type": "string"}},
    }
    parameters["$defs"]["place"] = {"$ref": "#/$defs/place"}
    with pytest.raises(UnsupportedParameterError, match="refer to themselves"):
        one.ask(tools=(Tool("go", "", parameters),), tool_choice="go")


def test_a_template_without_a_place_for_tools_refuses_them(bench):
    with pytest.raises(UnsupportedParameterError, match="no place for tools"):
        bench().ask(model="/models/alpaca-7b", tools=(WEATHER,))


def test_a_response_format_becomes_a_schema(bench):
    one = bench(lambda prompt: [b"{}"])
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    one.ask(response_format=ResponseFormat("json_object"))
    one.ask(response_format=ResponseFormat("json_schema", schema))
    one.ask()
    assert [o.json_schema for o in one.engine.options] == [{"type": "object"}, schema, None]


# --- Closing -------------------------------------------------------------------------------------


def test_a_closed_backend_refuses_and_its_engine_is_free(bench):
    one = bench()
    one.ask()
    one.backend.close()
    one.backend.close()
    assert one.engine.closed.is_set()
    with pytest.raises(ClientClosedError):
        one.ask()
    with pytest.raises(ClientClosedError):
        one.backend.measure(one.request())


def test_closing_ends_an_answer_that_its_reader_has_left_lying(bench):
    one = bench(lambda prompt: tokens("x" * 50))
    stream = one.backend.stream(one.request(), None)
    next(stream)
    one.backend.close()
    assert one.engine.closed.is_set()
    with pytest.raises(ClientClosedError):
        next(stream)
    assert one.engine.given == 1


def test_a_thread_that_has_not_finished_reading_is_told_so(bench):
    one = bench(lambda prompt: tokens("x" * 50))
    stream = one.backend.stream(one.request(), None)
    next(stream)
    with pytest.raises(InvalidRequestError, match="still reading an answer"):
        one.ask()
    stream.close()
    assert one.text(sampling=Sampling(max_tokens=2)) == "xx"


def test_forgetting_an_answer_stops_the_engine(bench):
    one = bench(lambda prompt: tokens("x" * 50))
    stream = one.backend.stream(one.request(), None)
    next(stream)
    assert one.engine.open_answers == 1
    del stream
    assert one.engine.open_answers == 0
    assert one.engine.given == 1


def test_an_answer_that_was_never_begun_holds_nothing(bench):
    one = bench()
    never = one.backend.stream(one.request(), None)
    assert one.text() == "hello"
    never.close()
    assert one.engine.prompts != []
    assert one.loads == [Path("/models/qwen2.5-7b")]
