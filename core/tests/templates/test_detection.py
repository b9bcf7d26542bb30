"""Names, metadata and folders of models, and the format that they lead to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from andon.errors import ConfigurationError
from andon.messages import ChatMessage
from andon.specs import ChatTemplateSpec
from andon.templates import ChatTemplateEngine, TemplateFormat, detect_format

HERE = Path(__file__).parent
DOCS = HERE.parents[2] / "docs" / "reference" / "chat-templates.md"
NAMES = [
    json.loads(line)
    for line in (HERE / "data" / "model_format.jsonl").read_text(encoding="utf-8").splitlines()
]

#: Names that the recorded table calls base models for want of a mark, and that get their family's
#: chat format here.
UNMARKED = {
    "llama-2-7b.Q4_K_M.gguf": "llama2",
    "llama-2-7b-32k": "llama2",
    "mistralai/Mixtral-8x7B-v0.1": "mistral",
    "Qwen/Qwen2.5-7B": "chatml",
}


def label(name):
    """Return the detection in the words of the recorded table."""
    detection = detect_format(name)
    if detection.format is None:
        return "none-api"
    if detection.format == "qwen":
        return "chatml"
    if detection.format == "deepseek" and detection.variant in ("v3", "r1", "v3.1"):
        return "deepseek3"
    if detection.format == "vicuna" and detection.variant == "v0":
        return "vicuna-v0"
    return str(detection.format)


@pytest.mark.parametrize("row", NAMES, ids=[row["name"] for row in NAMES])
def test_name(row):
    assert label(row["name"]) == UNMARKED.get(row["name"], row["expected_format"])


def test_unmarked_names_are_documented():
    page = DOCS.read_text(encoding="utf-8")

    assert not [name for name in UNMARKED if f"`{name}`" not in page]


@pytest.mark.parametrize(
    ("name", "expected", "variant"),
    [
        ("meta-llama/Llama-2-70b", "llama2", None),
        ("llama-2-70b", "llama2", None),
        ("mistral-7b", "mistral", "v3"),
        ("llama2:70b-text", "raw", None),
        ("codellama:7b-code", "raw", None),
        ("codellama:13b-instruct", "llama2", None),
        ("Qwen/Qwen3-8B-Base", "raw", None),
        ("google/gemma-3-27b-pt", "raw", None),
        ("hf.co/bartowski/Llama-3.2-3B-Instruct-GGUF:Q4_K_M", "llama3", "3.2"),
        ("C:\\models\\Meta-Llama-3-8B-Instruct.Q4_K_M.gguf", "llama3", "3"),
        ("Qwen2.5-7B-Instruct-Q4_K_M-00001-of-00002.gguf", "qwen", "2.5"),
        ("unsloth/gemma-2-9b-it-bnb-4bit", "gemma", "2"),
        ("mlx-community/Mistral-Nemo-Instruct-2407-4bit", "mistral", "v3-tekken"),
        ("mistralai/Mistral-Large-Instruct-2411", "mistral", "v7"),
        ("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", "deepseek", "r1"),
        ("deepseek-ai/deepseek-coder-6.7b-instruct", "deepseek", "coder"),
        ("deepseek-ai/DeepSeek-V3.1", "deepseek", "v3.1"),
        ("NousResearch/Nous-Hermes-2-Mixtral-8x7B-DPO", "chatml", None),
        ("NousResearch/Nous-Hermes-Llama2-13b", "alpaca", None),
        ("microsoft/Phi-4-mini-instruct", "phi4", "mini"),
        ("gpt-oss:20b", "harmony", None),
        ("huggyllama/llama-30b", "raw", None),
        ("google/gemma-2b-it", "gemma", "1"),
        ("Gryphe/MythoMax-L2-13b", "alpaca", None),
        ("nvidia/Mistral-NeMo-Minitron-8B-Instruct", "minitron", None),
        ("mistralai/Devstral-Small-2507", "mistral", "v13"),
        ("devstral:24b", "mistral", "v7-tekken"),
        ("a-name-nobody-knows", "raw", None),
    ],
)
def test_more_names(name, expected, variant):
    detection = detect_format(name)

    assert (detection.format, detection.variant) == (expected, variant)
    assert detection.reason


@pytest.mark.parametrize("name", ["gpt-4o", "claude-sonnet-4", "gpt-oss:120b-cloud", "groq/llama3"])
def test_remote_apis_have_no_template(name):
    assert detect_format(name).format is None
    with pytest.raises(ConfigurationError, match="remote API"):
        ChatTemplateEngine.from_model(name)


@pytest.mark.parametrize("name", ["amazon/MistralLite", "codellama/CodeLlama-70b-Instruct-hf"])
def test_formats_that_are_not_built_in_are_named_and_not_guessed(name):
    assert not detect_format(name).supported
    with pytest.raises(ConfigurationError, match="chat_template"):
        ChatTemplateEngine.from_model(name)


def test_from_model_goes_by_the_name():
    engine = ChatTemplateEngine.from_model("llama-2-7b-chat")

    assert engine.apply("Hello") == "<s>[INST] Hello [/INST]"


def test_plugins_go_before_the_name_and_the_longest_glob_wins():
    def spec(name, *models):
        return ChatTemplateSpec(name=name, render=lambda m, _: f"{name}:{m[0].text}", models=models)

    specs = [spec("wide", "llama-*"), spec("narrow", "llama-2-*"), spec("other", "qwen*")]
    engine = ChatTemplateEngine.from_model("TheBloke/Llama-2-7b-chat", specs=specs)

    assert engine.apply("Hello") == "narrow:Hello"


TEMPLATE = "{{ bos_token }}{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"


def test_metadata_goes_before_the_name():
    pytest.importorskip("jinja2")
    metadata = {
        "tokenizer.chat_template": TEMPLATE,
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.tokens": ["a", "<BOS>", "<|end|>", "<table>"],
        "tokenizer.ggml.token_type": [1, 3, 3, 4],
    }
    engine = ChatTemplateEngine.from_model("llama-2-7b-chat", metadata=metadata)
    rendered = engine.render("a <table> <|end|>")

    assert rendered.text == "<BOS><user>a <table> <|end|>"
    assert rendered.has_bos
    assert [segment.text for segment in rendered.segments if not segment.control] == ["<|end|>"]


def test_an_answer_ends_with_what_the_template_ends_turns_with():
    pytest.importorskip("jinja2")
    added = [{"content": text, "special": True} for text in ("<|eot_id|>", "<|end|>", "<|x|>")]
    metadata = {
        "chat_template": "{{ messages[0].content }}<|eot_id|>",
        "eos_token": "</s>",
        "added_tokens_decoder": dict(enumerate(added)),
    }

    assert ChatTemplateEngine.from_model("x", metadata=metadata).stop == ("</s>", "<|eot_id|>")


def test_the_template_for_tools_is_chosen_for_tools():
    pytest.importorskip("jinja2")
    rows = [
        {"name": "default", "template": "plain {{ messages[0].content }}"},
        {"name": "tool_use", "template": "{{ tools[0].function.name }} {{ messages[0].content }}"},
    ]
    engine = ChatTemplateEngine.from_model("x", metadata={"chat_template": rows})
    tool = {"type": "function", "function": {"name": "f"}}

    assert engine.apply("Hello") == "plain Hello"
    assert engine.apply("Hello", tools=[tool]) == "f Hello"


def test_a_folders_files_are_read(tmp_path):
    pytest.importorskip("jinja2")
    config = {
        "bos_token": {"content": "<BOS>"},
        "added_tokens_decoder": {"1": {"content": "<|end|>", "special": True}},
    }
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    (tmp_path / "chat_template.jinja").write_text(TEMPLATE, encoding="utf-8")

    rendered = ChatTemplateEngine.from_model(str(tmp_path)).render("a <|end|>")

    assert rendered.text == "<BOS><user>a <|end|>"
    assert len(rendered.segments) == 2


@pytest.mark.parametrize(
    ("file", "text", "prompt"),
    [
        ("tekken.json", '{"config": {"version": "v7"}}', "<s>[INST]Hello[/INST]"),
        ("tokenizer.model.v3", "", "<s>[INST] Hello[/INST]"),
        ("tokenizer.model.v7m1", "", "<s>[INST] Hello[/INST]"),
    ],
)
def test_mistrals_own_files_tell_the_version(tmp_path, file, text, prompt):
    (tmp_path / file).write_text(text, encoding="utf-8")

    assert ChatTemplateEngine.from_model(str(tmp_path)).apply("Hello") == prompt


def test_a_gguf_files_vocabulary_tells_tekken():
    metadata = {"tokenizer.ggml.pre": "tekken"}
    engine = ChatTemplateEngine.from_model("mistral", metadata=metadata)

    assert engine.apply([ChatMessage.user("Hello")]) == "<s>[INST]Hello[/INST]"


def test_unknown_names_are_raw_and_say_so(caplog):
    engine = ChatTemplateEngine.from_model("a-name-nobody-knows")

    assert engine.apply("Hello") == "Hello"
    assert "raw text" in caplog.text
    assert TemplateFormat.RAW in engine.spec.name
