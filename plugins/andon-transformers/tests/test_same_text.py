"""Two engines and the same weights: the same greedy text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from andon.backends.engine import GenerateOptions
from andon.templates import Segment
from andon_transformers.engine import TransformersEngine

llama_cpp = pytest.importorskip("llama_cpp")

COUNTRIES = """
France Italy Spain Germany Portugal Austria Poland Hungary Greece Norway Sweden Finland Denmark
Ireland Japan China India Thailand Vietnam Egypt Kenya Morocco Canada Mexico Brazil Argentina Peru
Chile Cuba Australia
""".split()
QUESTIONS = [
    *(f"What is the capital of {country}?" for country in COUNTRIES),
    "Hello!",
    "Who are you?",
    "What is two plus two?",
    "What is 3 + 4?",
    "Thank you!",
]


@pytest.fixture(scope="module")
def llama(demo_file: Path) -> Any:
    threads = {"n_threads": 1, "n_threads_batch": 1}
    model = llama_cpp.Llama(str(demo_file), n_ctx=1024, verbose=False, **threads)
    yield model
    model.close()


def chat_ml(question: str) -> str:
    return f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"


def test_the_tokens_of_prompts_are_the_same(demo: TransformersEngine, llama: Any) -> None:
    texts = [chat_ml(question) for question in QUESTIONS]
    texts += [
        "",
        "  two  spaces\n\n\tand a tab ",
        "süß 東京 🙂 <|im_end",
        "it's 1234567, isn't it?",
    ]
    for text in texts:
        for meant in (True, False):
            expected = llama.tokenize(text.encode(), add_bos=False, special=meant)
            assert demo.tokenize([Segment(text, meant)], False) == expected, text


@pytest.mark.parametrize("question", QUESTIONS)
def test_greedy_texts_are_the_same(demo: TransformersEngine, llama: Any, question: str) -> None:
    prompt = chat_ml(question)
    completion = llama.create_completion(prompt, max_tokens=48, temperature=0)
    tokens = demo.tokenize([Segment(prompt, True)], True)
    answer = b"".join(demo.generate(tokens, GenerateOptions(max_tokens=48, temperature=0)))
    assert answer.decode(errors="ignore") == completion["choices"][0]["text"]
    assert len(answer) > 1
