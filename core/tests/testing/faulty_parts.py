"""Faulty tokenizers, templates, prices, routers, ledgers, observers and commands.

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

import pytest

from andon import (
    ChatMessage,
    ChatTemplateSpec,
    CommandSpec,
    LongContextPrice,
    ObserverSpec,
    Price,
    RouterSpec,
    SettingsError,
    TokenizerSpec,
    hookimpl,
)
from andon.budget import Balance, Decision, Hold, MemoryLedger, Spending
from andon.errors import Rejected
from andon.events import Event
from andon.routing import Admission, Ask, Candidate, RouterConfig, SpilloverRouter
from andon.testing import (
    ByteTokenizer,
    CommandConformance,
    LedgerConformance,
    ObserverConformance,
    PriceConformance,
    RouterConformance,
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


# -- Routers --------------------------------------------------------------------------------------

CONFIG = RouterConfig(slots={"home": 2, "near": 2}, max_queue_depth=6)


class Wrapped:
    """An admission in another's hands."""

    def __init__(self, inner: Admission) -> None:
        self.inner = inner

    @property
    def order(self) -> Sequence[Candidate]:
        return self.inner.order

    @property
    def turn(self) -> Any:
        return self.inner.turn

    def move(self, candidate: Candidate, now: float) -> None:
        self.inner.move(candidate, now)

    def leave(self, now: float, *, tokens: int = 0, answered: bool = True) -> None:
        self.inner.leave(now, tokens=tokens, answered=answered)


class Sound(SpilloverRouter):
    """A sound router; those below are this one with a fault."""

    def __init__(self) -> None:
        super().__init__(CONFIG)

    def admit(self, candidates: Sequence[Candidate], ask: Ask, now: float) -> Admission:
        return self.changed(super().admit(candidates, ask, now))

    def changed(self, admission: Admission) -> Admission:
        return admission


class Doubles(Wrapped):
    @property
    def order(self) -> Sequence[Candidate]:
        return [*self.inner.order, self.inner.order[0]]


class Invents(Wrapped):
    @property
    def order(self) -> Sequence[Candidate]:
        first = self.inner.order[0]
        return [replace(first, spec=replace(first.spec, name="stranger"))]


class Nobody(Wrapped):
    order = ()


class PrefersTheIll(Wrapped):
    @property
    def order(self) -> Sequence[Candidate]:
        return sorted(self.inner.order, key=lambda one: one.healthy)


class CannotMove(Wrapped):
    def move(self, candidate: Candidate, now: float) -> None:
        raise NotImplementedError


class LeavesOnce(Wrapped):
    gone = False

    def leave(self, now: float, *, tokens: int = 0, answered: bool = True) -> None:
        if self.gone:
            raise RuntimeError("it has left already")
        self.gone = True
        super().leave(now, tokens=tokens, answered=answered)


class NeverLeaves(Wrapped):
    def leave(self, now: float, *, tokens: int = 0, answered: bool = True) -> None:
        pass


class StaysWhereItFailed(Wrapped):
    def leave(self, now: float, *, tokens: int = 0, answered: bool = True) -> None:
        if answered:
            super().leave(now, tokens=tokens)


def wrapping(wrapper: type[Wrapped]) -> type[Sound]:
    class Wrapping(Sound):
        def changed(self, admission: Admission) -> Admission:
            return wrapper(admission)

    return Wrapping


class KeyErrors(Sound):
    def admit(self, candidates: Sequence[Candidate], ask: Ask, now: float) -> Admission:
        try:
            return super().admit(candidates, ask, now)
        except Rejected:
            raise KeyError("no slot") from None


class Counting:
    """Counts by hand, and not well: two leave for one, or in threads."""

    waits = weighs = False

    def __init__(self, *, twice: bool = False, torn: bool = False) -> None:
        self.inside, self.twice, self.torn = 0, twice, torn
        self.queue: list[Any] = []

    def admit(self, candidates: Sequence[Candidate], ask: Ask, now: float) -> Admission:
        from andon.routing import Turn

        class Entry(Wrapped):
            order = candidates
            turn: Any = None
            gone = False

            def __init__(self) -> None:
                pass

            def move(self, candidate: Candidate, now: float) -> None:
                pass

            def leave(entry, now: float, *, tokens: int = 0, answered: bool = True) -> None:  # noqa: N805
                if not entry.gone or self.twice:
                    entry.gone = True
                    self.leave(entry)

        if len(self.queue) > 5:
            raise Rejected("full", reason="queue_full", retry_after=-1.0 if self.torn else None)
        entry = Entry()
        self.inside += 1
        if self.inside > 2:
            entry.turn = Turn()
            self.queue.append(entry)
        return entry

    def leave(self, entry: Any) -> None:
        self.inside = max(self.inside - 1, 0)
        if entry in self.queue:
            self.queue.remove(entry)
        elif self.queue:
            self.queue.pop(0).turn.give()


class ForgetsWaiting(Counting):
    def leave(self, entry: Any) -> None:
        self.inside -= 1
        if entry not in self.queue and self.queue:
            self.queue.pop(0).turn.give()


class LosesTurns(Counting):
    def leave(self, entry: Any) -> None:
        self.inside -= 1
        if entry in self.queue:
            self.queue.remove(entry)


class InOneThread(Sound):
    def admit(self, candidates: Sequence[Candidate], ask: Ask, now: float) -> Admission:
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("dictionary changed size during iteration")
        return super().admit(candidates, ask, now)


class NoFacts(Sound):
    def __init__(self) -> None:
        super().__init__()
        self.weighs = None  # type: ignore[assignment]


class NoWeights(Sound):
    def admit(self, candidates: Sequence[Candidate], ask: Ask, now: float) -> Admission:
        ask.key.encode("ascii")
        return super().admit(candidates, ask, now)


def strictly(create: Callable[[], Any]) -> Callable[[Mapping[str, Any]], Any]:
    def made(options: Mapping[str, Any]) -> Any:
        if options:
            raise SettingsError(f"routing: no such option: {', '.join(options)}")
        return create()

    return made


def router(name: str, test: str, create: Any) -> Fault:
    spec = RouterSpec(name="faulty", create=create)
    return Fault(
        name, test, RouterConformance, {"plugin": offering("andon_register_routers", spec)}
    )


ROUTERS = [
    router("Doubles", "test_it_decides_among_the_candidates", strictly(wrapping(Doubles))),
    router("Invents", "test_it_decides_among_the_candidates", strictly(wrapping(Invents))),
    router("Nobody", "test_it_decides_among_the_candidates", strictly(wrapping(Nobody))),
    router("PrefersTheIll", "test_candidates_at_rest_come_last", strictly(wrapping(PrefersTheIll))),
    router("CannotMove", "test_a_request_moves_and_leaves_once", strictly(wrapping(CannotMove))),
    router("LeavesOnce", "test_a_request_moves_and_leaves_once", strictly(wrapping(LeavesOnce))),
    router("NeverLeaves", "test_everybody_leaves_an_empty_house", strictly(wrapping(NeverLeaves))),
    router("NeverLeavesALoad", "test_a_load", strictly(wrapping(StaysWhereItFailed))),
    router("NeverLeavesInThreads", "test_threads_at_once", strictly(wrapping(NeverLeaves))),
    router("KeyErrors", "test_who_waits_is_let_in", strictly(KeyErrors)),
    router(
        "CountsTwice", "test_only_the_first_leaving_counts", strictly(lambda: Counting(twice=True))
    ),
    router("ThePast", "test_who_waits_is_let_in", strictly(lambda: Counting(torn=True))),
    router("LosesTurns", "test_who_waits_is_let_in", strictly(LosesTurns)),
    router("ForgetsWaiting", "test_who_gives_up_waiting_is_passed_over", strictly(ForgetsWaiting)),
    router("InOneThread", "test_threads_at_once", strictly(InOneThread)),
    router("NoFacts", "test_it_says_what_it_is_like", strictly(NoFacts)),
    router("NoWeights", "test_any_request_is_weighed", strictly(NoWeights)),
    router("TakesAnything", "test_an_unknown_setting", lambda options: Sound()),
    router("DiesOfOptions", "test_an_unknown_setting", lambda options: {}[next(iter(options))]),
]


# -- Ledgers --------------------------------------------------------------------------------------


class HoldsTwice(MemoryLedger):
    def reserve(self, hold: Hold) -> Decision:
        return super().reserve(replace(hold, id=f"{hold.id}{random.random()}"))


class HoldsInPart(MemoryLedger):
    def reserve(self, hold: Hold) -> Decision:
        for charge in hold.charges[:-1]:
            super().reserve(replace(hold, id=f"{hold.id} {charge}", charges=(charge,)))
        return super().reserve(hold)


class SettlesAgain(MemoryLedger):
    def settle(self, hold_id: str, amount: int) -> None:
        super().settle(hold_id, amount)
        with self._lock:
            for key in self._used:
                self._used[key] += amount if amount == 20 else 0


class ForgetsTheDead(MemoryLedger):
    def balance(self, account: str, period: str, now: float) -> Balance:
        found = super().balance(account, period, now)
        return found if now < 10 else Balance(0, found.held)


class PassesLimits(MemoryLedger):
    def reserve(self, hold: Hold) -> Decision:
        charges = tuple(charge._replace(limit=None) for charge in hold.charges)
        return super().reserve(replace(hold, charges=charges))


class MixesModels(MemoryLedger):
    def spending(self, account: str, first: str, now: float) -> Sequence[Spending]:
        return [replace(row, model="?") for row in super().spending(account, first, now)]


class MarksForEver(MemoryLedger):
    def mark(self, account: str, period: str, mark: str) -> bool:
        return super().mark(account, "", mark)


class DiesInThreads(MemoryLedger):
    def reserve(self, hold: Hold) -> Decision:
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("made in another thread")
        return super().reserve(hold)


class GivenLedger(LedgerConformance):
    make: Any

    @pytest.fixture
    def ledger(self) -> Any:
        return type(self).make()


def ledger(test: str, make: type[Any]) -> Fault:
    return Fault(f"Ledger{make.__name__}", test, GivenLedger, {"make": make})


LEDGERS = [
    ledger("test_held_and_settled_count_together", PassesLimits),
    ledger("test_the_same_hold_again_and_the_same_settlement_again_change_nothing", HoldsTwice),
    ledger("test_the_same_hold_again_and_the_same_settlement_again_change_nothing", SettlesAgain),
    ledger(
        "test_a_hold_whose_time_is_over_counts_as_spent_until_it_is_settled_late", ForgetsTheDead
    ),
    ledger("test_where_one_account_has_no_room_nothing_is_held_at_any", HoldsInPart),
    ledger("test_what_each_model_cost", MixesModels),
    ledger("test_a_mark_is_new_once", MarksForEver),
    ledger("test_threads_together_never_pass_the_limit", DiesInThreads),
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

FAULTS = [*TOKENIZERS, *TEMPLATES, *PRICES, *ROUTERS, *LEDGERS, *BESIDE]
for fault in FAULTS:
    title = f"Test{fault.name}"
    globals()[title] = type(title, (fault.kit,), dict(fault.facts))
