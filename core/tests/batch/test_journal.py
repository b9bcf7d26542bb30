"""The file of answers: one process has it, and a half-written line costs nothing but itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from andon import InvalidRequestError
from andon.batch import AnswerFile, BatchAnswer


def test_one_process_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    with (
        AnswerFile(path, {"a"}),
        pytest.raises(InvalidRequestError, match="another process"),
    ):
        AnswerFile(path, {"a"})
    AnswerFile(path, {"a"}).close()


def _answers(count: int) -> list[BatchAnswer]:
    return [
        BatchAnswer(
            f"r{number}",
            json.dumps(
                {
                    "custom_id": f"r{number}",
                    "response": {"text": "é\u2028" * number},
                    "error": None,
                },
                ensure_ascii=number % 2 == 0,
            ),
        )
        for number in range(count)
    ]


@settings(max_examples=100)
@given(cut=st.integers(0, 400), junk=st.sampled_from([b"", b"\x00\x00", b"{"]))
def test_a_last_line_that_was_half_written(
    tmp_path_factory: pytest.TempPathFactory, cut: int, junk: bytes
) -> None:
    """Wherever writing ended, what was written whole is kept, and the rest can be written."""
    path = tmp_path_factory.mktemp("batch") / "answers.jsonl"
    answers = _answers(6)
    names = {answer.custom_id for answer in answers}
    with AnswerFile(path, names) as file:
        file.append(answers)
    whole = path.read_bytes()
    torn = whole[:cut]
    path.write_bytes(torn + junk)
    with AnswerFile(path, names) as file:
        kept = set(file.done)
        assert len(kept) >= torn.count(b"\n")
        file.append([answer for answer in answers if answer.custom_id not in kept])
    lines = path.read_bytes().splitlines(keepends=True)
    assert sorted(lines) == sorted(whole.splitlines(keepends=True))
