"""What it costs to count and to truncate a long chat, beside tiktoken, litellm and langchain.

A chat of 200 messages and about 100,000 tokens, its texts from Python's own documentation. The
floor is tiktoken's ``encode_ordinary`` on the same texts. litellm and langchain-core are measured
where they are installed. The rank file of ``o200k_base`` must be on the machine (``andon tokenizers
fetch``; litellm's own copy is used where there is one). Absolute times belong to a machine; the
ratios hold::

    python benchmarks/bench_context.py [--runs 9] [--json]
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

from andon import ChatMessage, ContextManager, ContextWindow
from andon.context import ChatCounter
from andon_tiktoken import andon_register_tokenizers
from andon_tiktoken.encodings import TiktokenTokenizer, load
from andon_tiktoken.rank_files import folder

MESSAGES, CHARACTERS = 200, 426_000

#: What is kept of the chat; the answer gets the rest of the window.
KEPT = 50_000


def texts() -> list[str]:
    """Return the texts of the chat's messages."""
    whole = "\n".join(topics.values())
    whole = (whole * (CHARACTERS // len(whole) + 1))[:CHARACTERS]
    length = CHARACTERS // MESSAGES
    return [whole[start : start + length] for start in range(0, length * MESSAGES, length)]


def chat() -> list[ChatMessage]:
    """Return the chat, as new messages: nothing remembers them."""
    made = [ChatMessage.system("Be brief.")]
    for number, text in enumerate(texts()):
        made.append(ChatMessage.assistant(text) if number % 2 else ChatMessage.user(text))
    return [*made, ChatMessage.user("And now?")]


def tokenizer() -> TiktokenTokenizer:
    """Return the tokenizer of ``o200k_base``."""
    own = importlib.util.find_spec("litellm")
    if own is not None and own.origin is not None:
        copy = Path(own.origin).parent / "litellm_core_utils" / "tokenizers"
        os.environ.setdefault("TIKTOKEN_CACHE_DIR", str(copy))
    return load("o200k_base", folder(os.environ))


def cases(encode: TiktokenTokenizer) -> dict[str, Callable[[], Callable[[], object]]]:
    """Return what is measured: each case prepares a run, and returns what is timed."""
    plain = texts()
    spec = next(s for s in andon_register_tokenizers() if s.name.endswith("o200k_base"))

    def manager() -> ContextManager:
        counter = ChatCounter(encode, name=spec.name, count_tools=spec.count_tools)
        return ContextManager(ContextWindow(KEPT + 4_096, 4_096), counter)

    def counted() -> Callable[[], object]:
        fresh, messages = manager(), chat()
        return lambda: fresh.count(messages)

    def once_more() -> Callable[[], object]:
        known, messages = manager(), chat()
        known.count(messages)
        messages.append(ChatMessage.assistant(plain[0]))
        return lambda: known.count(messages)

    def truncated() -> Callable[[], object]:
        fresh, messages = manager(), chat()
        return lambda: fresh.truncate(messages)

    def raw() -> Callable[[], object]:
        return lambda: [encode.encode(text) for text in plain]

    return {
        "tiktoken, the texts alone": raw,
        "andon: count": counted,
        "andon: count with one more message": once_more,
        "andon: truncate to half": truncated,
        **_peers(encode),
    }


def _peers(encode: TiktokenTokenizer) -> dict[str, Callable[[], Callable[[], object]]]:
    found: dict[str, Callable[[], Callable[[], object]]] = {}
    if importlib.util.find_spec("litellm") is not None:
        os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
        import litellm

        def litellm_count() -> Callable[[], object]:
            dicts = [message.to_openai() for message in chat()]
            return lambda: litellm.token_counter(model="gpt-4o", messages=dicts)

        def litellm_trim() -> Callable[[], object]:
            dicts = [message.to_openai() for message in chat()]
            return lambda: litellm.utils.trim_messages(dicts, model="gpt-4o", max_tokens=KEPT)

        found |= {"litellm: token_counter": litellm_count, "litellm: trim_messages": litellm_trim}
    if importlib.util.find_spec("langchain_core") is not None:
        found["langchain: trim_messages"] = _langchain(encode)
    return found


def _langchain(encode: TiktokenTokenizer) -> Callable[[], Callable[[], object]]:
    from langchain_core.messages import convert_to_messages, trim_messages

    def count(messages: list[Any]) -> int:
        return 3 + sum(4 + len(encode.encode(message.content)) for message in messages)

    def trim() -> Callable[[], object]:
        messages = convert_to_messages([message.to_openai() for message in chat()])
        return lambda: trim_messages(
            messages,
            max_tokens=KEPT,
            token_counter=count,
            strategy="last",
            include_system=True,
            start_on="human",
        )

    return trim


def measure(runs: int) -> dict[str, float]:
    """Return the median seconds of each case; the cases take turns."""
    todo = cases(tokenizer())
    times: dict[str, list[float]] = {case: [] for case in todo}
    for run in range(runs):
        for case, prepare in todo.items():
            if "trim_messages" in case and run >= 3:
                continue  # they take seconds
            timed = prepare()
            start = time.perf_counter()
            timed()
            times[case].append(time.perf_counter() - start)
    return {case: statistics.median(seconds) for case, seconds in times.items()}


def main() -> None:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=9, help="runs of each case (default: 9)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    medians = measure(arguments.runs)
    if arguments.json:
        print(json.dumps({case: seconds * 1e3 for case, seconds in medians.items()}, indent=2))
        return
    floor = medians["tiktoken, the texts alone"]
    print(f"{'200 messages, 100,000 tokens':36} {'ms':>9} {'× tiktoken':>11}")
    for case, seconds in medians.items():
        print(f"{case:36} {seconds * 1e3:9.2f} {seconds / floor:11.2f}")


if __name__ == "__main__":
    main()
