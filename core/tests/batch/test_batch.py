"""A batch in this process: what is asked, what is written, and what stops it."""

from __future__ import annotations

import asyncio
import gc
import json
import os
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from andon import (
    AnswerLost,
    AsyncClient,
    AuthenticationError,
    BadRequestError,
    ChatDelta,
    ChatRequest,
    ConfigurationError,
    DailyBudgetExceeded,
    InvalidRequestError,
    Locality,
    Price,
    PrivacyViolation,
    RoutingError,
    ServerError,
)
from andon.batch import (
    BatchAnswer,
    BatchJob,
    BatchProgress,
    BatchReport,
    LocalEngine,
    read_requests,
    run_batch,
)
from andon.batch import journal as journal_module
from andon.settings import Settings
from andon.testing import ScriptedBackend, plugin_with

DOLLAR = Price(input=Decimal(1_000_000), output=Decimal(1_000_000))  # one dollar a token


@dataclass(slots=True)
class Echo(ScriptedBackend):
    """Says what it is asked; fails where it is told to."""

    most: int = 0
    now: int = 0

    async def astream(
        self, request: ChatRequest, timeout: float | None
    ) -> AsyncIterator[ChatDelta]:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await asyncio.sleep(0)
            text = request.messages[-1].text
            self.requests.append(request)
            if text.startswith("bad"):
                raise BadRequestError("no", status=400, code="bad", request_id="req-9")
            async for delta in ScriptedBackend(script=[text]).astream(request, timeout):
                yield delta
        finally:
            self.now -= 1


@dataclass(slots=True)
class Dies(Echo):
    """Ends the process, as it were, when it is asked for the end."""

    error: BaseException = field(default_factory=KeyboardInterrupt)

    async def astream(
        self, request: ChatRequest, timeout: float | None
    ) -> AsyncIterator[ChatDelta]:
        if request.messages[-1].text == "end":
            raise self.error
        async for delta in Echo.astream(self, request, timeout):
            yield delta


class Place:
    """A folder with a batch."""

    def __init__(self, folder: Path) -> None:
        self.requests = folder / "requests.jsonl"
        self.answers = folder / "answers.jsonl"

    def write(self, *texts: str, model: str = "one:m", **more: Any) -> None:
        lines = [
            json.dumps(
                {
                    "custom_id": f"r{number}",
                    "method": "POST",
                    "url": "/v1/chat/completions",
                    "body": {
                        "model": model,
                        "messages": [{"role": "user", "content": text}],
                        "max_tokens": 5,
                        **more,
                    },
                }
            )
            for number, text in enumerate(texts)
        ]
        self.requests.write_text("\n".join(lines) + "\n")

    def run(self, *plugins: Any, **options: Any) -> BatchReport:
        arguments = {
            k: v for k, v in options.items() if k in {"retry_errors", "on_progress", "stop"}
        }
        mine = {k: v for k, v in options.items() if k in {"models", "concurrency"}}
        client = {k: v for k, v in options.items() if k not in {*arguments, *mine}}

        def make_client() -> AsyncClient:
            return AsyncClient(discover=False, plugins=plugins, **client)

        job = BatchJob(make_client=make_client, settings=Settings(), **mine)
        return run_batch(self.requests, self.answers, job, **arguments)

    @property
    def records(self) -> dict[str, dict[str, Any]]:
        lines = [json.loads(line) for line in self.answers.read_text().splitlines()]
        records = {record["custom_id"]: record for record in lines}
        assert len(records) == len(lines), "a request is answered twice"
        return records

    @property
    def texts(self) -> dict[str, str]:
        return {
            name: record["response"]["body"]["choices"][0]["message"]["content"]
            for name, record in self.records.items()
            if record["error"] is None
        }


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


# -- Answers ---------------------------------------------------------------------------------------


def test_every_request_is_answered_in_openais_format(place: Place) -> None:
    place.write("hello", "there")
    told: list[BatchProgress] = []
    report = place.run(plugin_with(one=Echo()), on_progress=told.append)
    assert (report.total, report.done, report.failed, report.stopped) == (2, 2, 0, None)
    assert place.texts == {"r0": "hello", "r1": "there"}
    record = place.records["r0"]
    assert record.keys() == {"id", "custom_id", "response", "error"}
    assert record["response"]["status_code"] == 200
    assert record["response"]["body"]["object"] == "chat.completion"
    assert record["error"] is None
    assert (told[0].done, told[-1].done) == (0, 2)


def test_openais_own_types_read_the_answers(place: Place) -> None:
    types = pytest.importorskip("openai.types.chat")
    place.write("hello")
    place.run(plugin_with(one=Echo()))
    body = place.records["r0"]["response"]["body"]
    assert types.ChatCompletion.model_validate(body).choices[0].message.content == "hello"


def test_what_went_wrong_stands_in_its_line(place: Place) -> None:
    place.write("hello", "bad one", "there")
    report = place.run(plugin_with(one=Echo()))
    assert (report.done, report.failed, report.stopped) == (3, 1, None)
    record = place.records["r1"]
    assert record["error"] == {"code": "bad", "message": "no"}
    assert record["response"]["request_id"] == "req-9"
    assert record["response"]["body"]["error"]["code"] == "bad"
    assert place.texts == {"r0": "hello", "r2": "there"}


def test_errors_are_asked_again_where_that_is_wanted(place: Place) -> None:
    place.write("hello", "bad one", "there")
    echo = Echo()
    place.run(plugin_with(one=echo))
    assert place.run(plugin_with(one=echo)).failed == 1
    assert len(echo.requests) == 3
    sound = ScriptedBackend(["good"])
    report = place.run(plugin_with(one=sound), retry_errors=True)
    assert (report.earlier, report.done, report.failed) == (2, 3, 0)
    assert len(sound.requests) == 1
    assert place.texts == {"r0": "hello", "r1": "good", "r2": "there"}
    assert sorted(path.name for path in place.answers.parent.iterdir()) == [
        "answers.jsonl", "requests.jsonl",
    ]  # fmt: skip


def test_no_more_are_under_way_than_allowed(place: Place) -> None:
    place.write(*map(str, range(40)))
    echo = Echo()
    place.run(plugin_with(one=echo), concurrency=3)
    assert 1 < echo.most <= 3 and len(place.texts) == 40


def test_other_models_answer_in_the_place_of_the_files_own(place: Place) -> None:
    place.write("hello", model="gpt-5")
    with pytest.raises(InvalidRequestError, match="gpt-5"):
        place.run(plugin_with(one=Echo()))
    down = ScriptedBackend([ServerError("down")])
    place.run(plugin_with(one=Echo(), down=down), models=("down:a", "one:b"))
    assert place.records["r0"]["response"]["body"]["model"] == "one:b"


def test_a_surrogate_from_a_model_is_written(place: Place) -> None:
    place.write("hello")
    place.run(plugin_with(one=ScriptedBackend(["half a pair \ud83d"])))
    assert place.texts["r0"] == "half a pair \ud83d"


# -- Mistakes ----------------------------------------------------------------------------------------


def _line(custom_id: Any = "a", body: Any = None, **more: Any) -> str:
    body = {"model": "one:m", "messages": [{"role": "user", "content": "x"}]} | (body or {})
    return json.dumps({"custom_id": custom_id, "body": body} | more)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "has no requests"),
        ("{", "line 1: this is no JSON"),
        ("[]", "line 1: a request is an object"),
        (_line(custom_id=""), "line 1: a request is an object"),
        (_line() + "\n" + _line(), "'a': two requests have this custom_id"),
        (_line(url="/v1/embeddings"), "not POST /v1/embeddings"),
        (_line(method="GET"), "not GET"),
        (_line(body={"stream": True}), "does not stream"),
        (_line(body={"n": 2}), "andon has no option for 'n'"),
        (_line(body={"messages": []}), "'messages' must be a list"),
        (_line(body={"model": "gpt"}), "'a'.*gpt"),
    ],
)
def test_mistakes_are_told_before_anything_is_sent(place: Place, text: str, told: str) -> None:
    echo = Echo()
    good = _line(custom_id="good") + "\n" if text.startswith('{"') else ""
    place.requests.write_text(text + "\n" + good)
    with pytest.raises(InvalidRequestError, match=told):
        place.run(plugin_with(one=echo))
    assert not echo.requests and not place.answers.exists()


def test_the_answers_of_another_batch_are_left_alone(place: Place) -> None:
    place.write("hello")
    place.run(plugin_with(one=Echo()))
    before = place.answers.read_bytes()
    place.requests.write_text(_line(custom_id="other"))
    with pytest.raises(InvalidRequestError, match="no request is called 'r0'"):
        place.run(plugin_with(one=Echo()))
    place.answers.write_text("notes\nof mine\n")
    with pytest.raises(InvalidRequestError, match="no answer of a batch"):
        place.run(plugin_with(one=Echo()))
    assert place.answers.read_text() == "notes\nof mine\n"
    assert before


# -- What stops a batch ------------------------------------------------------------------------------


def test_a_budget_stops_it_and_it_goes_on_later(place: Place, tmp_path: Path) -> None:
    place.write(*["hi"] * 6)
    ledger = f"sqlite:///{tmp_path}/spend.db"
    far = plugin_with(locality=Locality.PUBLIC, one=Echo())
    options: dict[str, Any] = {"prices": {"one:m": DOLLAR}, "ledger": ledger, "concurrency": 2}
    report = place.run(far, daily_budget_usd=12, **options)
    assert isinstance(report.stopped, DailyBudgetExceeded)
    assert 0 < report.done < 6 and report.failed == 0
    assert report.cost_usd == 2 * report.done
    # What was refused is not answered: it is asked when there is money again.
    report = place.run(far, daily_budget_usd=1000, **options)
    assert (report.done, report.stopped) == (6, None)
    assert len(place.texts) == 6


def test_a_request_that_alone_is_too_expensive_is_an_error_of_its_own(place: Place) -> None:
    place.write("hi", "hi")
    far = plugin_with(locality=Locality.PUBLIC, one=Echo())
    report = place.run(far, prices={"one:m": DOLLAR}, max_request_cost_usd=1)
    assert (report.done, report.failed, report.stopped) == (2, 2, None)


@pytest.mark.parametrize(
    ("backend", "options", "kind"),
    [
        (ScriptedBackend([AuthenticationError("wrong key")]), {}, AuthenticationError),
        (ScriptedBackend(), {"privacy": "sovereign"}, PrivacyViolation),
        (ScriptedBackend(), {"models": ("nobody:m",)}, ConfigurationError),
    ],
)
def test_what_befalls_every_request_stops_the_batch(
    place: Place, backend: Any, options: Any, kind: Any
) -> None:
    place.write(*["hi"] * 20)
    far = plugin_with(locality=Locality.PUBLIC, one=backend)
    report = place.run(
        far, prices={"one:m": Price(input=Decimal(0), output=Decimal(0))}, concurrency=2, **options
    )
    assert isinstance(report.stopped, kind)
    assert report.done == 0 and len(backend.requests) <= 2


def test_all_models_of_several_are_out_of_budget(place: Place) -> None:
    place.write("hi", model="one:m")
    far = plugin_with(locality=Locality.PUBLIC, one=Echo(), two=Echo())
    report = place.run(
        far, prices={"one:m": DOLLAR, "two:m": DOLLAR}, daily_budget_usd=1,
        models=("one:m", "two:m"),
    )  # fmt: skip
    assert isinstance(report.stopped, DailyBudgetExceeded)


def test_nobody_answering_is_no_reason_to_stop(place: Place) -> None:
    place.write("hi", "hi")
    one, two = (ScriptedBackend([ServerError("down")]) for _ in range(2))
    report = place.run(plugin_with(one=one, two=two), models=("one:m", "two:m"))
    assert (report.failed, report.stopped) == (2, None)
    assert place.records["r0"]["error"]["code"] == RoutingError.__name__


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("a bug")])
def test_what_was_answered_is_kept_whatever_ends_the_batch(
    place: Place, error: BaseException
) -> None:
    place.write("a", "b", "c", "d", "end", "f")
    with pytest.raises(type(error)):
        place.run(plugin_with(one=Dies(error=error)), concurrency=1)
    assert place.texts.keys() == {"r0", "r1", "r2", "r3"}
    place.run(plugin_with(one=Echo()))
    assert len(place.texts) == 6


@pytest.mark.parametrize("paid", [True, False])
def test_what_was_under_way_is_asked_again_where_it_is_free(place: Place, *, paid: bool) -> None:
    prices = {"one:m": DOLLAR} if paid else {}
    place.write("a", "b", "end", "d")
    with pytest.raises(KeyboardInterrupt):
        place.run(plugin_with(one=Dies()), concurrency=1, prices=prices)
    echo = Echo()
    report = place.run(plugin_with(one=echo), prices=prices)
    assert (
        [request.messages[-1].text for request in echo.requests] == ["d"] if paid else ["end", "d"]
    )
    assert (report.done, report.lost, report.failed) == (4, int(paid), int(paid))
    assert not place.answers.with_name("answers.jsonl.asked").exists()
    if paid:
        assert place.records["r2"]["error"]["code"] == AnswerLost.__name__
        report = place.run(plugin_with(one=echo), prices=prices, retry_errors=True)
        assert (report.lost, report.failed, place.texts["r2"]) == (0, 0, "end")


def test_a_name_that_was_half_written_was_not_asked(place: Place) -> None:
    place.write("a", "b")
    place.answers.with_name("answers.jsonl.asked").write_text('"r0"\n"r')
    report = place.run(plugin_with(one=Echo()), prices={"one:m": DOLLAR})
    assert (report.lost, set(place.texts)) == (1, {"r1"})


@pytest.mark.parametrize("text", ["my notes\n", "7\n"])
def test_a_file_of_somebody_else_is_left_alone(place: Place, text: str) -> None:
    place.write("a")
    other = place.answers.with_name("answers.jsonl.asked")
    other.write_text(text)
    with pytest.raises(InvalidRequestError, match="not of a batch"):
        place.run(plugin_with(one=Echo()), retry_errors=True)
    assert other.read_text() == text


def test_told_to_stop_it_finishes_what_is_under_way(place: Place) -> None:
    place.write(*map(str, range(9)))
    stop, echo = Event(), Echo()

    def tell(progress: BatchProgress) -> None:
        if progress.done >= 3:
            stop.set()

    report = place.run(plugin_with(one=echo), concurrency=2, on_progress=tell, stop=stop)
    assert 3 <= report.done < 9 and report.stopped is None
    assert len(echo.requests) == report.done == len(place.texts)
    assert place.run(plugin_with(one=echo)).done == 9
    assert len(echo.requests) == 9


class Inline(ThreadPoolExecutor):
    """Does the work of a thread at once, so that a loop's steps are always the same."""

    def submit(self, fn: Any, /, *arguments: Any, **options: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(fn(*arguments, **options))
        return done


def test_cancelled_at_any_step(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    """What came is written once, at whichever step of the event loop the batch is cancelled."""
    place.write(*"abcde")
    ended, steps = False, 0
    while not ended:
        echo = Echo()
        written: list[str] = []

        def deliver(answers: Sequence[BatchAnswer], written: list[str] = written) -> None:
            written.extend(answer.custom_id for answer in answers)

        async def cancel(backend: Echo = echo, after: int = steps, tell: Any = deliver) -> bool:
            asyncio.get_running_loop().set_default_executor(Inline())
            plugins = [plugin_with(one=backend)]
            job = BatchJob(
                make_client=lambda: AsyncClient(discover=False, plugins=plugins),
                settings=Settings(),
                concurrency=2,
            )
            work = asyncio.create_task(LocalEngine().arun(read_requests(place.requests), job, tell))
            for _ in range(after):
                await asyncio.sleep(0)
            if work.done():
                return True
            work.cancel()
            await asyncio.wait([work])
            return False

        ended = asyncio.run(cancel())
        assert len(set(written)) == len(written)
        assert len(echo.requests) - 2 <= len(written) <= len(echo.requests)
        steps += 1
    assert sorted(written) == ["r0", "r1", "r2", "r3", "r4"]
    gc.collect()
    assert not caplog.records  # asyncio tells of exceptions that nobody looked at


def test_a_full_disk(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a line is taken back, and the batch ends."""
    write, left = os.write, [500]

    def full(file: int, data: Any) -> int:
        if left[0] <= 0:
            raise OSError(28, "No space left on device")
        part = write(file, data[: left[0]])
        left[0] -= part
        return part

    place.write(*map(str, range(10)))
    with monkeypatch.context() as patch:
        patch.setattr(journal_module.os, "write", full)
        with pytest.raises(OSError, match="No space"):
            place.run(plugin_with(one=Echo()), concurrency=1)
    assert len(place.texts) == len(place.answers.read_text().splitlines()) < 10
    place.run(plugin_with(one=Echo()))
    assert len(place.texts) == 10
