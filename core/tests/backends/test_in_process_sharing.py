"""Many threads and tasks, one engine: everybody gets a whole answer of his own, in his turn."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from andon.backends.relay import LIMIT
from andon.chat import FinishReason, Sampling
from andon.errors import ClientClosedError, RequestTimeout, ServerError, UnsupportedParameterError


def echo(prompt: bytes) -> list[bytes]:
    word = prompt.split(b"user\n")[-1].split(b"<|im_end|>")[0]
    return [bytes([byte]) for byte in word * 5]


def xs(prompt: bytes) -> list[bytes]:
    return [b"x"] * 500


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 what is waited for happens in threads
        await asyncio.sleep(0)


async def atext(one, content: str = "hi", **kwargs) -> str:
    stream = one.backend.astream(one.request(content, **kwargs), None)
    return "".join([delta.text async for delta in stream])


def test_threads_that_ask_at_once_load_once_and_never_meet_in_the_engine(bench):
    one = bench(echo)
    start = threading.Barrier(8)

    def ask(number: int) -> str:
        start.wait()
        return one.text(f"word{number} ")

    with ThreadPoolExecutor(8) as pool:
        texts = list(pool.map(ask, range(8)))
    assert texts == [f"word{number} " * 5 for number in range(8)]
    assert len(one.loads) == 1
    assert not one.engine.overlapped


def test_threads_and_tasks_share_one_engine(bench):
    one = bench(echo)

    async def tasks(loop_number: int) -> list[str]:
        return await asyncio.gather(*(atext(one, f"t{loop_number}.{n} ") for n in range(6)))

    def ask(number: int) -> list[str]:
        if number % 2:
            return asyncio.run(tasks(number))
        return [one.text(f"t{number}.{n} ") for n in range(6)]

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(ask, range(6)))
    assert answers == [[f"t{number}.{n} " * 5 for n in range(6)] for number in range(6)]
    assert not one.engine.overlapped
    assert len(one.loads) == 1


def test_callers_are_served_in_the_order_of_their_coming(bench):
    one = bench(echo)

    async def main() -> None:
        model = one.backend._model("/models/qwen2.5-7b")
        holder = model.turnstile.join()
        jobs = []
        for name in ("a", "sync", "b"):
            waiting = len(model.turnstile._queue)
            ask = asyncio.to_thread(one.text, name) if name == "sync" else atext(one, name)
            jobs.append(asyncio.create_task(ask))
            await until(lambda waiting=waiting: len(model.turnstile._queue) > waiting)
        holder.leave()
        await asyncio.gather(*jobs)

    asyncio.run(main())
    asked = [prompt.split("user\n")[-1].split("<|im_end|>")[0] for prompt in one.engine.prompts]
    assert asked == ["a", "sync", "b"]


def test_an_async_answer_is_the_same_as_a_sync_one(bench):
    one = bench(echo)

    async def main():
        return [delta async for delta in one.backend.astream(one.request("yes"), 5)]

    deltas = asyncio.run(main())
    assert "".join(delta.text for delta in deltas) == "yes" * 5
    assert deltas[-1].finish_reason is FinishReason.STOP
    assert deltas[-1].usage == one.ask("yes")[-1].usage
    assert asyncio.run(one.backend.ameasure(one.request())).count.tokens > 0


def test_the_loop_goes_on_while_the_model_loads(bench):
    one = bench()
    loading, go_on = threading.Event(), threading.Event()
    load = one.load

    def slow(name, path, context):
        loading.set()
        assert go_on.wait(30)
        return load(name, path, context)

    one.backend._load = slow

    async def main() -> str:
        answer = asyncio.create_task(atext(one))
        await asyncio.to_thread(loading.wait)
        go_on.set()
        return await answer

    assert asyncio.run(main()) == "hello"


def test_aclose_leaves_the_engine_free(bench):
    one = bench(xs)

    async def main() -> None:
        stream = one.backend.astream(one.request(), None)
        await anext(stream)
        await stream.aclose()
        assert one.engine.open_answers == 0
        assert await atext(one, sampling=Sampling(max_tokens=3)) == "xxx"

    asyncio.run(main())
    assert one.engine.given < 500


def test_cancelling_a_task_in_the_midst_of_an_answer_frees_the_engine(bench):
    inside, go_on = threading.Event(), threading.Event()

    def script(prompt: bytes):
        yield b"x"
        inside.set()
        assert go_on.wait(30)
        yield from xs(prompt)

    one = bench(script)

    async def main() -> None:
        task = asyncio.create_task(atext(one))
        await asyncio.to_thread(inside.wait)
        task.cancel()
        asyncio.get_running_loop().call_soon(go_on.set)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert one.engine.open_answers == 0

    asyncio.run(main())
    assert one.engine.given <= 2


@pytest.mark.parametrize("waiting_tasks", [1, 3])
def test_cancelling_a_task_that_waits_does_not_wait_for_the_others(bench, waiting_tasks):
    one = bench(xs)
    holder = one.backend.stream(one.request(), None)
    next(holder)

    async def main() -> None:
        model = one.backend._model("/models/qwen2.5-7b")
        tasks = [asyncio.create_task(atext(one)) for _ in range(waiting_tasks)]
        await until(lambda: len(model.turnstile._queue) == waiting_tasks)
        for task in reversed(tasks):
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(result, asyncio.CancelledError) for result in results)
        assert not model.turnstile._queue

    asyncio.run(main())
    assert next(holder).text == "x"
    assert len(one.engine.prompts) == 1


def test_errors_reach_the_task(bench):
    def broken(prompt: bytes):
        yield b"x"
        raise ValueError("broken")

    one = bench(broken)

    def late(prompt: bytes):
        yield b"x"
        one.clock.now = 7
        yield b"x"

    async def main() -> None:
        with pytest.raises(ServerError, match="broken"):
            await atext(one)
        with pytest.raises(UnsupportedParameterError):
            await atext(one, reasoning_effort="high")
        one.clock.now = 1
        stream = one.backend.astream(one.request(), 5)
        one.engine.script = late
        with pytest.raises(RequestTimeout):
            async for _ in stream:
                pass

    asyncio.run(main())


def test_a_slow_reader_holds_the_engine_back(bench):
    one = bench(lambda prompt: [b"x"] * 5000, window=None)

    async def main() -> None:
        stream = one.backend.astream(one.request(), None)
        await anext(stream)
        # The worker has nothing else to wait for than room for its deltas.
        room = asyncio.to_thread(one.backend.measure, one.request("other"))
        assert (await room).count.tokens
        assert one.engine.given <= 2 * LIMIT + 1
        await stream.aclose()

    asyncio.run(main())


def test_closing_ends_running_and_waiting_answers(bench):
    inside, go_on = threading.Event(), threading.Event()

    def script(prompt: bytes):
        yield b"x"
        inside.set()
        assert go_on.wait(30)
        yield b"x"

    one = bench(script)

    async def main() -> None:
        tasks = [asyncio.create_task(atext(one)) for _ in range(3)]
        await asyncio.to_thread(inside.wait)
        model = one.backend._by_name["/models/qwen2.5-7b"]
        closing = asyncio.create_task(one.backend.aclose())
        await until(lambda: model.closing)
        go_on.set()
        await closing
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(result) for result in results] == [ClientClosedError] * 3
        with pytest.raises(ClientClosedError):
            await atext(one)

    asyncio.run(main())
    assert one.engine.closed.is_set()


def test_an_answer_may_be_read_and_closed_by_different_threads(bench):
    one = bench(xs)
    stream = one.backend.stream(one.request(), None)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(next, stream).result()
        assert next(stream).text == "x"
        pool.submit(stream.close).result()
        assert pool.submit(one.text, sampling=Sampling(max_tokens=1)).result() == "x"
    assert one.text(sampling=Sampling(max_tokens=1)) == "x"
