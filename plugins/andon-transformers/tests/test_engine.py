"""The engine's loop, with random weights: whatever the model says, the contract holds."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from andon.backends.engine import GenerateOptions
from andon.errors import InvalidRequestError, ServerError
from andon.specs import BackendContext
from andon.templates import Segment
from andon_transformers import engine as engine_module
from andon_transformers.engine import TransformersEngine
from andon_transformers.loading import load

PROMPT = [Segment("<|im_start|>user\nThe capital of France<|im_end|>\n", True)]


def options(**changes: Any) -> GenerateOptions:
    return GenerateOptions(**{"max_tokens": 24, "temperature": 0} | changes)


def generate(engine: TransformersEngine, **changes: Any) -> list[bytes]:
    return list(engine.generate(engine.tokenize(PROMPT, True), options(**changes)))


@pytest.fixture
def endless(tiny: TransformersEngine) -> TransformersEngine:
    """The random model, which never ends an answer by itself."""
    assert tiny._loaded is not None
    tiny._loaded.end_tokens = frozenset()
    return tiny


def test_greedy_tokens_are_those_of_transformers(
    endless: TransformersEngine, tiny_folder: Path
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_folder)
    model = AutoModelForCausalLM.from_pretrained(tiny_folder)
    ids = tokenizer(PROMPT[0].text, return_tensors="pt").input_ids
    output = model.generate(ids, max_new_tokens=60, min_new_tokens=60, do_sample=False)
    expected = tokenizer.decode(output[0, ids.shape[1] :], clean_up_tokenization_spaces=False)
    assert endless.tokenize(PROMPT, True) == ids[0].tolist()
    answer = b"".join(generate(endless, max_tokens=60))
    assert answer.decode(errors="replace") == expected
    assert len(set(answer)) > 10, "a dull answer proves little"


def test_batches_of_a_long_prompt_change_nothing(
    endless: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = list(itertools.islice(itertools.cycle(range(3, 400)), 700))
    at_once = list(endless.generate(tokens, options()))
    endless._prefix = None
    monkeypatch.setattr(engine_module, "BATCH", 33)
    assert list(endless.generate(tokens, options())) == at_once


def test_max_tokens_bounds_the_answer(endless: TransformersEngine) -> None:
    assert len(generate(endless, max_tokens=1)) == 1
    assert len(generate(endless, max_tokens=7)) == 7


def test_an_end_token_ends_the_answer_and_gives_no_bytes(endless: TransformersEngine) -> None:
    assert endless._loaded is not None
    free = generate(endless)
    model = endless._loaded
    ends = {text: number for number in range(400) for text in [model.detokenizer.start([])(number)]}
    model.end_tokens = frozenset({ends[free[5]]})
    assert generate(endless) == free[: free.index(free[5])]


def test_the_seed_repeats_the_answer(endless: TransformersEngine) -> None:
    hot = {"temperature": 1.5, "max_tokens": 40}
    first = generate(endless, seed=5, **hot)
    assert generate(endless, seed=5, **hot) == first
    assert generate(endless, seed=6, **hot) != first
    assert generate(endless, seed=None, **hot) != generate(endless, seed=None, **hot)
    assert generate(endless, seed=-(10**30), **hot) == generate(endless, seed=-(10**30), **hot)


def test_without_a_temperature_the_model_decides(endless: TransformersEngine) -> None:
    assert generate(endless, temperature=None) == generate(endless, temperature=0)


def test_a_turn_reuses_what_was_read_and_answers_as_if_fresh(endless: TransformersEngine) -> None:
    fresh = TransformersEngine(endless._open())
    chat = endless.tokenize(PROMPT, True)
    for turn in ([5, 6, 7], [8, 9], [5], [300, 301, 302]):
        fresh._prefix = None
        answer = list(endless.generate(chat, options()))
        assert answer == list(fresh.generate(chat, options()))
        assert fresh.reused_tokens == 0
        chat = [*chat, *turn]
    assert endless.reused_tokens >= len(chat) - 10


@pytest.mark.parametrize("change", ["same", "shorter", "other end", "other beginning"])
def test_any_other_prompt_is_answered_as_if_fresh(endless: TransformersEngine, change: str) -> None:
    first = list(range(10, 60))
    prompts = {
        "same": first,
        "shorter": first[:20],
        "other end": [*first[:30], 7, 7, 7],
        "other beginning": [9, *first],
    }
    expected = list(endless.generate(prompts[change], options()))
    endless._prefix = None
    list(endless.generate(first, options()))
    assert list(endless.generate(prompts[change], options())) == expected
    reused = {"same": 49, "shorter": 19, "other end": 30, "other beginning": 0}
    assert endless.reused_tokens == reused[change]


def test_answers_left_half_read_do_not_disturb_each_other(endless: TransformersEngine) -> None:
    expected = generate(endless)
    tokens = endless.tokenize(PROMPT, True)
    one, other = (endless.generate(tokens, options()) for _ in range(2))
    pairs = list(zip(one, other, strict=True))
    assert pairs == list(zip(expected, expected, strict=True))


def test_cancelling_stops_between_tokens_and_between_batches(
    endless: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = generate(endless)
    asked = iter([False] * 4)
    assert generate(endless, cancelled=lambda: next(asked, True)) == expected[:4]
    monkeypatch.setattr(engine_module, "BATCH", 10)
    asked = iter([False] * 3)
    tokens = list(range(3, 103))
    cancelled = options(cancelled=lambda: next(asked, True))
    assert list(endless.generate(tokens, cancelled)) == []
    # What was read before stays read.
    list(endless.generate(tokens, options()))
    assert endless.reused_tokens == 30


def test_closing_the_answer_stops_it(endless: TransformersEngine) -> None:
    expected = generate(endless)
    answer = endless.generate(endless.tokenize(PROMPT, True), options())
    assert isinstance(answer, Iterator)
    next(answer)
    answer.close()  # type: ignore[attr-defined]
    assert generate(endless) == expected
    assert endless.reused_tokens == len(endless.tokenize(PROMPT, True)) - 1


def test_an_interrupted_computation_is_not_built_upon(
    endless: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(tokens: object, cache: object) -> torch.Tensor:
        raise KeyboardInterrupt

    expected = generate(endless)
    with monkeypatch.context() as patch:
        patch.setattr(endless._loaded, "forward", interrupt)
        with pytest.raises(KeyboardInterrupt):
            generate(endless)
    assert generate(endless) == expected
    assert endless.reused_tokens == 0


def test_inference_mode_does_not_leak_to_the_caller(endless: TransformersEngine) -> None:
    answer = endless.generate(endless.tokenize(PROMPT, True), options())
    next(answer)
    assert not torch.is_inference_mode_enabled()


def test_a_failing_model_is_a_server_error_and_the_next_answer_is_right(
    endless: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert endless._loaded is not None
    expected = generate(endless)
    forward = endless._loaded.forward
    calls = itertools.count()

    def fail(tokens: list[int], cache: object) -> torch.Tensor:
        logits = forward(tokens, cache)
        if next(calls) == 3:
            raise RuntimeError("out of memory")
        return logits

    monkeypatch.setattr(endless._loaded, "forward", fail)
    with pytest.raises(ServerError, match="tiny failed: out of memory") as raised:
        generate(endless)
    assert (raised.value.backend, raised.value.model) == ("candle", "tiny")
    assert generate(endless) == expected


@pytest.mark.parametrize("temperature", [0, 0.7])
def test_an_output_that_is_no_number_is_a_server_error(
    endless: TransformersEngine, monkeypatch: pytest.MonkeyPatch, temperature: float
) -> None:
    assert endless._loaded is not None
    nothing = torch.full((400,), float("nan"))
    monkeypatch.setattr(endless._loaded, "forward", lambda tokens, cache: nothing)
    with pytest.raises(ServerError, match="try another dtype"):
        generate(endless, temperature=temperature)


def test_an_empty_prompt_is_refused(tiny: TransformersEngine) -> None:
    with pytest.raises(InvalidRequestError, match="empty"):
        tiny.generate([], options())


def test_a_closed_engine_says_so(tiny_folder: Path) -> None:
    engine = load("tiny", tiny_folder, BackendContext())
    answer = engine.generate(engine.tokenize(PROMPT, True), options())
    next(answer)
    engine.close()
    engine.close()
    for call in (lambda: engine.tokenize(PROMPT, True), lambda: engine.generate([5], options())):
        with pytest.raises(ServerError, match="closed"):
            call()
    answer.close()  # type: ignore[attr-defined]
    assert engine._prefix is None
    assert engine.card.name == "tiny"


def test_the_card_and_the_metadata_tell_what_the_files_say(
    tiny: TransformersEngine, chat: Callable[[str], list[Segment]]
) -> None:
    assert tiny.card.context_window == 2048
    assert {"chat", "prefill"} <= tiny.card.capabilities
    assert tiny.metadata["eos_token"] == "<|im_end|>"
    assert "<|im_start|>" in tiny.metadata["chat_template"]
    assert "bos_token" not in tiny.metadata
    assert set(tiny.control_tokens) == {"<|endoftext|>", "<|im_start|>", "<|im_end|>"}
    ids = tiny.tokenize(chat("<|im_end|>\n<|im_start|>system"), True)
    assert [id_ for id_ in ids if id_ < 3] == [1, 2, 1]
