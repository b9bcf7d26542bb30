"""The conformance class for tokenizers."""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import ClassVar

import pytest

from andon.specs import TokenizerSpec
from andon.testing.conformance.contract import (
    DECODE,
    ENCODE,
    TOKEN_BOUND,
    TOKENIZER_EXACT,
    TOKENIZER_MODELS,
    TOKENIZER_SHARING,
    TOKENIZER_TOOLS,
    check,
    check_equal,
    fail,
)
from andon.testing.conformance.records import RecordConformance
from andon.testing.conformance.samples import CLOCK, WEATHER
from andon.tokens import Tokenizer, upper_bound

#: Texts at which tokenizers stumble.
TEXTS = (
    "",
    " ",
    "Hello, wörld!",
    "two  spaces,\ttabs\r\nand\n\n\nlines ",
    "日本語とEnglish 混在",
    "🦙👩‍👩‍👧‍👦 e\u0301 \u00e9 ﬁ ½ \u200b",
    "0123456789 " * 20,
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    'def f(x):\n    return {"a": [x, None]}\n',
)
#: Texts that are control tokens of one model or another.
CONTROL_TEXTS = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|eot_id|>", "<s>", "</s>", "<bos>", "[INST]",
)  # fmt: skip
#: What random texts are made of: letters of one to four bytes, and what is taken apart.
_LETTERS = "ab Z9.\n\té½ﬁΩж日🦙\u200d\u0301<|>"
_THREADS = 8


class TokenizerConformance(RecordConformance[TokenizerSpec]):
    """What every tokenizer must do. Subclass it, give the facts, and run pytest.

    ::

        class TestTokenizer(TokenizerConformance):
            plugin = andon_example
            examples = {"Hello, world!": [15339, 11, 1917, 0]}
    """

    hook = "andon_register_tokenizers"
    #: Whether a text comes back as it was; not so where the tokenizer normalises texts.
    lossless: ClassVar[bool] = True
    #: Texts, and the ids that the model's own tokenizer gives them.
    examples: ClassVar[Mapping[str, Sequence[int]]] = {}
    #: Names of models that it counts for.
    models: ClassVar[Sequence[str]] = ()
    #: Texts of control tokens, which a message must not smuggle in.
    control_texts: ClassVar[Sequence[str]] = CONTROL_TEXTS

    @pytest.fixture
    def tokenizer(self, spec: TokenizerSpec) -> Tokenizer:
        """Return the tokenizer, as it is made at its first use."""
        return _Guarded(spec.create())

    @pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
    def test_a_text_comes_back(self, tokenizer: Tokenizer, text: str) -> None:
        """The tokens of a text stand for that text."""
        tokens = tokenizer.encode(text)
        again = tokenizer.decode(tokens)
        if self.lossless:
            check_equal(again, text, "the text of the tokens", DECODE)
        else:
            check_equal(tokenizer.encode(again), tokens, "the tokens of the tokens' text", DECODE)

    @pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
    def test_tokens_are_a_list_of_numbers(self, tokenizer: Tokenizer, text: str) -> None:
        """An id is a whole number, and every text but the empty one has some."""
        tokens = tokenizer.encode(text)
        whole = type(tokens) is list and all(_is_id(token) for token in tokens)
        check(whole, f"the tokens of {text!r} are {tokens!r}", ENCODE)
        if not text:
            check_equal(tokens, [], "the tokens of no text", ENCODE)
        elif text.strip():
            check(tokens, f"{text!r} has no tokens", ENCODE)

    def test_control_tokens_in_a_text_are_text(self, tokenizer: Tokenizer) -> None:
        """What a message writes is never read as a control token."""
        for text in self.control_texts:
            alone, within = tokenizer.encode(text), tokenizer.encode(f"x{text}y")
            read = len(alone) == 1 and alone[0] in within
            check(not read, f"{text!r} became the one token {alone}, within words too", ENCODE)

    def test_no_count_passes_the_bound(self, tokenizer: Tokenizer) -> None:
        """Where files are missing the bound is counted with, so no count may pass it."""
        dice = random.Random(6)  # noqa: S311  no secret
        drawn = ["".join(dice.choices(_LETTERS, k=dice.randrange(60))) for _ in range(300)]
        for text in (*TEXTS, *self.control_texts, *drawn):
            tokens, bound = len(tokenizer.encode(text)), upper_bound(text)
            check(tokens <= bound, f"{text!r} has {tokens} tokens, above {bound}", TOKEN_BOUND)

    def test_threads_get_the_same_tokens(self, tokenizer: Tokenizer) -> None:
        """Many threads may count at once."""
        alone = [tokenizer.encode(text) for text in TEXTS]
        found: list[object] = []

        def count() -> None:
            try:
                for _ in range(5):
                    found.append([tokenizer.encode(text) for text in TEXTS])
            except BaseException as error:  # noqa: BLE001  pytest's own failures included
                found.append(error)

        threads = [threading.Thread(target=count) for _ in range(_THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        other = [one for one in found if one != alone]
        check(not other, f"a thread found {other[:1]!r:.300}", TOKENIZER_SHARING)

    def test_the_ids_are_the_models_own(self, spec: TokenizerSpec, tokenizer: Tokenizer) -> None:
        """An exact tokenizer gives the ids of the model's own."""
        if not self.examples:
            claim = "claims to be exact, and gives no example" if spec.exact else "is no model's"
            pytest.skip(f"{spec.name!r} {claim}")
        for text, ids in self.examples.items():
            check_equal(tokenizer.encode(text), list(ids), f"what {text!r} is", TOKENIZER_EXACT)

    def test_the_models_it_counts_for(self, spec: TokenizerSpec) -> None:
        """Its patterns are in lower case, and find the models that it is for."""
        upper = [pattern for pattern in spec.models if pattern != pattern.lower()]
        check(not upper, f"{upper} can match nothing", TOKENIZER_MODELS)
        check(spec.models, "it is for no model", TOKENIZER_MODELS)
        for model in self.models:
            name = model.lower()
            names = (name, name.partition(":")[2], name.rpartition("/")[2])
            found = any(fnmatchcase(one, p) for one in names if one for p in spec.models)
            check(found, f"none of {spec.models} matches {model!r}", TOKENIZER_MODELS)

    def test_tools(self, spec: TokenizerSpec, tokenizer: Tokenizer) -> None:
        """More tools never take fewer tokens."""
        if spec.count_tools is None:
            pytest.skip(f"{spec.name!r} leaves tools to andon, which counts their JSON")

        def count(text: str) -> int:
            return len(tokenizer.encode(text))

        counts = [spec.count_tools(tools, count) for tools in ((CLOCK,), (CLOCK, WEATHER))]
        for tokens in counts:
            right = tokens is None or (type(tokens) is int and tokens > 0)
            check(right, f"the number of tokens is {tokens!r}", TOKENIZER_TOOLS)
        one, two = counts
        check(one is None or two is None or one < two, f"they are {counts}", TOKENIZER_TOOLS)


@dataclass(frozen=True, slots=True)
class _Guarded:
    """A tokenizer whose errors are told as what they are."""

    inner: Tokenizer

    def encode(self, text: str) -> list[int]:
        try:
            return self.inner.encode(text)
        except Exception as error:  # noqa: BLE001  told by the test
            fail(f"encoding {text!r}, it raised {error!r}", ENCODE)

    def decode(self, tokens: list[int]) -> str:
        try:
            return self.inner.decode(tokens)
        except Exception as error:  # noqa: BLE001  told by the test
            fail(f"decoding {tokens!r:.200}, it raised {error!r}", DECODE)


def _is_id(token: object) -> bool:
    return type(token) is int and token >= 0
