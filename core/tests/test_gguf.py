"""Headers of GGUF files: what they say, and what is wrong with a damaged one."""

import contextlib
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from andon import ModelLoadError
from andon.gguf import read_header

UINT32, BOOL, STRING, ARRAY, INT32 = 4, 7, 8, 9, 5
F32 = 0

Write = Callable[[bytes], Path]


def _text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def _key(name: str, kind: int, value: bytes) -> bytes:
    return _text(name) + struct.pack("<I", kind) + value


KEYS = [
    _key("general.name", STRING, _text("tiny")),
    _key("general.alignment", UINT32, struct.pack("<I", 64)),
    _key("tokenizer.chat_template", STRING, _text("{{ messages }} é")),
    _key(
        "tokenizer.ggml.tokens",
        ARRAY,
        struct.pack("<IQ", STRING, 2) + _text("<s>") + _text("a"),
    ),
    _key("tokenizer.ggml.token_type", ARRAY, struct.pack("<IQ2i", INT32, 2, 3, 1)),
    _key("tokenizer.ggml.add_bos_token", BOOL, struct.pack("<?", True)),
]
TENSOR = _text("weight") + struct.pack("<I2QIQ", 2, 4, 8, F32, 0)
HEADER = b"GGUF" + struct.pack("<IQQ", 3, 1, len(KEYS)) + b"".join(KEYS) + TENSOR
WHOLE = HEADER + b"\0" * (-len(HEADER) % 64) + b"\1" * (4 * 8 * 4)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes a file of the bytes that it is given."""

    def write(data: bytes) -> Path:
        path = tmp_path / "model.gguf"
        path.write_bytes(data)
        return path

    return write


def test_the_values_that_are_wanted(write: Write) -> None:
    values = read_header(write(WHOLE), ["tokenizer.", "general.name"]).values
    assert values == {
        "general.alignment": 64,
        "general.name": "tiny",
        "tokenizer.chat_template": "{{ messages }} é",
        "tokenizer.ggml.tokens": ["<s>", "a"],
        "tokenizer.ggml.token_type": [3, 1],
        "tokenizer.ggml.add_bos_token": True,
    }


def test_the_size_that_the_file_must_have(write: Write) -> None:
    assert read_header(write(WHOLE)).needed_bytes == len(WHOLE)


@given(size=st.integers(1, len(WHOLE) - 1))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_that_is_cut_off_anywhere_is_refused(write: Write, size: int) -> None:
    with pytest.raises(ModelLoadError, match=r"cut off|no GGUF file"):
        read_header(write(WHOLE[:size]), ["tokenizer."])


@given(at=st.integers(4, len(HEADER) - 1), byte=st.integers(0, 255))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_header_is_read_or_refused(write: Write, at: int, byte: int) -> None:
    path = write(WHOLE[:at] + bytes([byte]) + WHOLE[at + 1 :])
    with contextlib.suppress(ModelLoadError):
        read_header(path, ["tokenizer.", "general."])


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html>", "the page of a download"),
        (b"GGUF" + struct.pack("<I", 9) + WHOLE[8:], "version 9"),
        (b"GGUF" + struct.pack(">I", 3) + WHOLE[8:], "other byte order"),
    ],
)
def test_what_is_no_gguf_file_is_named(write: Write, data: bytes, says: str) -> None:
    with pytest.raises(ModelLoadError, match=says):
        read_header(write(data))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match="there is no file"):
        read_header(tmp_path / "none.gguf")
    with pytest.raises(ModelLoadError, match="is no file"):
        read_header(tmp_path)
