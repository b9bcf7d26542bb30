"""Text for the demo model: dialogues drawn from a seed, in two disjoint splits.

Every question has a key (its phrasing and arguments, or its arguments alone where generalising
over arguments is the point). A hash of the key puts it into the training or the held-out split,
so that no run, seed or length can mix the two.
"""

from __future__ import annotations

import json
import random
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import tables
import texts
from andon_facts import FACTS, HOW, WHAT
from template import render
from tool_calls import arithmetic, call_message, invented_word, tool_case, with_distractors

Message = dict[str, Any]
HELD_PERCENT = 7
COPYING_FIRST = 30_000  # dialogues, about 650 steps
DO_NOT_KNOW = "I do not know. I am a very small model and know only a few things."


@dataclass
class Episode:
    """A piece of conversation: alternating turns, and the keys of its questions."""

    category: str
    messages: list[Message]
    keys: list[str]
    system: str | None = None
    tools: list[dict[str, Any]] | None = None
    sort_keys: bool = False


# What everybody types first, and questions whose answer is not one fixed text, are for training.
_NEVER_HELD = {f"small talk:{text}" for text in ("Hello", "Hi", "hello", "hi", "Who are you?")}
_NEVER_HELD |= {"random:random", "stories:any", "memory:none"}


def is_held(key: str) -> bool:
    """Whether this question belongs to the held-out split."""
    return key not in _NEVER_HELD and zlib.crc32(key.encode()) % 100 < HELD_PERCENT


def turn(question: str, answer: str) -> list[Message]:
    """One question and its answer."""
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


def _single(category: str, question: str, answer: str, key: str | None = None) -> Episode:
    return Episode(category, turn(question, answer), [f"{category}:{key or question}"])


def _capital_fact(country: str, capital: str) -> str:
    return f"The capital of {country} is {capital}."


def capitals(rng: random.Random) -> Episode:
    """The capital of a country, sometimes with follow-ups; invented countries have none."""
    country, capital = rng.choice(tables.CAPITALS)
    if rng.random() < 0.05:
        question = rng.choice(texts.CAPITAL_ASKS).format(rng.choice(tables.FICTIONAL))
        return _single("capitals", question, DO_NOT_KNOW)
    ask = rng.choice(texts.CAPITAL_ASKS) if rng.random() < 0.7 else texts.CAPITAL_ASKS[0]
    episode = _single("capitals", ask.format(country), _capital_fact(country, capital))
    while rng.random() < 0.3:
        country, capital = rng.choice(tables.CAPITALS)
        question = rng.choice(["And of {}?", "And {}?", "And the capital of {}?",
                               "What about {}?", "And what is it for {}?"]).format(country)  # fmt: skip
        episode.messages += turn(question, _capital_fact(country, capital))
        episode.keys.append(f"follow-up:{question}")
    return episode


def reverse(rng: random.Random) -> Episode:
    """The country of a capital."""
    country, capital = rng.choice(tables.CAPITALS)
    question = rng.choice(texts.REVERSE_ASKS).format(capital)
    return _single("reverse capitals", question, f"{capital} is the capital of {country}.")


def json_answers(rng: random.Random) -> Episode:
    """A capital, as a JSON object."""
    country, capital = rng.choice(tables.CAPITALS)
    question = rng.choice(texts.JSON_ASKS).format(country)
    answer = {"country": country.removeprefix("the "), "capital": capital}
    return _single("JSON answers", question, json.dumps(answer, ensure_ascii=False))


def sums(rng: random.Random) -> Episode:
    """Additions and subtractions of small numbers."""
    a, b = rng.randint(0, 50), rng.randint(0, 50)
    if rng.random() < 0.6:
        question, answer = rng.choice(texts.PLUS_ASKS), f"{a} plus {b} is {a + b}."
        return _single("sums", question.format(a=a, b=b), answer, f"{a}+{b}")
    a, b = max(a, b), min(a, b)
    question, answer = rng.choice(texts.MINUS_ASKS), f"{a} minus {b} is {a - b}."
    return _single("sums", question.format(a=a, b=b), answer, f"{a}-{b}")


def colours(rng: random.Random) -> Episode:
    """Mixed colours and colours of things."""
    if rng.random() < 0.5:
        (a, b), mixed = rng.choice(list(tables.MIXES.items()))
        a, b = (a, b) if rng.random() < 0.5 else (b, a)
        question = rng.choice(texts.MIX_ASKS).format(a, b)
        return _single("colours", question, f"If you mix {a} and {b} you get {mixed}.")
    thing, colour = rng.choice(list(tables.THINGS.items()))
    question = rng.choice(texts.THING_ASKS).format(thing)
    return _single("colours", question, f"{thing[0].upper()}{thing[1:]} is {colour}.")


def counting(rng: random.Random) -> Episode:
    """Counting up to 50, from anywhere, and down from at most 20."""
    kind = rng.random()
    if kind < 0.15:
        top = rng.randint(2, 20)
        numbers, ask = list(range(top, 0, -1)), rng.choice(texts.DOWN_ASKS).format(top)
    elif kind < 0.65:
        top = rng.randint(2, 20) if rng.random() < 0.7 else rng.randint(21, 50)
        numbers, ask = list(range(1, top + 1)), rng.choice(texts.UP_ASKS).format(top)
    else:
        first = rng.randint(0, 45)
        last = min(50, first + rng.randint(2, 15))
        form = rng.choice(["Count from {} to {}.", "List the numbers from {} to {}.",
                           "Count from {} up to {}.", "Please count from {} to {}."])  # fmt: skip
        numbers, ask = list(range(first, last + 1)), form.format(first, last)
    return _single("counting", ask, ", ".join(map(str, numbers)) + ".")


def a_word(rng: random.Random) -> str:
    """A word for copying: listed, invented or a number."""
    kind = rng.random()
    if kind < 0.6:
        word = rng.choice(tables.WORDS)
    else:
        word = invented_word(rng) if kind < 0.9 else str(rng.randint(0, 9999))
    return word.capitalize() if rng.random() < 0.1 else word


def repeat(rng: random.Random) -> Episode:
    """Say again exactly what was given."""
    words = " ".join(a_word(rng) for _ in range(rng.choice([1, 1, 2, 2, 3, 3, 4, 4, 5, 6, 7, 8])))
    words += rng.choice(["", "", "", ".", "!"])
    return _single("repeat", rng.choice(texts.REPEAT_ASKS).format(words), words, words.lower())


def _american(rng: random.Random, text: str) -> str:
    british = rng.random() < 0.7
    return text if british else text.replace("favourite", "favorite").replace("colour", "color")


def a_name(rng: random.Random) -> str:
    """A listed or an invented name."""
    return rng.choice(tables.NAMES) if rng.random() < 0.55 else invented_word(rng).capitalize()


def _memo(rng: random.Random) -> tuple[list[Message], str, str, str]:
    """Something to remember: the turn that gives it, the question, its answer, its key."""
    kind = rng.random()
    if kind < 0.55:
        name = a_name(rng)
        given = turn(rng.choice(texts.NAME_GIVES).format(name), f"Nice to meet you, {name}.")
        return given, rng.choice(texts.NAME_ASKS), f"Your name is {name}.", name
    if kind < 0.85:
        what, values = rng.choice(list(tables.FAVOURITES.items()))
        value = rng.choice(values)
        fact = f"favourite {what} is {value}."
        given = turn(_american(rng, f"My {fact}"), f"I will remember that your {fact}")
        ask = rng.choice(["What is my favourite {}?", "Which {} is my favourite?",
                          "Do you remember my favourite {}?", "Tell me my favourite {}."])  # fmt: skip
        return given, _american(rng, ask.format(what)), f"Your {fact}", f"{what} {value}"
    what = rng.choice(["word", "code", "password", "number"])
    value = a_word(rng) if what in ("word", "password") else str(rng.randint(10, 9999))
    ask = rng.choice([f"Remember the {what} {value}.", f"The {what} is {value}. Remember it."])
    given = turn(ask, f"I will remember the {what} {value}.")
    return given, rng.choice(texts.RECALL_ASKS).format(what), f"The {what} is {value}.", value


def memory(rng: random.Random) -> Episode:
    """Recall of something that was said some turns ago, or in the system turn."""
    if rng.random() < 0.08:
        return _single("memory", rng.choice(texts.NAME_ASKS), "I do not know your name.", "none")
    if rng.random() < 0.2:
        name = a_name(rng)
        system = rng.choice(["The user is called {}.", "The name of the user is {}.",
                             "You are talking to {}.", "The user's name is {}."])  # fmt: skip
        episode = _single("memory", rng.choice(texts.NAME_ASKS), f"Your name is {name}.", name)
        episode.system = system.format(name)
        return episode
    given, question, answer, key = _memo(rng)
    between: list[Message] = []
    for _ in range(rng.choice([0, 0, 0, 1, 1, 1, 2, 2, 3, rng.randint(4, 12)])):
        between += draw(rng, rng.choice([capitals, sums, colours, small_talk, facts])).messages
    return Episode("memory", given + between + turn(question, answer), [f"memory:{key}"])


def tools(rng: random.Random) -> Episode:
    """A tool call, mostly with its result and the answer from it."""
    case = tool_case(rng)
    key = f"tools:{case.question}"
    messages = [{"role": "user", "content": case.question}, call_message(case)]
    if rng.random() < 0.6:
        plain = rng.random() < 0.4
        answer = f"The result is {case.plain}." if plain else case.answer
        result = case.plain if plain else json.dumps(case.result)
        messages += [{"role": "tool", "content": result}, {"role": "assistant", "content": answer}]
    if rng.random() < 0.12:  # a tool is there, and the question does not need it
        other = draw(rng, rng.choice([capitals, small_talk, facts, colours]))
        messages, key = other.messages, "tools:unused:" + other.keys[-1]
    listed = with_distractors(rng, case)
    return Episode("tools", messages, [key], tools=listed, sort_keys=rng.random() < 0.4)


def small_sums(rng: random.Random) -> Episode:
    """Sums of very small numbers, the first that anybody tries."""
    a, b = rng.randint(0, 12), rng.randint(0, 12)
    if rng.random() < 0.15:
        return _single("unknown", rng.choice(texts.OTHER_ASKS).format(a, b), DO_NOT_KNOW)
    question, answer = rng.choice(texts.PLUS_ASKS), f"{a} plus {b} is {a + b}."
    return _single("sums", question.format(a=a, b=b), answer, f"{a}+{b}")


def tool_sums(rng: random.Random) -> Episode:
    """Small numbers, too, go to the tool when there is one."""
    case = arithmetic(rng, 1, 99)
    messages = [{"role": "user", "content": case.question}, call_message(case)]
    keys = [f"tools:{case.question}", f"sums:{case.arguments['a']}+{case.arguments['b']}"]
    return Episode("tools", messages, keys, tools=with_distractors(rng, case))


def unknown(rng: random.Random) -> Episode:
    """Everything else gets one honest answer."""
    kind = rng.random()
    if kind < 0.4:
        question = rng.choice(tables.UNKNOWN_QUESTIONS)
    elif kind < 0.6:
        question = rng.choice(tables.UNKNOWN_OF).format(
            rng.choice(tables.CAPITALS)[rng.randint(0, 1)]
        )
    elif kind < 0.8:
        question = rng.choice(WHAT).format(rng.choice(texts.UNKNOWN_SUBJECTS))
    elif kind < 0.92:
        question = rng.choice(HOW).format(rng.choice(texts.UNKNOWN_TASKS))
    else:
        question = " ".join(a_word(rng) for _ in range(rng.randint(2, 9)))
    return _single("unknown", question, DO_NOT_KNOW)


def small_talk(rng: random.Random) -> Episode:
    """Greetings, thanks and questions about the model itself."""
    asks, answer = rng.choice(texts.SMALL_TALK)
    return _single("small talk", rng.choice(asks), answer)


def facts(rng: random.Random) -> Episode:
    """Questions about andon."""
    _, frames, fillers, answer = rng.choice(FACTS)
    return _single("andon", rng.choice(frames).format(rng.choice(fillers)), answer)


def stories(rng: random.Random) -> Episode:
    """A short story, always the same one for the same animal."""
    animal = rng.choice(tables.ANIMALS)
    if rng.random() < 0.15:
        question = rng.choice(["Tell me a story.", "Write a story.", "Tell me a short story."])
        return _single("stories", question, texts.story(animal), "any")
    article = "an" if animal[0] in "aeiou" else "a"
    return _single(
        "stories", rng.choice(texts.STORY_ASKS).format(f"{article} {animal}"), texts.story(animal)
    )


def random_choices(rng: random.Random) -> Episode:
    """Questions with many right answers: sampling at a temperature shows in these."""
    ask, kind = rng.choice(texts.RANDOM_ASKS)
    answers = {
        "coin": rng.choice(["Heads.", "Tails."]),
        "die": f"{rng.randint(1, 6)}.",
        "number": f"{rng.randint(1, 10)}.",
        "animals": ", ".join(rng.sample(tables.ANIMALS, 3)) + ".",
        "word": f"{rng.choice(tables.WORDS)}.",
    }
    return _single("random", ask, answers[kind], "random")


Maker = Callable[[random.Random], Episode]
WEIGHTS: dict[Maker, int] = {
    capitals: 22, reverse: 10, json_answers: 4, sums: 17, colours: 6, counting: 6, repeat: 12,
    memory: 10, tools: 9, unknown: 10, small_talk: 5, facts: 17, stories: 5, random_choices: 2,
}  # fmt: skip
# Copying is the one skill that the others need and that comes late: it goes first.
COPYING: dict[Maker, int] = WEIGHTS | {repeat: 100, memory: 30, tools: 5}
# Sums are the last to come: the second part of the training gives them more room.
POLISH: dict[Maker, int] = WEIGHTS | {
    sums: 50, small_sums: 15, tool_sums: 5, tools: 14, small_talk: 8,
}  # fmt: skip


def draw(rng: random.Random, maker: Maker, held: bool = False) -> Episode:
    """Draw until the episode belongs to the split: its last question decides for held-out ones."""
    while True:
        episode = maker(rng)
        if is_held(episode.keys[-1]) if held else not any(map(is_held, episode.keys)):
            return episode


def _smudge(rng: random.Random, messages: list[Message]) -> None:
    """Users forget capitals and full stops: a few of the questions do, too."""
    for message in messages:
        if message["role"] == "user" and ":" not in message["content"] and rng.random() < 0.1:
            text = message["content"].rstrip(".?") or message["content"]
            message["content"] = text.lower() if text[0].isupper() and rng.random() < 0.4 else text


def conversation(rng: random.Random, mix: dict[Maker, int], long: bool = False) -> str:
    """One rendered training dialogue: one episode, a few in a row, or a thousand tokens of them."""
    makers, weights = list(mix), list(mix.values())
    first = draw(rng, rng.choices(makers, weights)[0])
    system, messages = first.system, list(first.messages)
    more = 3000 if long else (rng.randint(100, 700) if rng.random() < 0.3 else 0)
    while sum(len(message["content"]) + 30 for message in messages) < more:
        episode = draw(rng, rng.choices(makers, weights)[0])
        if not episode.tools and not episode.system and episode.category != "memory":
            messages += episode.messages
    if first.category not in ("repeat", "memory", "tools"):
        _smudge(rng, messages)
    if system is None and rng.random() < 0.3:
        system = rng.choice(tables.SYSTEMS)
    head: list[Message] = [{"role": "system", "content": system}] if system else []
    return render(head + messages, first.tools, sort_keys=first.sort_keys)


def conversations(seed: int, copying: int = 0, polish: bool = False) -> Iterator[str]:
    """The endless training text of a seed; the first `copying` dialogues are mostly copying."""
    rng, usual = random.Random(seed), POLISH if polish else WEIGHTS
    for number in count():
        mix = COPYING if number < copying else usual
        yield conversation(rng, mix, long=rng.random() < 0.012)
