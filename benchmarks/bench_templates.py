"""What it costs to render a chat, against jinja2 and against a bare join.

A chat of 20 messages is rendered as ChatML by andon's built-in format, by jinja2 with the template
compiled beforehand, and by a generator expression that checks nothing, the floor. Absolute times
belong to a machine; the ratios hold::

    python benchmarks/bench_templates.py [--runs 15] [--json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable

from andon import ChatMessage, ChatTemplateEngine, TemplateFormat

CALLS = 2_000
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def chat() -> list[ChatMessage]:
    """Return 20 messages of about 200 characters each."""
    text = "The quick brown fox jumps over the lazy dog, and the dog does not mind. " * 3
    users = [ChatMessage.user(f"{number}: {text}") for number in range(10)]
    return [part for user in users for part in (user, ChatMessage.assistant(user.text))]


def cases(messages: list[ChatMessage]) -> dict[str, Callable[[], str]]:
    """Return what is measured; all give the same text."""
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    engine = ChatTemplateEngine(TemplateFormat.CHATML)
    template = ImmutableSandboxedEnvironment().from_string(TEMPLATE)
    dicts = [{"role": m.role.value, "content": m.content} for m in messages]

    def join() -> str:
        parts = [f"<|im_start|>{d['role']}\n{d['content']}<|im_end|>\n" for d in dicts]
        return "".join(parts) + "<|im_start|>assistant\n"

    return {
        "andon": lambda: engine.apply(messages),
        "jinja2, compiled": lambda: template.render(messages=dicts, add_generation_prompt=True),
        "a bare join": join,
    }


def measure(runs: int) -> dict[str, float]:
    """Return the median seconds of one rendering in each case; the cases take turns."""
    todo = cases(chat())
    if len({render() for render in todo.values()}) != 1:
        raise SystemExit("the renderings differ, so their times say nothing")
    times: dict[str, list[float]] = {case: [] for case in todo}
    for _ in range(runs):
        for case, render in todo.items():
            start = time.perf_counter()
            for _ in range(CALLS):
                render()
            times[case].append((time.perf_counter() - start) / CALLS)
    return {case: statistics.median(seconds) for case, seconds in times.items()}


def main() -> None:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=15, help="runs of each case (default: 15)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    medians = measure(arguments.runs)
    floor = medians["a bare join"]
    if arguments.json:
        print(json.dumps({case: seconds * 1e6 for case, seconds in medians.items()}, indent=2))
        return
    print(f"{'20 messages':20} {'µs':>8} {'× join':>8}")
    for case, seconds in medians.items():
        print(f"{case:20} {seconds * 1e6:8.1f} {seconds / floor:8.1f}")


if __name__ == "__main__":
    main()
