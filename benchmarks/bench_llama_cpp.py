"""How much of llama.cpp's speed reaches the reader of a stream, for short and long answers.

Compares, with the same model, threads and number of tokens:

- ``bare``: a minimal loop over the C functions: decode, greedy sampler, text of the token;
- ``andon``: ``InProcessBackend.stream``, from the chat to the last delta;
- ``client``: the same through ``Client.stream``, with all that a request goes through;
- ``andon async``: as ``andon``, but through ``astream``, with its worker thread;
- ``binding``: ``Llama.create_completion`` of llama-cpp-python, as a stream.

The rounds are interleaved, so that a busy machine disturbs all of them alike: rates are medians of
the rounds, and ratios medians of the ratios within each round. Tokens that end a generation are
passed over, so that every answer is full length.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import andon
from andon.backends.in_process import InProcessBackend
from andon.chat import ChatRequest, Sampling
from andon.specs import BackendContext, BackendSpec, Locality
from andon_llama_cpp.engine import LlamaEngine
from andon_llama_cpp.library import Context, Model
from andon_llama_cpp.options import Options

LENGTHS = (100, 300, 900)
PROMPT = "Count to 50."
#: A run takes the number of tokens and gives the seconds from the first token to the last.
Run = Callable[[int], float]

#: What seconds are: those of the wall, or those of the processor.
clock = time.process_time if "--cpu-time" in sys.argv else time.perf_counter


def bare(path: Path, options: Options, tokens: list[int]) -> Run:
    """Return the floor: nothing but calls of C functions."""
    model = Model(path, options)
    context = Context(model, options)
    c, pointer, vocab = model.functions, context.pointer, model.vocab
    sampler = c.llama_sampler_chain_init(c.llama_sampler_chain_default_params())
    c.llama_sampler_chain_add(sampler, c.llama_sampler_init_greedy())
    buffer = ctypes.create_string_buffer(256)
    one = (c.llama_token * 1)()
    batch = c.llama_batch_get_one(one, 1)

    def run(length: int) -> float:
        context.forget()
        context.read(tokens)
        start = 0.0
        for number in range(length):
            token = c.llama_sampler_sample(sampler, pointer, -1)
            c.llama_token_to_piece(vocab, token, buffer, 256, 0, False)
            if number == 0:
                start = clock()
            if number < length - 1:
                one[0] = token
                c.llama_decode(pointer, batch)
        return clock() - start

    return run


def andon_backend(path: Path, options: Options) -> InProcessBackend:
    """Return the backend, with a model that passes over the end of its answers."""
    return InProcessBackend(
        "llama-cpp",
        lambda name, file, context: LlamaEngine(file, options, name=name, ignore_eog=True),
        BackendContext(),
    )


def andon_sync(backend: InProcessBackend, path: Path) -> Run:
    """Return the measurement of ``stream``."""

    def run(length: int) -> float:
        start, usage = 0.0, None
        for delta in backend.stream(request(path, length), None):
            start = start or clock()
            usage = delta.usage or usage
        assert usage is not None
        assert usage.output_tokens == length
        return clock() - start

    return run


def andon_client(backend: InProcessBackend, path: Path) -> Run:
    """Return the measurement of ``Client.stream``."""

    class Plugin:
        @andon.hookimpl
        def andon_register_backends(self) -> list[BackendSpec]:
            return [
                BackendSpec(
                    name="bench",
                    create=lambda context: backend,
                    locality=Locality.IN_PROCESS,
                )
            ]

    client = andon.Client(discover=False, plugins=[Plugin()])

    def run(length: int) -> float:
        start = 0.0
        stream = client.stream(f"bench:{path}", PROMPT, temperature=0, max_tokens=length)
        for _ in stream:
            start = start or clock()
        return clock() - start

    return run


def andon_async(backend: InProcessBackend, path: Path) -> Run:
    """Return the measurement of ``astream``."""

    async def read(length: int) -> float:
        start = 0.0
        async for _ in backend.astream(request(path, length), None):
            start = start or clock()
        return clock() - start

    return lambda length: asyncio.run(read(length))


def binding(path: Path, options: Options, tokens: list[int], window: int) -> Run:
    """Return the measurement of the binding's own stream."""
    from llama_cpp import Llama

    threads = options.n_threads
    llama = Llama(
        str(path), n_ctx=window, n_threads=threads, n_threads_batch=threads, verbose=False
    )
    ends = {token: -100.0 for token in range(llama.n_vocab()) if _ends(llama, token)}

    def run(length: int) -> float:
        start = 0.0
        for _ in llama.create_completion(
            tokens, max_tokens=length, temperature=0, stream=True, logit_bias=ends
        ):
            start = start or clock()
        return clock() - start

    return run


def _ends(llama: Any, token: int) -> bool:
    from llama_cpp import llama_cpp as c

    vocab = c.llama_model_get_vocab(llama.model)
    return bool(c.llama_vocab_is_eog(vocab, token))


def request(path: Path, length: int) -> ChatRequest:
    """Return the chat that is answered."""
    from andon.messages import as_messages

    return ChatRequest(
        model=str(path),
        messages=as_messages(PROMPT),
        sampling=Sampling(temperature=0, max_tokens=length),
    )


def measure(runs: dict[str, Run], rounds: int) -> list[dict[str, Any]]:
    """Return a row for each run and length: its tokens per second, and their ratio to the floor."""
    rows = []
    for length in LENGTHS:
        rates: dict[str, list[float]] = {name: [] for name in runs}
        for number in range(rounds):
            # Whoever comes after a pause of the machine is not always the same.
            for name in sorted(runs, key=lambda name: hash((name, number))):
                rates[name].append((length - 1) / runs[name](length))
        rows += [
            {
                "loop": name,
                "tokens": length,
                "tokens_per_s": median(found),
                "of_bare": median(a / b for a, b in zip(found, rates["bare"], strict=True)),
            }
            for name, found in rates.items()
        ]
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """Return the rates, and their ratios to the bare loop, for people."""
    heads = "".join(f"{f'{length} tokens':>20}" for length in LENGTHS)
    lines = [f"{'tokens/s (of bare)':<20}{heads}"]
    for name in dict.fromkeys(row["loop"] for row in rows):
        cells = "".join(
            f"{row['tokens_per_s']:>12,.0f} ({row['of_bare']:.3f})"
            for row in rows
            if row["loop"] == name
        )
        lines.append(f"{name:<20}{cells}")
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--model", type=Path, help="a GGUF file; the demo model without it")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--cpu-time",
        action="store_true",
        help="count the processor's time and not the wall's, for busy machines and one thread",
    )
    parser.add_argument("--json", action="store_true", help="print numbers for programs")
    args = parser.parse_args()
    path = args.model or _demo()
    options = Options(n_threads=args.threads)
    backend = andon_backend(path, options)
    with_tokens = LlamaEngine(path, options)
    window = with_tokens.card.context_window or options.n_ctx
    with_tokens.close()
    tokens = backend._model(str(path)).prompt(request(path, 1)).tokens  # noqa: SLF001
    rows = measure(
        {
            "bare": bare(path, options, tokens),
            "andon": andon_sync(backend, path),
            "client": andon_client(backend, path),
            "andon async": andon_async(backend, path),
            "binding": binding(path, options, tokens, window),
        },
        args.rounds,
    )
    print(json.dumps(rows, indent=2) if args.json else table(rows))


def _demo() -> Path:
    from andon_demo_model import model_path

    return model_path().resolve()


if __name__ == "__main__":
    main()
