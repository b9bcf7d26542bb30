"""Score a GGUF file on the held-out prompts: exact match, greedy, per category.

Use: python training/evaluate.py src/andon_demo_model/demo.gguf --hf build/hf --misses

With --hf the same prompts also go through transformers, and the table says how many of the
answers and of the tokenisations are equal.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from llama_cpp import Llama

from template import render

Row = dict[str, Any]
Generate = Callable[[str], tuple[list[int], str]]
LIMIT = 260  # new tokens; the longest right answer has about 200


def with_llama_cpp(path: Path, threads: int) -> Generate:
    """Greedy generation through llama.cpp from the raw prompt."""
    llama = Llama(str(path), n_ctx=1024, n_threads=threads, verbose=False)

    def generate(prompt: str) -> tuple[list[int], str]:
        tokens = llama.tokenize(prompt.encode(), add_bos=False, special=True)
        new: list[int] = []
        for token in llama.generate(tokens, temp=0.0, top_k=1, repeat_penalty=1.0):
            if token == llama.token_eos() or len(new) == LIMIT:
                break
            new.append(token)
        return tokens, llama.detokenize(new).decode(errors="replace")

    return generate


def with_transformers(folder: Path, gguf_file: str | None = None) -> Generate:
    """Greedy generation through transformers, from a folder or a GGUF file in it."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    extra = {"gguf_file": gguf_file} if gguf_file else {}
    tokenizer = AutoTokenizer.from_pretrained(folder, **extra)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **extra)
    model.generation_config.do_sample = False
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")

    def generate(prompt: str) -> tuple[list[int], str]:
        tokens = tokenizer(prompt, add_special_tokens=False)["input_ids"]
        inputs = torch.tensor([tokens])
        output = model.generate(inputs, attention_mask=torch.ones_like(inputs), eos_token_id=end,
                                max_new_tokens=LIMIT, pad_token_id=end)[0, len(tokens):]  # fmt: skip
        return tokens, tokenizer.decode(output, skip_special_tokens=True)

    return generate


def print_table(scores: dict[str, list[bool]]) -> None:
    """A Markdown table of exact matches."""
    print("| category | exact | of |\n|---|---|---|")
    for category, hits in scores.items():
        print(f"| {category} | {sum(hits)} | {len(hits)} |")
    everything = [hit for hits in scores.values() for hit in hits]
    print(f"| **all** | **{sum(everything)}** | **{len(everything)}** |", end=" ")
    print(f"{100 * sum(everything) / len(everything):.1f} %")


def prompt_of(row: Row) -> str:
    """The text of a held-out row, up to where the model answers."""
    return render(row["messages"], row.get("tools"), add_generation_prompt=True)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("gguf", type=Path)
    parser.add_argument("--held-out", type=Path, default=Path("tests/data/held_out.jsonl"))
    parser.add_argument("--hf", type=Path, help="folder to compare with")
    parser.add_argument("--hf-gguf", action="store_true", help="let transformers read the GGUF")
    parser.add_argument("--misses", action="store_true", help="print every miss")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    rows = [json.loads(line) for line in options.held_out.read_text("utf-8").splitlines()]
    ours, others = with_llama_cpp(options.gguf, options.threads), None
    if options.hf_gguf:
        others = with_transformers(options.gguf.parent, options.gguf.name)
    elif options.hf:
        others = with_transformers(options.hf)
    scores: dict[str, list[bool]] = defaultdict(list)
    same_tokens = same_text = 0
    for row in rows:
        tokens, text = ours(prompt_of(row))
        scores[row["category"]].append(text == row["expected"])
        if options.misses and text != row["expected"]:
            asked = row["messages"][-1]["content"]
            print(f"{row['category']}: {asked!r}\n  {row['expected']!r}\n  {text!r}")
        if others:
            other_tokens, other_text = others(prompt_of(row))
            same_tokens += tokens == other_tokens
            same_text += text == other_text
            if options.misses and text != other_text:
                print(f"  differs from transformers: {text!r} {other_text!r}")
    print_table(scores)
    if others:
        print(f"tokens equal {same_tokens}/{len(rows)}, answers equal {same_text}/{len(rows)}")


if __name__ == "__main__":
    main()
