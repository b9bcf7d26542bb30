"""Models for the tests: the demo model, and random ones that are made in a moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from andon.backends.engine import GenerateOptions
from andon.specs import BackendContext
from andon.templates import Segment
from andon_transformers.engine import TransformersEngine
from andon_transformers.loading import load

#: Answers a prompt in ChatML with the bytes of all tokens.
Ask: TypeAlias = Callable[..., bytes]

TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

CORPUS = [
    "The capital of France is Paris, and that of Italy is Rome.",
    "Ein kleines Mädchen aß süße Äpfel. 東京は日本の首都です。 Привет, мир! 🙂🙃",
    "def f(x):\n    return x + 1  # one more\n",
] * 20


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    # Models as small as these lose more by talking between threads than they gain.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def make_tokenizer() -> PreTrainedTokenizerFast:
    """Return a byte-level BPE with the control tokens of ChatML."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", chat_template=TEMPLATE
    )


def make_llama(**changes: Any) -> LlamaForCausalLM:
    """Return a Llama with random weights; its parts are not scaled down, so it is not dull."""
    torch.manual_seed(7)
    sizes = {
        "vocab_size": 400,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 2048,
        "initializer_range": 0.3,
        "bos_token_id": None,
        "eos_token_id": 2,
    }
    return LlamaForCausalLM(LlamaConfig(**sizes | changes))


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level tokenizer of 400 tokens."""
    return make_tokenizer()


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model with random weights."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    make_llama().save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def _tiny(tiny_folder: Path) -> Iterator[TransformersEngine]:
    engine = load("tiny", tiny_folder, BackendContext())
    yield engine
    engine.close()


@pytest.fixture
def tiny(_tiny: TransformersEngine, monkeypatch: pytest.MonkeyPatch) -> TransformersEngine:
    """A model with random weights, as if freshly loaded."""
    monkeypatch.setattr(_tiny, "_prefix", None)
    monkeypatch.setattr(_tiny._loaded, "end_tokens", frozenset({2}))
    return _tiny


@pytest.fixture(scope="session")
def demo_file() -> Path:
    """The GGUF file of the demo model."""
    try:
        file = Path(str(files("andon_demo_model") / "demo.gguf"))
    except ModuleNotFoundError:
        plugins = Path(__file__).resolve().parents[2]
        file = plugins / "andon-demo-model" / "src" / "andon_demo_model" / "demo.gguf"
    if not file.is_file():
        pytest.skip("the demo model is not there")
    return file


@pytest.fixture(scope="session")
def demo(demo_file: Path) -> Iterator[TransformersEngine]:
    """The demo model."""
    engine = load("demo", demo_file, BackendContext())
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def ask() -> Ask:
    """A function that asks an engine one question, greedily unless told otherwise."""

    def ask(engine: TransformersEngine, question: str, **options: Any) -> bytes:
        tokens = engine.tokenize(chat(question), True)
        options = {"max_tokens": 40, "temperature": 0} | options
        return b"".join(engine.generate(tokens, GenerateOptions(**options)))

    return ask


def chat(question: str) -> list[Segment]:
    """Return a question in ChatML."""
    return [
        Segment("<|im_start|>user\n", True),
        Segment(question, False),
        Segment("<|im_end|>\n<|im_start|>assistant\n", True),
    ]


@pytest.fixture(scope="session", name="chat")
def _chat() -> Callable[[str], list[Segment]]:
    return chat
