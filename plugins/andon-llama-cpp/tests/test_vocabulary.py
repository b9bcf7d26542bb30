from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from andon.templates import Segment
from andon_llama_cpp.vocabulary import VocabTokenizer

words = st.text('the anéä日<|_call>{}":\n ', max_size=20) | st.sampled_from(
    ["<|im_start|>", "<|im_end|>", "<tool_call>", "</s>", "the <s> end", "🙂"]
)
segments = st.lists(st.builds(Segment, words, st.booleans()), max_size=5)


@pytest.fixture(scope="module")
def tokenizer(tiny):
    tokenizer = VocabTokenizer(tiny)
    yield tokenizer
    tokenizer.close()


@given(words)
def test_what_is_encoded_is_decoded(tokenizer, text):
    decoded = tokenizer.decode(tokenizer.encode(text))
    # SentencePiece puts a space in front of a text.
    assert decoded in {text, f" {text}"}


@settings(max_examples=50)
@given(segments, st.booleans())
def test_counts_without_weights_are_those_of_the_loaded_model(tiny_segments, given_segments, bos):
    tokenizer, engine = tiny_segments
    assert tokenizer.count(given_segments, add_bos=bos) == len(engine.tokenize(given_segments, bos))


@pytest.fixture(scope="module")
def tiny_segments(tiny):
    from andon_llama_cpp.engine import LlamaEngine

    tokenizer, engine = VocabTokenizer(tiny), LlamaEngine(tiny)
    yield tokenizer, engine
    tokenizer.close()
    engine.close()


@given(segments)
def test_content_never_becomes_a_control_token(tiny_segments, given_segments):
    _, engine = tiny_segments
    vocabulary = engine._vocabulary
    control = {vocabulary._encode(text, True)[-1] for text in engine.control_tokens}
    plain = [Segment(segment.text, control=False) for segment in given_segments]
    assert not control & set(engine.tokenize(plain, False))


def test_control_text_becomes_control_tokens(tiny_engine):
    assert set(tiny_engine.control_tokens) == {
        "<s>",
        "</s>",
        "<|im_start|>",
        "<|im_end|>",
        "<tool_call>",
    }
    tokens = tiny_engine.tokenize((Segment("<|im_start|><tool_call><|im_end|>", True),), False)
    assert len(tokens) == 3


def test_bos_is_added_once_and_only_when_asked(tiny_engine):
    text = (Segment("the", control=True),)
    assert tiny_engine.tokenize(text, True) == [1, *tiny_engine.tokenize(text, False)]
    assert tiny_engine.metadata["bos_token"] == "<s>"
    assert tiny_engine.metadata["eos_token"] == "</s>"


def test_a_model_without_bos_gets_none(demo_engine):
    text = (Segment("hi", control=True),)
    assert demo_engine.tokenize(text, True) == demo_engine.tokenize(text, False)
    assert "bos_token" not in demo_engine.metadata


@pytest.mark.parametrize("pieces", [["the he", "art"], ["a", "<|im_end|>", "b"], ["a ", " b"]])
def test_a_text_in_pieces_gets_no_spaces_at_the_seams(tiny_engine, pieces):
    tokens = tiny_engine.tokenize([Segment(piece, control=False) for piece in pieces], False)
    text = tiny_engine._vocabulary.pieces(tokens).decode()
    assert text.removeprefix(" ") == "".join(pieces)


def test_a_token_longer_than_the_buffer(tiny_engine):
    import ctypes

    vocabulary = tiny_engine._vocabulary
    (token,) = vocabulary._encode("<tool_call>", True)[-1:]
    vocabulary._buffer = ctypes.create_string_buffer(3)
    assert vocabulary.piece(token) == b"<tool_call>"
