"""Every recorded render of the formats' authorities, and of other renderers, against ours."""

from __future__ import annotations

import datetime
import json
import re
from pathlib import Path
from typing import Any

import pytest

from andon.errors import TemplateError
from andon.templates import ChatTemplateEngine, TemplateFormat, variants

HERE = Path(__file__).parent
DOCS = HERE.parents[2] / "docs" / "reference" / "chat-templates.md"
ROWS = [
    json.loads(line)
    for line in (HERE / "data" / "chat_templates.jsonl").read_text(encoding="utf-8").splitlines()
]
RENDERED_ON = datetime.date(2026, 1, 15)
TOOLS = next(row["tools"] for row in ROWS if "tools" in row)
BOS = ("<s>", "<bos>", "<BOS_TOKEN>", "<|begin_of_text|>", "<｜begin▁of▁sentence｜>")  # noqa: RUF001

#: The variant of ours that a recorded renderer corresponds to, where it is not the default.
VARIANTS = {
    "fastchat:llama-2": "verbatim",
    "llama.cpp-jinja:TheBloke/FusionNet_34Bx2_MoE-AWQ": "verbatim",
    "lcpp_mistralai-mistral-7b-instruct-v0-2-note-old-pre-v1-without-a": "legacy",
    "cz_mistral-instruct": "legacy",
    "fastchat:mistral": "legacy",
    "llama.cpp-jinja:mistralai/Mistral-7B-Instruct-v0.2 (NOTE: Old pre-v1 without a system prompt)": "legacy",
    "mc_v1_spm": "v1",
    "mistral-common:v1": "v1",
    "llama.cpp-builtin:mistral-v1": "v1",
    "mistral-common:v2": "v2",
    "mc_v3_tekken": "v3-tekken",
    "hf_mistralai-Mistral-Nemo-Instruct-2407": "v3-tekken",
    "mistral-common:v3-tekken": "v3-tekken",
    "llama.cpp-builtin:mistral-v3-tekken": "v3-tekken",
    "mc_v7_spm": "v7",
    "mistral-common:v7": "v7",
    "llama.cpp-builtin:mistral-v7": "v7",
    "llama.cpp-jinja:mistralai/Mistral-Large-Instruct-2411 (mistralai 'v7' template)": "v7",
    "mc_v7_tekken": "v7-tekken",
    "llama.cpp-builtin:mistral-v7-tekken": "v7-tekken",
    "mc_v11_tekken": "v11",
    "cz_alpaca": "lines",
    "vllm_template_alpaca": "lines",
    "fastchat:alpaca": "fastchat",
    "cz_vicuna": "lines",
    "lcpp_eachadea-vicuna-13b-1-1": "lines",
    "llama.cpp-jinja:eachadea/vicuna-13b-1.1": "lines",
    "llama.cpp-builtin:vicuna": "lines",
    "llama.cpp-legacy:Orca-Vicuna": "orca",
    "llama.cpp-builtin:vicuna-orca": "orca",
    "hf_meta-llama-Llama-3.1-8B-Instruct": "3.1",
    "hf_meta-llama-Llama-3.2-3B-Instruct": "3.2",
    "hf_meta-llama-Llama-3.3-70B-Instruct": "3.3",
    "ollama_gemma3-instruct_1": "3",
    "ollama:gemma3-instruct": "3",
    "ollama:gemma-instruct": "3",
    "hf_microsoft-Phi-3.5-mini-instruct": "3.5",
    "llama.cpp-legacy:Phi-3-mini": "3.5",
    "llama.cpp-jinja:Phi-3-small": "3.5",
    "llama.cpp-builtin:phi3": "3.5",
    "ollama:phi-3": "3.5",
    "lcpp_phi-4": "first",
    "llama.cpp-builtin:zephyr": "stablelm",
    "lcpp_deepseek-v2": "v2",
    "llama.cpp-legacy:DeepSeek-V2": "v2",
    "llama.cpp-builtin:deepseek2": "v2",
    "fastchat:deepseek-chat": "v2",
    "hf_deepseek-ai-DeepSeek-R1-Distill-Qwen-32B": "r1-closed",
    "hf_deepseek-ai-DeepSeek-V3.1": "v3.1-closed",
    "ollama_alpaca_1": "coder",
    "llama.cpp-builtin:deepseek": "coder",
    "hf_Qwen-Qwen3-0.6B": "3",
    "hf_openai-gpt-oss-120b": "hf",
}

#: Renderers that leave BOS to the tokenizer, or print one that their format does not have.
WITHOUT_BOS = re.compile(r"llama\.cpp|lcpp_|ollama|fastchat|cz_")
#: Renderers that fold messages as they write them; ours does so when asked.
FOLDING = re.compile(r"mistral-common|mc_|llama\.cpp|ollama:")
#: Rows that differ on purpose, with the reason. The reference page shows the same table.
_REASONS = {
    "The renderer leaves out the system message; ours refuses it, or writes it.": [
        "llama2/cz_llama-2-chat/s/gen",
        "mistral/mc_v1_spm/s/gen",
        "mistral/hf_mistralai-Mistral-Nemo-Instruct-2407/s/gen",
        "phi3/ollama_phi-3_1/suau/gen",
        "phi3/ollama_phi-3_1/ws/gen",
        "phi3/ollama_phi-3_1/s/gen",
        "phi3/lcpp_phi-3-medium/ssu/gen",
        "phi3/lcpp_phi-3-medium/uni/gen",
        "harmony/hf_openai-gpt-oss-120b/uasu/gen",
        "harmony/hf_openai-gpt-oss-120b/ssu/gen",
        "gemma/fastchat:gemma/suau/gen",
        "gemma/fastchat:gemma/suauau/gen",
        "gemma/fastchat:gemma/uni/gen",
    ],
    "The Jinja copy keeps spaces at the end of an assistant's text; mistral-common's tokenizer strips them.": [
        "mistral/mc_v3_spm/ws/gen",
        "mistral/mc_v7_spm/ua_prefill_ws/cont",
        "mistral/hf_mistralai-Mistral-Nemo-Instruct-2407/ua_prefill_ws/cont",
        "mistral/llama.cpp-jinja:Mistral-Large-Instruct-2407 (mistralai 'v3' template; modified to have system prompt at start)/lcpp/gen",
        "mistral/llama.cpp-jinja:mistralai/Mistral-Large-Instruct-2411 (mistralai 'v7' template)/lcpp/gen",
    ],
    "The Jinja copy prints a tool's result as a JSON string; mistral-common's tokenizer prints the JSON value itself.": [
        "mistral/mc_v3_tekken/tools/gen",
    ],
    "A community port with spaces and a place of the system text that no version of mistral-common has.": [
        "mistral/cz_mistral-instruct/su/gen",
        "mistral/cz_mistral-instruct/uau/gen",
        "mistral/cz_mistral-instruct/suauau/gen",
        "mistral/cz_mistral-instruct/ws/gen",
        "mistral/cz_mistral-instruct/s/gen",
        "mistral/cz_mistral-instruct/ua_done",
        "mistral/cz_mistral-instruct/uni/gen",
    ],
    "The port trims; ChatML writes texts as they stand.": [
        "chatml/cz_chatml/ws/gen",
    ],
    "The port demands alternation; the format has turns in any order.": [
        "chatml/cz_chatml/uu/gen",
        "chatml/cz_chatml/uasu/gen",
        "chatml/cz_chatml/ssu/gen",
        "vicuna/cz_vicuna/uaau/gen",
    ],
    "The template glues the heading of the answer to the text before it, and has no EOS.": [
        "alpaca/vllm_template_alpaca/suauau/gen",
        "alpaca/vllm_template_alpaca/uaau/gen",
        "alpaca/vllm_template_alpaca/au/gen",
        "alpaca/vllm_template_alpaca/ua_prefill/cont",
        "alpaca/vllm_template_alpaca/empty_user/gen",
        "alpaca/vllm_template_alpaca/inject/gen",
    ],
    "The template is not valid Jinja (an unescaped apostrophe).": [
        "vicuna/vllm_template_vicuna/suau/gen",
        "vicuna/vllm_template_vicuna/suauau/gen",
        "vicuna/vllm_template_vicuna/ua_done",
        "vicuna/vllm_template_vicuna/inject/gen",
    ],
    "FastChat chooses separators by position, so that two turns of one role come out wrong; ours refuses them.": [
        "vicuna/fastchat:vicuna_v1.1/uu/gen",
        "gemma/fastchat:gemma/uu/gen",
        "deepseek/fastchat:deepseek-chat/uu/gen",
    ],
    "FastChat prints the BOS of a next pair that is not there.": [
        "llama2/fastchat:llama-2/ua_done",
    ],
    "The renderer joins the system text in another way than the format's authority.": [
        "mistral/fastchat:mistral/suauau/gen",
        "deepseek/fastchat:deepseek-chat/su/gen",
        "mistral/llama.cpp-jinja:mistralai/Mistral-7B-Instruct-v0.2 (NOTE: Old pre-v1 without a system prompt)/lcpp/gen",
        "gemma/ollama:gemma-instruct/system-user-assistant-user/gen",
    ],
    "FastChat prints an empty system turn where none was given.": [
        "zephyr/fastchat:zephyr/uu/gen",
    ],
    "FastChat does not trim the system text; Meta's code trims every text.": [
        "llama3/fastchat:llama-3/ws/gen",
    ],
    "llama.cpp puts the system text into the first user's turn; mistral-common puts it into the last.": [
        "mistral/llama.cpp-legacy:Mistral-Large-Instruct-2407 (mistralai 'v3' template; modified to have system prompt at start)/lcpp/gen",
        "mistral/llama.cpp-builtin:mistral-v3-tekken/suau/gen",
    ],
    "llama.cpp writes turns of any order as they come; ours refuses the order, or folds it.": [
        "llama2/llama.cpp-builtin:llama2/uu/gen",
        "llama2/llama.cpp-builtin:llama2/uasu/gen",
        "llama2/llama.cpp-builtin:llama2-sys/uasu/gen",
        "llama2/llama.cpp-builtin:llama2-sys-bos/au/gen",
        "llama2/llama.cpp-builtin:llama2-sys-strip/uu/gen",
        "mistral/llama.cpp-builtin:mistral-v1/uu/gen",
        "mistral/llama.cpp-builtin:mistral-v3/au/gen",
        "mistral/llama.cpp-builtin:mistral-v7/uu/gen",
        "mistral/llama.cpp-builtin:mistral-v7/uasu/gen",
        "mistral/llama.cpp-builtin:mistral-v7-tekken/uu/gen",
        "command-r/llama.cpp-builtin:command-r/uasu/gen",
        "command-r/llama.cpp-builtin:command-r/au/gen",
    ],
    "llama.cpp leaves out the spaces, and the BOS and SYS marks of some, that Meta's code prints.": [
        "llama2/llama.cpp-builtin:llama2/suau/gen",
        "llama2/llama.cpp-builtin:llama2/ua_done",
        "llama2/llama.cpp-builtin:llama2-sys-strip/suau/gen",
        "llama2/llama.cpp-builtin:llama2-sys-strip/ua_done",
    ],
    "llama.cpp leaves out the default system text.": [
        "deepseek-coder/llama.cpp-builtin:deepseek/u/gen",
        "deepseek-coder/llama.cpp-builtin:deepseek/uu/gen",
    ],
    "llama.cpp's built-in Harmony has neither the system block nor channels.": [
        "harmony/llama.cpp-builtin:gpt-oss/uu/gen",
    ],
    "Ollama's template prints an end or a newline twice.": [
        "gemma/ollama:gemma3-instruct/user-assistant-user/gen",
        "gemma/ollama:gemma3-instruct/system-user-assistant-user/gen",
        "command-r/ollama:command-r/user/gen",
        "command-r/ollama:command-r/user-assistant-user/gen",
    ],
}
DIFFERENCES = {row: reason for reason, rows in _REASONS.items() for row in rows}


def read(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return recorded messages with arguments as JSON text, as messages have them."""
    read = json.loads(json.dumps(messages))
    for message in read:
        for call in message.get("tool_calls", ()):
            call["function"]["arguments"] = json.dumps(call["function"]["arguments"])
    return read


def without_bos(text: str) -> str:
    return next((text.removeprefix(bos) for bos in BOS if text.startswith(bos)), text)


def render(row: dict[str, Any], normalize: str) -> str:
    engine = ChatTemplateEngine(
        row["format"].removesuffix("-coder"),
        variant=VARIANTS.get(row["variant"]),
        now=RENDERED_ON,
    )
    tools = row.get("tools") or (TOOLS if row["conversation"] == "tools" else ())
    return engine.apply(
        read(row["messages"]),
        row["add_generation_prompt"],
        row["continue_final_message"],
        tools=tools,
        normalize=normalize,
        control_tokens="verbatim",
    )


def agrees(row: dict[str, Any]) -> bool:
    try:
        text = render(row, "strict")
    except TemplateError:
        if "error" in row:
            return True
        if not FOLDING.match(row["variant"]):
            return False
        try:
            text = render(row, "merge")
        except TemplateError:
            return False
    if "error" in row:
        return False
    if WITHOUT_BOS.match(row["variant"]):
        return without_bos(text) == without_bos(row["expected"])
    return text == row["expected"]


@pytest.mark.parametrize("row", ROWS, ids=[row["id"] for row in ROWS])
def test_row(row):
    # Both ways: a difference that has gone must leave the table.
    assert agrees(row) is (row["id"] not in DIFFERENCES)


def test_no_difference_is_a_format_authoritys():
    authorities = re.compile(r"[^/]+/(?:meta-reference|mistral-common|stanford|openai-harmony)")

    assert not [row for row in DIFFERENCES if authorities.match(row)]


def test_differences_are_documented():
    page = DOCS.read_text(encoding="utf-8")

    assert not [row for row in DIFFERENCES if f"`{row}`" not in page]
    assert not [reason for reason in _REASONS if reason not in page]


def test_every_variant_is_documented():
    page = DOCS.read_text(encoding="utf-8")
    known = [(name, variant) for name in TemplateFormat for variant in variants(name)]

    assert not [pair for pair in known if f"`{pair[0]}`" not in page or f"`{pair[1]}`" not in page]
