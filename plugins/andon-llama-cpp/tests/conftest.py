"""Two models: one of random weights, made here, and the demo model, which can talk."""

from __future__ import annotations

import random
import shutil
import struct
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from andon.backends.in_process import InProcessBackend
from andon.chat import ChatRequest, Sampling
from andon.messages import as_messages
from andon.specs import BackendContext
from andon_llama_cpp.engine import LlamaEngine, load
from andon_llama_cpp.options import Options

DEMO = Path(__file__).parents[2] / "andon-demo-model/src/andon_demo_model/demo.gguf"

# Kinds of tokens, and of values, as GGUF numbers them.
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, BYTE = 1, 2, 3, 4, 6
UINT32, FLOAT32, BOOL, STRING, ARRAY, INT32 = 4, 6, 7, 8, 9, 5

WIDTH, FEED_FORWARD, LAYERS, WINDOW = 32, 64, 2, 256


def vocabulary() -> list[tuple[str, float, int]]:
    """Return a small SentencePiece vocabulary: text, score and kind of each token."""
    tokens = [("<unk>", 0.0, UNKNOWN), ("<s>", 0.0, CONTROL), ("</s>", 0.0, CONTROL)]
    tokens += [(f"<0x{byte:02X}>", 0.0, BYTE) for byte in range(256)]
    tokens += [("<|im_start|>", 0.0, CONTROL), ("<|im_end|>", 0.0, CONTROL)]
    tokens += [("<tool_call>", 0.0, USER_DEFINED)]
    letters = '▁etaoinshrdlucmfwypvbgkjqxz{}":,0123456789'
    words = ["th", "he", "in", "the", "▁the", "er", "an", "▁a", "ä", "日本"]
    tokens += [(piece, -float(rank), NORMAL) for rank, piece in enumerate([*words, *letters])]
    return tokens


def text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def key(name: str, kind: int, value: Any) -> bytes:
    head = text(name) + struct.pack("<I", kind)
    if kind == STRING:
        return head + text(value)
    return head + struct.pack({UINT32: "<I", FLOAT32: "<f", BOOL: "<?"}[kind], value)


def array_key(name: str, kind: int, values: list[Any]) -> bytes:
    head = text(name) + struct.pack("<IIQ", ARRAY, kind, len(values))
    if kind == STRING:
        return head + b"".join(map(text, values))
    return head + array({FLOAT32: "f", INT32: "i"}[kind], values).tobytes()


def tiny_gguf(seed: int = 0) -> bytes:
    """Return a GGUF file of a llama with random weights."""
    tokens = vocabulary()
    keys = [
        key("general.architecture", STRING, "llama"),
        key("general.name", STRING, "tiny"),
        key("llama.context_length", UINT32, WINDOW),
        key("llama.embedding_length", UINT32, WIDTH),
        key("llama.block_count", UINT32, LAYERS),
        key("llama.feed_forward_length", UINT32, FEED_FORWARD),
        key("llama.attention.head_count", UINT32, 2),
        key("llama.attention.head_count_kv", UINT32, 2),
        key("llama.rope.dimension_count", UINT32, WIDTH // 2),
        key("llama.attention.layer_norm_rms_epsilon", FLOAT32, 1e-5),
        key("llama.vocab_size", UINT32, len(tokens)),
        key("tokenizer.ggml.model", STRING, "llama"),
        array_key("tokenizer.ggml.tokens", STRING, [token[0] for token in tokens]),
        array_key("tokenizer.ggml.scores", FLOAT32, [token[1] for token in tokens]),
        array_key("tokenizer.ggml.token_type", INT32, [token[2] for token in tokens]),
        key("tokenizer.ggml.bos_token_id", UINT32, 1),
        key("tokenizer.ggml.eos_token_id", UINT32, 2),
        key("tokenizer.ggml.unknown_token_id", UINT32, 0),
    ]
    matrices = {"token_embd": (WIDTH, len(tokens)), "output": (WIDTH, len(tokens))}
    norms = ["output_norm"]
    for layer in range(LAYERS):
        at = f"blk.{layer}."
        norms += [f"{at}attn_norm", f"{at}ffn_norm"]
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            matrices[at + name] = (WIDTH, WIDTH)
        for name in ("ffn_gate", "ffn_up"):
            matrices[at + name] = (WIDTH, FEED_FORWARD)
        matrices[f"{at}ffn_down"] = (FEED_FORWARD, WIDTH)
    dice = random.Random(seed)
    infos, data = b"", b""
    for name in [*matrices, *norms]:
        shape = matrices.get(name, (WIDTH,))
        count = shape[0] * (shape[1] if len(shape) > 1 else 1)
        values = [1.0] * count if name in norms else [dice.gauss(0, 0.5) for _ in range(count)]
        infos += text(f"{name}.weight") + struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
        infos += struct.pack("<IQ", 0, len(data))
        data += array("f", values).tobytes()
    head = b"GGUF" + struct.pack("<IQQ", 3, len(matrices) + len(norms), len(keys))
    head += b"".join(keys) + infos
    return head + b"\0" * (-len(head) % 32) + data


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tiny") / "tiny.gguf"
    path.write_bytes(tiny_gguf())
    return path


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not DEMO.exists():
        pytest.skip("the demo model is not there")
    return Path(shutil.copy(DEMO, tmp_path_factory.mktemp("demo") / "demo.gguf"))


@pytest.fixture
def tiny_engine(tiny: Path) -> Iterator[LlamaEngine]:
    engine = LlamaEngine(tiny, Options(n_threads=1, n_batch=16))
    yield engine
    engine.close()


@pytest.fixture
def demo_engine(demo: Path) -> Iterator[LlamaEngine]:
    engine = LlamaEngine(demo, Options(n_threads=1))
    yield engine
    engine.close()


class Chat:
    """A backend with one model, asked greedily."""

    def __init__(self, path: Path, **options: Any) -> None:
        self.path = path
        self.backend = InProcessBackend(
            "llama-cpp", load, BackendContext(options={"n_threads": 1, **options})
        )

    def request(
        self, content: Any = "", *, stop: tuple[str, ...] = (), **kwargs: Any
    ) -> ChatRequest:
        sampling = {
            name: kwargs.pop(name)
            for name in ("max_tokens", "temperature", "top_p", "seed")
            if name in kwargs
        }
        if "prompt" not in kwargs:
            kwargs["messages"] = as_messages(content)
        return ChatRequest(
            model=str(self.path),
            sampling=Sampling(**{"temperature": 0, "stop": stop, **sampling}),
            **kwargs,
        )

    def ask(self, content: Any = "", **kwargs: Any) -> list[Any]:
        return list(self.backend.stream(self.request(content, **kwargs), 60))

    def text(self, content: Any = "", **kwargs: Any) -> str:
        return "".join(delta.text for delta in self.ask(content, **kwargs))

    async def atext(self, content: Any = "", **kwargs: Any) -> str:
        stream = self.backend.astream(self.request(content, **kwargs), 60)
        return "".join([delta.text async for delta in stream])


@pytest.fixture
def chat_with() -> Iterator[Callable[..., Chat]]:
    chats: list[Chat] = []

    def make(path: Path, **options: Any) -> Chat:
        chats.append(Chat(path, **options))
        return chats[-1]

    yield make
    for chat in chats:
        chat.backend.close()
