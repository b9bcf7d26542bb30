"""Faulty tokenizers, templates, prices, observers and commands.

Each comes with the test of its kit that is meant to catch it; see faulty_backends.py. The sound
ones are in test_parts_conform.py.
"""

from __future__ import annotations

import argparse
import random
import re
import socket
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from decimal import Decimal
from types import ModuleType
from typing import Any

from andon import (
    ChatMessage,
    ChatTemplateSpec,
    CommandSpec,
    LongContextPrice,
    ObserverSpec,
    Price,
    TokenizerSpec,
    hookimpl,
)
from andon.events import Event
from andon.testing import (
    ByteTokenizer,
    CommandConformance,
    ObserverConformance,
    PriceConformance,
    TemplateConformance,
    TokenizerConformance,
)


@dataclass(frozen=True)
class Fault:
    """A faulty part, and the test that must fail for it."""

    name: str
    test: str
    kit: type[Any]
    facts: Mapping[str, Any]


def offering(hook: str, *records: Any) -> ModuleType:
    module = ModuleType("andon_faulty")
    setattr(module, hook, hookimpl(lambda: list(records)))
    return module


# -- Tokenizers -----------------------------------------------------------------------------------


class ReadsControlTokens(ByteTokenizer):
    def encode(self, text: str) -> list[int]:
        pieces = re.split(r"(<\|im_start\|>)", text)
        encode = super().encode
        return [i for p in pieces for i in ([256] if p == "<|im_start|>" else encode(p))]

    def decode(self, tokens: list[int]) -> str:
        return super().decode([token for token in tokens if token < 256])


class AddsABeginning(ByteTokenizer):
    def encode(self, text: str) -> list[int]:
        return [1, *super().encode(text)]


class LosesSpaces(ByteTokenizer):
    def encode(self, text: str) -> list[int]:
        return super().encode(" ".join(text.split()))


class Wasteful(ByteTokenizer):
    def encode(self, text: str) -> list[int]:
        return [token for token in super().encode(text) for _ in range(2)]

    def decode(self, tokens: list[int]) -> str:
        return super().decode(tokens[::2])


class GivesStrings(ByteTokenizer):
    def encode(self, text: str) -> list[int]:
        return list(text)  # type: ignore[arg-type]


class OneAtATime(ByteTokenizer):
    """Two threads in it find each other's text."""

    text = ""

    def encode(self, text: str) -> list[int]:
        self.text = text
        if threading.current_thread() is not threading.main_thread():
            self.text = "another thread's"
        return super().encode(self.text)


def tokenizer(name: str, test: str, create: Any = ByteTokenizer, **more: Any) -> Fault:
    fields = {"models": ("sample:*",), "exact": True}
    asked = {key: more.pop(key) for key in list(more) if key in {"models_named", "examples"}}
    spec = TokenizerSpec(name="faulty", create=create, **(fields | more))
    facts = {"plugin": offering("andon_register_tokenizers", spec)}
    if "models_named" in asked:
        facts["models"] = asked["models_named"]
    if "examples" in asked:
        facts["examples"] = asked["examples"]
    return Fault(name, test, TokenizerConformance, facts)


TOKENIZERS = [
    tokenizer("ReadsControl", "test_control_tokens_in_a_text_are_text", ReadsControlTokens),
    tokenizer("AddsABeginning", "test_tokens_are_a_list_of_numbers", AddsABeginning),
    tokenizer("LosesSpaces", "test_a_text_comes_back", LosesSpaces),
    tokenizer("Wasteful", "test_no_count_passes_the_bound", Wasteful),
    tokenizer("GivesStrings", "test_tokens_are_a_list_of_numbers", GivesStrings),
    tokenizer("OneAtATime", "test_threads_get_the_same_tokens", OneAtATime),
    tokenizer("OtherIds", "test_the_ids_are_the_models_own", examples={"a": [1]}),
    tokenizer("UpperCase", "test_the_models_it_counts_for", models=("Sample:*",)),
    tokenizer("ForOthers", "test_the_models_it_counts_for", models_named=("gpt-x",)),
    tokenizer("FreeTools", "test_tools", count_tools=lambda tools, text: 0),
    tokenizer("ShrinkingTools", "test_tools", count_tools=lambda tools, text: 10 - len(tools)),
]


# -- Templates ------------------------------------------------------------------------------------


def shout(messages: Sequence[ChatMessage], prompt: bool) -> str:
    """Write a sound format; those below are this one with a fault."""
    turns = "".join(f"<|{m.role.value}|>{m.text}<|end|>" for m in messages)
    return turns + ("<|assistant|>" if prompt else "")


TOKENS = ("<|system|>", "<|user|>", "<|assistant|>", "<|tool|>", "<|end|>")
SHOUT = ChatTemplateSpec(name="shout", render=shout, control_tokens=TOKENS, stop=("<|end|>",))


def drops_the_middle(messages: Sequence[ChatMessage], prompt: bool) -> str:
    return shout([messages[0], *messages[-1:]], prompt)


def turns_around(messages: Sequence[ChatMessage], prompt: bool) -> str:
    return shout(list(reversed(messages)), prompt)


def dies_of_roles(messages: Sequence[ChatMessage], prompt: bool) -> str:
    for message in messages:
        {"system": 1, "user": 2, "assistant": 3}[message.role.value]
    return shout(messages, prompt)


def throws_dice(messages: Sequence[ChatMessage], prompt: bool) -> str:
    return shout(messages, prompt) + str(random.random())


def opens_first(messages: Sequence[ChatMessage], prompt: bool) -> str:
    return ("<|assistant|>" if prompt else "") + shout(messages, False)


def closes_again(messages: Sequence[ChatMessage], prompt: bool) -> str:
    return shout([replace(m, content=f"{m.text} ") for m in messages], False) + "<|assistant|>\n"


def cuts_answers(messages: Sequence[ChatMessage], prompt: bool) -> str:
    said = [replace(m, content=m.text[:4]) if m.role == "assistant" else m for m in messages]
    return shout(said, prompt)


def template(name: str, test: str, render: Any = shout, **more: Any) -> Fault:
    facts = {key: more.pop(key) for key in list(more) if key == "examples"}
    if "models_named" in more:
        facts["models"] = more.pop("models_named")
    spec = replace(SHOUT, render=render, **more)
    facts["plugin"] = offering("andon_register_chat_templates", spec)
    return Fault(name, test, TemplateConformance, facts)


PLAIN = ([ChatMessage.user("Hi")], "<|user|>Hi<|end|>")
TEMPLATES = [
    template("DropsTheMiddle", "test_every_message_is_written", drops_the_middle),
    template("TurnsAround", "test_every_message_is_written", turns_around),
    template("DiesOfRoles", "test_every_message_is_written", dies_of_roles),
    template("ThrowsDice", "test_it_is_a_pure_function", throws_dice),
    template("OpensFirst", "test_the_generation_prompt", opens_first),
    template("NamesTooFew", "test_what_it_reserves_is_named", control_tokens=TOKENS[:1]),
    template("EndsWithNothing", "test_the_texts_at_which_an_answer_ends", stop=("",)),
    template("EndsElsewhere", "test_the_texts_at_which_an_answer_ends", stop=("###",)),
    template("CutsAnswers", "test_an_answer_is_continued", cuts_answers),
    template("WritesOtherwise", "test_the_models_own_prompts", examples=[PLAIN]),
    template("CapitalNames", "test_the_models_that_use_it", models=("Shout-*",)),
    template("OtherNames", "test_the_models_that_use_it", models_named=("shout-1",)),
]


# -- Prices ---------------------------------------------------------------------------------------

CHEAP = Price(input=Decimal("0.15"), output=Decimal("0.60"))


def only(price: Price | None) -> Callable[[str, str], Price | None]:
    return lambda backend, model: price if (backend, model) == ("sample", "small") else None


def by_beginning(backend: str, model: str) -> Price | None:
    return CHEAP if backend == "sample" and model.startswith("small") else None


def anything(backend: str, model: str) -> Price | None:
    return CHEAP


def raises(backend: str, model: str) -> Price | None:
    return {("sample", "small"): CHEAP}[backend, model]


def asks_the_network(backend: str, model: str) -> Price | None:
    with suppress(OSError):
        socket.create_connection(("127.0.0.1", 9), timeout=0.1).close()
    return CHEAP if (backend, model) == ("sample", "small") else None


class Drifting:
    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, backend: str, model: str) -> Price | None:
        self.asked += 1
        dearer = replace(CHEAP, output=Decimal(self.asked))
        return dearer if (backend, model) == ("sample", "small") else None


def price(name: str, test: str, hook: Any) -> Fault:
    module = ModuleType("andon_faulty")
    vars(module)["andon_price"] = hookimpl(lambda backend, model: hook(backend, model))  # noqa: PLW0108  some are objects
    return Fault(name, test, PriceConformance, {"plugin": module, "known": [("sample", "small")]})


TIERS = tuple(LongContextPrice(above=mark, price=CHEAP) for mark in (200, 100))
PRICES = [
    price("Knows nothing", "test_known_models_have_a_price", only(None)),
    price("Floats", "test_prices_are_exact", only(replace(CHEAP, output=0.6))),
    price("Pays", "test_prices_are_exact", only(replace(CHEAP, cached_input=Decimal(-1)))),
    price("Falling tiers", "test_long_prompts", only(replace(CHEAP, long_context=TIERS))),
    price("Some day", "test_days", only(replace(CHEAP, valid_from="1 May 2026"))),
    price("Knows everything", "test_nobody_knows_strange_names", anything),
    price("Raises", "test_nobody_knows_strange_names", raises),
    price("By beginning", "test_names_are_matched_whole", by_beginning),
    price("Asks the network", "test_known_models_have_a_price", asks_the_network),
    price("Drifts", "test_the_same_question_has_the_same_answer", Drifting()),
]


# -- Observers and commands -----------------------------------------------------------------------


def knows_its_kinds(event: Event) -> None:
    {"AttemptStarted": 1, "AnswerFinished": 1}.get(type(event).__name__, 0) or event.backend  # type: ignore[attr-defined]


class Pairs:
    def __init__(self) -> None:
        self.begun: dict[int, Event] = {}

    def __call__(self, event: Event) -> None:
        if type(event).__name__ == "AttemptStarted":
            self.begun[event.request_id] = event
        if type(event).__name__ == "AnswerFinished":
            self.begun.pop(event.request_id)


def in_main_thread(event: Event) -> None:
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("not in this thread")


def observer(name: str, test: str, observe: Any) -> Fault:
    spec = ObserverSpec(name="faulty", observe=observe)
    facts = {"plugin": offering("andon_register_observers", spec)}
    return Fault(name, test, ObserverConformance, facts)


def parse(arguments: Sequence[str]) -> int:
    argparse.ArgumentParser(prog="andon dance").parse_args(arguments)
    return 0


def says_nothing(arguments: Sequence[str]) -> int:
    return 0


def raises_at_help(arguments: Sequence[str]) -> int:
    raise ValueError(arguments[0])


def warns_in_passing(arguments: Sequence[str]) -> int:
    print(f"what is {arguments}?", file=sys.stderr)
    return 0


def command(name: str, test: str, run: Any = parse, word: str = "dance", **more: Any) -> Fault:
    spec = CommandSpec(name=word, summary=more.get("summary", "Dances."), run=run)
    facts = {"plugin": offering("andon_register_commands", spec)}
    return Fault(name, test, CommandConformance, facts)


BESIDE = [
    observer("KnowsItsKinds", "test_an_event_of_a_later_version", knows_its_kinds),
    observer("NeedsBackends", "test_every_event", lambda event: event.backend),
    observer("Pairs", "test_events_out_of_turn", Pairs()),
    observer("InMainThread", "test_events_in_threads", in_main_thread),
    command("TwoWords", "test_the_word", word="Dance now"),
    command("NoSummary", "test_the_word", summary=""),
    command("SaysNothing", "test_help", says_nothing),
    command("RaisesAtHelp", "test_help", raises_at_help),
    command("WarnsInPassing", "test_an_unknown_option", warns_in_passing),
]

FAULTS = [*TOKENIZERS, *TEMPLATES, *PRICES, *BESIDE]
for fault in FAULTS:
    title = f"Test{fault.name}"
    globals()[title] = type(title, (fault.kit,), dict(fault.facts))
