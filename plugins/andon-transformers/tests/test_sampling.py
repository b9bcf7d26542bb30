"""The choice of a token."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from andon_transformers.sampling import Sampler

LOGITS = torch.log(torch.tensor([0.1, 0.4, 0.2, 0.3]))


def sampler(**changes: Any) -> Sampler:
    return Sampler(**{"temperature": 1.0, "top_p": 1.0, "top_k": None, "seed": 1} | changes)


def drawn(**changes: Any) -> Counter[int]:
    chooser = sampler(**changes)
    return Counter(chooser.choose(LOGITS) for _ in range(2000))


@given(st.lists(st.floats(-50, 50, width=32), min_size=1, max_size=20))
def test_greedy_takes_the_likeliest(values: list[float]) -> None:
    logits = torch.tensor(values)
    assert values[sampler(temperature=0).choose(logits)] == max(values)


def test_tokens_are_drawn_by_their_probabilities() -> None:
    shares = {token: count / 2000 for token, count in drawn().items()}
    assert shares == pytest.approx({0: 0.1, 1: 0.4, 2: 0.2, 3: 0.3}, abs=0.04)


@pytest.mark.parametrize(
    ("top_p", "tokens"),
    [(0.0, {1}), (0.39, {1}), (0.5, {1, 3}), (0.8, {1, 2, 3}), (1.0, {0, 1, 2, 3})],
)
def test_top_p_takes_the_smallest_set_that_is_likely_enough(top_p: float, tokens: set[int]) -> None:
    assert set(drawn(top_p=top_p)) == tokens


def test_top_k_takes_the_likeliest() -> None:
    assert set(drawn(top_k=2)) == {1, 3}
    assert set(drawn(top_k=1000)) == {0, 1, 2, 3}


def test_a_tiny_temperature_is_greedy_and_a_huge_one_is_even() -> None:
    assert set(drawn(temperature=1e-30)) == {1}
    assert drawn(temperature=1e30)[0] == pytest.approx(500, abs=80)


def test_a_forbidden_token_is_never_drawn() -> None:
    logits = LOGITS.clone()
    logits[[1, 3]] = float("-inf")
    chooser = sampler(temperature=100.0)
    assert {chooser.choose(logits) for _ in range(200)} == {0, 2}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_short_numbers_are_drawn_from_as_well(dtype: torch.dtype) -> None:
    assert sampler().choose(LOGITS.to(dtype)) in range(4)


def test_a_model_that_allows_nothing_is_an_error() -> None:
    with pytest.raises(ArithmeticError, match="not a number"):
        sampler().choose(torch.full((4,), float("-inf")))
