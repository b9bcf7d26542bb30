"""Models of other kinds than Llama: their caches are cut back only where that is exact."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    MambaConfig,
    MambaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    RwkvConfig,
    RwkvForCausalLM,
)

from andon.backends.engine import GenerateOptions
from andon_transformers.engine import TransformersEngine
from andon_transformers.model import LoadedModel

SMALL = {"vocab_size": 400, "hidden_size": 32, "num_hidden_layers": 2, "initializer_range": 0.3}


def gpt2() -> Any:
    return GPT2LMHeadModel(
        GPT2Config(vocab_size=400, n_embd=32, n_layer=2, n_head=2, initializer_range=0.3)
    )


def mistral() -> Any:
    sizes = {"num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 64}
    return MistralForCausalLM(MistralConfig(**SMALL, **sizes, sliding_window=32))


def mamba() -> Any:
    return MambaForCausalLM(MambaConfig(**SMALL, state_size=8))


def engine_of(model: Any, tokenizer: Any) -> TransformersEngine:
    loaded = LoadedModel("small", model, tokenizer)
    loaded.end_tokens = frozenset()
    return TransformersEngine(loaded)


@pytest.mark.parametrize("make", [gpt2, mistral, mamba])
@pytest.mark.parametrize("length", [10, 31, 32, 33, 80])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_every_kind_of_cache_answers_as_if_fresh(make: Any, length: int, tokenizer: Any) -> None:
    torch.manual_seed(3)
    engine = engine_of(make(), tokenizer)
    first = [3 + 7 * number % 390 for number in range(length)]
    prompts = [first, first, first[:-5], [*first, 5, 6, 7], [*first[:4], 9, 9]]
    # After one token nothing but the prompt has been read, so the next prompt continues it.
    for prompt, count in [(first, 1), ([*first, 5, 6, 7], 24), *((p, 24) for p in prompts)]:
        greedy = GenerateOptions(max_tokens=count, temperature=0)
        answer = list(engine.generate(prompt, greedy))
        kept, engine._prefix = engine._prefix, None
        assert list(engine.generate(prompt, greedy)) == answer
        engine._prefix = kept


def test_a_sliding_window_is_kept_until_it_has_moved(tokenizer: Any) -> None:
    engine = engine_of(mistral(), tokenizer)
    short, long = list(range(3, 13)), list(range(3, 63))
    one = GenerateOptions(max_tokens=1, temperature=0)
    for prompt, other, reused in [(short, 9, 10), (long, 9, 60)]:
        list(engine.generate(prompt, one))
        list(engine.generate([*prompt, other], one))
        assert engine.reused_tokens == reused
        # Going back needs keys that a window which has moved no longer holds.
        list(engine.generate([*prompt[:-1], other, other], one))
        assert engine.reused_tokens == (len(prompt) - 1 if prompt is short else 0)


def test_a_model_without_a_usable_state_is_refused(tokenizer: Any) -> None:
    model = RwkvForCausalLM(RwkvConfig(vocab_size=400, hidden_size=32, num_hidden_layers=2))
    with pytest.raises(ValueError, match="RwkvForCausalLM cannot continue"):
        LoadedModel("small", model, tokenizer)
