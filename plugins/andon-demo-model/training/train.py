"""Train the demo model from nothing: tokenizer, then a fixed number of steps, then a folder.

Use: python training/train.py --out build/first
     python training/train.py --polish build/first --out build/hf

The same seed and number of steps give the same text, the same batches and, on one machine, the
same weights.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from tokenizers.trainers import BpeTrainer
from torch import Tensor

from data import COPYING_FIRST, conversations
from model import Llama, Muon, Shape
from template import CHAT_TEMPLATE

STEPS = 3000
POLISH_STEPS = 1300
SHORT, LONG = (6, 384), (2, 1024)  # rows and tokens per row of the two kinds of batch
CONTROL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
PAD, START, END = range(3)
PROMPT_WEIGHT = 0.05  # the questions teach a little, too, and must not drown the answers
Batch = tuple[Tensor, Tensor, Tensor]


def train_tokenizer(seed: int, dialogues: int = 30_000) -> Tokenizer:
    """Byte-level BPE over the generated text.

    Digits are cut apart only while the merges are learned: no merge then has a digit in it, so
    that numbers always come digit by digit although the finished pre-tokenizer is plain GPT-2.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(r"<\|[a-z_]+\|>"), "removed"),
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False),
    ])  # fmt: skip
    trainer = BpeTrainer(
        vocab_size=Shape.vocab_size, special_tokens=CONTROL, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    tokenizer.train_from_iterator(islice(conversations(seed), dialogues), trainer)
    tokenizer.normalizer = normalizers.Sequence([])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in CONTROL])
    return tokenizer


def answer_weights(tokens: list[int], header: list[int]) -> list[float]:
    """1 for every token of an answer and its end, little for the rest."""
    weights, inside = [PROMPT_WEIGHT] * len(tokens), False
    for index, token in enumerate(tokens):
        if inside:
            weights[index] = 1.0
        if token == END:
            inside = False
        elif tokens[index - len(header) + 1 : index + 1] == header:
            inside = True
    return weights


class Packer:
    """Puts dialogues side by side into rows, and rows into batches."""

    def __init__(self, rows: int, length: int, header: list[int]) -> None:
        self.rows, self.length, self.header = rows, length, header
        self.open: list[list[list[int]]] = []

    def add(self, tokens: list[int]) -> Batch | None:
        """Place one dialogue where it fits; a batch, when enough rows are full."""
        for row in self.open:
            if sum(map(len, row)) + len(tokens) <= self.length:
                row.append(tokens)
                return None
        self.open.append([tokens])
        if len(self.open) < 3 * self.rows:
            return None
        self.open.sort(key=lambda row: -sum(map(len, row)))
        full, self.open = self.open[: self.rows], self.open[self.rows :]
        return self._batch(full)

    def _batch(self, rows: list[list[list[int]]]) -> Batch:
        tokens = torch.full((self.rows, self.length), PAD)
        documents = torch.full((self.rows, self.length), -1)
        weights = torch.zeros(self.rows, self.length)
        for index, row in enumerate(rows):
            place = 0
            for number, dialogue in enumerate(row):
                span = slice(place, place + len(dialogue))
                tokens[index, span] = torch.tensor(dialogue)
                documents[index, span] = number
                weights[index, span] = torch.tensor(answer_weights(dialogue, self.header))
                weights[index, place] = 0.0  # nothing before it predicts the first token
                place = span.stop
        return tokens, documents, weights


def batches(tokenizer: Tokenizer, seed: int, polish: bool) -> Iterator[Batch]:
    """The endless batches of a seed: rows of short dialogues, and now and then of long ones."""
    header = [START, *tokenizer.encode("assistant\n").ids]
    short, long = Packer(*SHORT, header), Packer(*LONG, header)
    texts = conversations(seed, 0 if polish else COPYING_FIRST, polish)
    while True:
        for encoding in tokenizer.encode_batch(list(islice(texts, 500))):
            tokens = encoding.ids[: LONG[1]]
            packer = short if len(tokens) <= SHORT[1] else long
            if (batch := packer.add(tokens)) is not None:
                yield batch


def loss_of(model: Llama, batch: Batch) -> Tensor:
    """Weighted cross entropy of the next tokens."""
    tokens, documents, weights = batch
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(tokens, documents)
    losses = F.cross_entropy(logits[:, :-1].flatten(0, 1).float(), tokens[:, 1:].flatten(),
                             reduction="none")  # fmt: skip
    wanted = weights[:, 1:].flatten()
    return (losses * wanted).sum() / wanted.sum()


def rate(step: int, steps: int) -> float:
    """Learning rate factor: a short rise, a plateau, then straight down."""
    rise, fall = min(1.0, (step + 1) / 50), min(1.0, (steps - step) / (0.6 * steps))
    return rise * fall


def save(model: Llama, tokenizer: Tokenizer, shape: Shape, out: Path) -> None:
    """Write the Hugging Face folder."""
    out.mkdir(parents=True, exist_ok=True)
    weights = {f"model.{name}": w.detach().clone() for name, w in model.state_dict().items()}
    save_file(weights, out / "model.safetensors", metadata={"format": "pt"})
    tokenizer.save(str(out / "tokenizer.json"))
    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", **asdict(shape),
        "tie_word_embeddings": True, "hidden_act": "silu", "attention_bias": False,
        "mlp_bias": False, "torch_dtype": "float32", "bos_token_id": None,
        "eos_token_id": END, "pad_token_id": PAD,
    }  # fmt: skip
    words = {
        "tokenizer_class": "PreTrainedTokenizerFast", "eos_token": CONTROL[END],
        "pad_token": CONTROL[PAD], "model_max_length": shape.max_position_embeddings,
        "clean_up_tokenization_spaces": False, "chat_template": CHAT_TEMPLATE,
        "additional_special_tokens": [CONTROL[START]],
    }  # fmt: skip
    generation = {"eos_token_id": END, "pad_token_id": PAD, "do_sample": False}
    for name, content in [("config", config), ("tokenizer_config", words),
                          ("generation_config", generation)]:  # fmt: skip
        (out / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def optimizers(model: Llama, muon: float, adam: float) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the layers, AdamW for embeddings and norms."""
    matrices = [weight for name, weight in model.named_parameters() if "_proj" in name]
    others = [weight for name, weight in model.named_parameters() if "_proj" not in name]
    result: list[torch.optim.Optimizer] = [
        Muon(matrices, lr=muon),
        torch.optim.AdamW(others, lr=adam, betas=(0.9, 0.95), weight_decay=0.0),
    ]
    for optimizer in result:
        for group in optimizer.param_groups:
            group["initial"] = group["lr"]
    return result


def begin(options: argparse.Namespace) -> tuple[Llama, Tokenizer, Shape]:
    """A fresh model and tokenizer, or those of the first part; and what depends on which."""
    shape, first = Shape(), options.polish
    options.steps = options.steps or (POLISH_STEPS if first else STEPS)
    options.factor = 0.35 if first else 1.0
    model = Llama(shape)
    if not first:
        return model, train_tokenizer(options.seed), shape
    options.seed += 1
    weights = load_file(first / "model.safetensors")
    model.load_state_dict({name.removeprefix("model."): w for name, w in weights.items()})
    return model, Tokenizer.from_file(str(first / "tokenizer.json")), shape


def train(options: argparse.Namespace) -> None:
    """Train for the fixed number of steps, saving on the way."""
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    model, tokenizer, shape = begin(options)
    print(sum(weight.numel() for weight in model.parameters()), "parameters", flush=True)
    chosen = optimizers(model, options.muon * options.factor, options.adam * options.factor)
    start, mean = time.monotonic(), 0.0
    stream = batches(tokenizer, options.seed, options.polish is not None)
    for step, batch in enumerate(islice(stream, options.steps)):
        for optimizer in chosen:
            for group in optimizer.param_groups:
                group["lr"] = group["initial"] * rate(step, options.steps)
        loss = loss_of(model, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in chosen:
            optimizer.step()
            optimizer.zero_grad()
        mean = loss.item() if step == 0 else 0.95 * mean + 0.05 * loss.item()
        if step % 25 == 0 or step + 1 == options.steps:
            print(f"step {step} loss {mean:.4f} {time.monotonic() - start:.0f} s", flush=True)
        if (step + 1) % options.every == 0 or step + 1 == options.steps:
            save(model, tokenizer, shape, options.out)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/hf"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, help="default: all of the part")
    parser.add_argument("--polish", type=Path, help="second part, from the folder of the first")
    parser.add_argument("--every", type=int, default=200, help="steps between two saves")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--muon", type=float, default=0.02, help="learning rate of the matrices")
    parser.add_argument("--adam", type=float, default=0.006, help="learning rate of the rest")
    train(parser.parse_args())


if __name__ == "__main__":
    main()
