from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from andon.backends.engine import GenerateOptions
from andon.errors import ClientClosedError, ContextOverflowError, RequestTimeout
from andon.specs import BackendContext
from andon_llama_cpp.engine import LlamaEngine
from andon_llama_cpp.options import Options

PROMPT = [1, 265, 270, 280, 263, 290]


def greedy(engine: LlamaEngine, tokens: list[int], size: int = 12, **kwargs) -> list[bytes]:
    options = GenerateOptions(max_tokens=size, temperature=0, **kwargs)
    return list(engine.generate(tokens, options))


@pytest.fixture(scope="module")
def engines(tiny):
    made = [LlamaEngine(tiny, Options(n_threads=1, n_batch=16), ignore_eog=True) for _ in range(2)]
    yield made
    for engine in made:
        engine.close()


token_ids = st.integers(3, 300)


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.integers(0, 60), st.lists(token_ids, max_size=40), st.integers(1, 12)))
)
def test_turns_over_a_kept_prefix_answer_like_a_fresh_engine(engines, turns):
    """Each turn keeps a part of what was said before, adds to it, and lets the model go on."""
    warm, fresh = engines
    said = [1]
    for keep, added, size in turns:
        said = [1, *said[1 : 1 + keep], *added][:200]
        fresh._context.forget()
        expected = greedy(fresh, said, size)
        assert greedy(warm, said, size) == expected
        assert fresh.reused_tokens == 0
        assert warm.reused_tokens <= len(said) - 1
        said = list(warm._context.tokens)


def test_what_was_read_is_not_read_again(tiny_engine):
    greedy(tiny_engine, PROMPT, 1)
    assert tiny_engine.reused_tokens == 0
    greedy(tiny_engine, [*PROMPT, 266], 1)
    assert tiny_engine.reused_tokens == len(PROMPT)
    greedy(tiny_engine, [*PROMPT[:3], 299, 298], 1)
    assert tiny_engine.reused_tokens == 3
    greedy(tiny_engine, [*PROMPT[:3], 299, 298], 1)
    assert tiny_engine.reused_tokens == 4


def test_a_memory_that_cannot_forget_a_part_forgets_everything(tiny_engine, monkeypatch):
    expected = greedy(tiny_engine, PROMPT)
    functions = tiny_engine._model.functions
    monkeypatch.setattr(functions, "llama_memory_seq_rm", lambda *args: False)
    assert greedy(tiny_engine, PROMPT) == expected
    assert tiny_engine.reused_tokens == 0


def test_tokens_are_those_of_the_binding(tiny, tiny_engine):
    from itertools import islice

    from llama_cpp import Llama

    llama = Llama(str(tiny), n_ctx=256, n_threads=1, verbose=False)
    expected = list(islice(llama.generate(PROMPT, temp=0), 40))
    llama.close()
    greedy(tiny_engine, PROMPT, 41)
    assert tiny_engine._context.tokens[len(PROMPT) :][:40] == expected


@pytest.mark.parametrize("after", [0, 1, 2, 5])
def test_cancelling_leaves_the_engine_consistent(tiny_engine, after):
    expected = greedy(tiny_engine, PROMPT * 8)
    tiny_engine._context.forget()
    asked = 0

    def cancelled() -> bool:
        nonlocal asked
        asked += 1
        return asked > after

    pieces = greedy(tiny_engine, PROMPT * 8, cancelled=cancelled)
    # 48 tokens are read in three batches, each after a question, and then one a token.
    assert len(pieces) == max(0, after - 2)
    assert greedy(tiny_engine, PROMPT * 8) == expected


def test_abandoning_an_answer_leaves_the_engine_consistent(tiny_engine):
    expected = greedy(tiny_engine, PROMPT)
    stream = tiny_engine.generate([5, 6, 7], GenerateOptions(max_tokens=20, temperature=0))
    next(stream)
    stream.close()
    assert greedy(tiny_engine, PROMPT) == expected


def test_a_failure_of_llama_cpp_leaves_the_engine_consistent(tiny_engine, monkeypatch):
    from andon.errors import ServerError

    expected = greedy(tiny_engine, PROMPT)
    with monkeypatch.context() as patch:
        patch.setattr(tiny_engine._model.functions, "llama_decode", lambda *args: 1)
        with pytest.raises(ServerError, match="code 1"):
            greedy(tiny_engine, PROMPT)
    assert greedy(tiny_engine, PROMPT) == expected
    assert tiny_engine.reused_tokens == 0


def test_a_prompt_as_large_as_the_window_is_refused(tiny_engine):
    assert len(greedy(tiny_engine, [5] * 255, 1)) == 1
    with pytest.raises(ContextOverflowError):
        greedy(tiny_engine, [5] * 256, 1)


def test_closing_in_the_midst_of_an_answer_ends_it(tiny):
    engine = LlamaEngine(tiny)
    stream = engine.generate(PROMPT, GenerateOptions(max_tokens=20, temperature=0))
    next(stream)
    engine.close()
    engine.close()
    assert list(stream) == []
    with pytest.raises(ClientClosedError):
        greedy(engine, PROMPT)
    with pytest.raises(ClientClosedError):
        engine.tokenize((), True)


def test_closing_the_backend_in_the_midst_of_an_answer(tiny, chat_with):
    chat = chat_with(tiny)
    stream = chat.backend.stream(chat.request(prompt="the", max_tokens=50), None)
    next(stream)
    chat.backend.close()
    with pytest.raises(ClientClosedError):
        list(stream)


def test_a_timeout_ends_the_reading_of_a_long_prompt(tiny):
    from andon.backends.in_process import InProcessBackend
    from andon.chat import ChatRequest
    from andon_llama_cpp.engine import load

    times = iter(range(1000))
    context = BackendContext(options={"n_batch": 8})
    backend = InProcessBackend("llama-cpp", load, context, clock=lambda: next(times))
    request = ChatRequest(model=str(tiny), prompt="the " * 50)
    with pytest.raises(RequestTimeout):
        list(backend.stream(request, 8))
    engine = backend._model(str(tiny)).engine
    assert 0 < len(engine._context.tokens) < 50
    backend.close()


def test_threads_and_tasks_that_share_the_model_get_the_answers_of_one_alone(tiny, chat_with):
    questions = [f"the {word} " * 3 for word in ("ant", "hen", "rat", "tin", "ice", "era")]
    alone = chat_with(tiny)
    expected = [alone.text(prompt=question, max_tokens=30) for question in questions]
    chat = chat_with(tiny)

    async def tasks() -> list[str]:
        return await asyncio.gather(
            *(chat.atext(prompt=question, max_tokens=30) for question in questions)
        )

    def ask(number: int) -> list[str]:
        if number % 2:
            return asyncio.run(tasks())
        return [chat.text(prompt=question, max_tokens=30) for question in questions]

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(ask, range(6)))
    assert answers == [expected] * 6


def test_models_are_freed(tiny):
    import gc
    import weakref

    engine = LlamaEngine(tiny)
    model, gone = engine._model, weakref.ref(engine)
    del engine
    gc.collect()
    assert gone() is None
    assert model.pointer is None
