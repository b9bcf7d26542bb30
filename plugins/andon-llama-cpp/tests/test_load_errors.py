from __future__ import annotations

import os
import random
import struct

import pytest

from andon.errors import ModelLoadError
from andon.gguf import read_header
from andon_llama_cpp.engine import LlamaEngine
from andon_llama_cpp.library import bindings
from andon_llama_cpp.options import Options
from andon_llama_cpp.vocabulary import VocabTokenizer


@pytest.fixture
def damaged(tiny, tmp_path):
    def make(data: bytes):
        path = tmp_path / "damaged.gguf"
        path.write_bytes(data)
        return path

    return make


def fails(path, match):
    for load in (LlamaEngine, VocabTokenizer):
        with pytest.raises(ModelLoadError, match=match) as caught:
            load(path)
        assert str(path) in str(caught.value)


def test_a_missing_file(tmp_path):
    fails(tmp_path / "none.gguf", "there is no file")


def test_a_folder(tmp_path):
    fails(tmp_path, "is no file")


def test_an_empty_file(damaged):
    fails(damaged(b""), "is empty")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(damaged):
    path = damaged(b"GGUF")
    path.chmod(0)
    fails(path, "cannot be read")


def test_a_file_of_another_kind(damaged):
    fails(damaged(b"PK\x03\x04" + b"\0" * 100), r"no GGUF file: it begins with b'PK")
    fails(damaged(b"<!DOCTYPE html><html>"), "the page of a download")


def test_versions_that_llama_cpp_does_not_read(damaged, tiny):
    rest = tiny.read_bytes()[8:]
    fails(damaged(b"GGUF" + struct.pack("<I", 1) + rest), "GGUF version 1")
    fails(damaged(b"GGUF" + struct.pack(">I", 3) + rest), "other byte order")


def test_a_file_that_is_cut_off(damaged, tiny):
    data = tiny.read_bytes()
    fails(damaged(data[:-1]), rf"cut off: it has {len(data) - 1:,} bytes.*{len(data):,}")
    fails(damaged(data[: len(data) // 2]), "cut off: it has")
    for size in (4, 7, 23, 24, 100, 1000, 5000):
        fails(damaged(data[:size]), "within its header")


def test_the_size_of_a_whole_file_is_computed_exactly(damaged, tiny, demo):
    read_header(tiny)
    read_header(demo)
    data = demo.read_bytes()
    with pytest.raises(ModelLoadError, match="cut off"):
        read_header(damaged(data[:-32]))


def test_an_architecture_that_llama_cpp_does_not_know(damaged, tiny):
    data = tiny.read_bytes().replace(b"llama", b"lambo")
    fails(damaged(data), "llama.cpp cannot load .*unknown model architecture: 'lambo'")


def test_a_header_with_nonsense_in_it(damaged, tiny):
    data = bytearray(tiny.read_bytes())
    at = data.index(b"general.architecture") + len(b"general.architecture")
    data[at : at + 4] = struct.pack("<I", 99)
    fails(damaged(bytes(data)), "unknown type 99")


def test_a_header_with_a_length_beyond_all_bounds(damaged, tiny):
    data = bytearray(tiny.read_bytes())
    for at in (data.index(b"<unk>") - 8, data.index(b"<unk>") - 16, 8, 16, 24):
        broken = bytearray(data)
        broken[at : at + 8] = struct.pack("<Q", 2**64 - 1)
        fails(damaged(bytes(broken)), "cut off|damaged")


def test_headers_with_random_damage_never_crash(damaged, tiny):
    data, dice = tiny.read_bytes(), random.Random(1)
    for _ in range(200):
        broken = bytearray(data)
        for _ in range(dice.randrange(1, 4)):
            broken[dice.randrange(24, 9000)] = dice.randrange(256)
        try:
            read_header(damaged(bytes(broken)))
        except ModelLoadError:
            continue


def test_too_large_a_context_is_refused_with_advice(tiny, monkeypatch):
    monkeypatch.setattr(bindings(), "llama_init_from_model", lambda model, params: None)
    with pytest.raises(ModelLoadError, match=r"context of 256 tokens: .*smaller n_ctx"):
        LlamaEngine(tiny, Options(n_ctx=1000))
