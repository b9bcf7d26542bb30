"""Many questions at once, a few at a time, with a progress bar: asyncio and tqdm.

Start it with ``python many_at_once.py``. For files of requests there is ``andon batch``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from tqdm import tqdm

import andon

MODEL = "llama-cpp:demo"
COUNTRIES = ["France", "Italy", "Spain", "Iceland", "Japan", "Peru", "Kenya", "Norway"]


async def ask_all(questions: Iterable[str], at_once: int = 4) -> list[str]:
    """Return an answer to each question, in their order."""
    room = asyncio.Semaphore(at_once)
    async with andon.AsyncClient(privacy="sovereign", daily_budget_usd=1) as client:

        async def ask(question: str) -> str:
            async with room:
                try:
                    answer = (await client.chat(MODEL, question)).text
                except andon.AndonError as error:
                    answer = f"({error})"
            bar.update()
            return answer

        questions = list(questions)
        with tqdm(total=len(questions), unit="answer") as bar:
            return list(await asyncio.gather(*map(ask, questions)))


if __name__ == "__main__":
    for text in asyncio.run(ask_all(f"What is the capital of {name}?" for name in COUNTRIES)):
        print(text)
