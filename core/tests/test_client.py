"""The clients: the same corridor in both colours, from a call's arguments to its bill."""

import asyncio
import threading
from dataclasses import replace
from decimal import Decimal
from types import ModuleType
from typing import Any

import pytest

from andon import (
    AndonError,
    AsyncClient,
    AsyncResponseStream,
    BackendContext,
    BackendSpec,
    ChatDelta,
    ChatMessage,
    Client,
    ClientClosedError,
    FinishReason,
    InvalidRequestError,
    Locality,
    Price,
    ToolCall,
    ToolCallDelta,
    Usage,
    hookimpl,
)
from andon.backends.http_backend import http_backend_spec
from andon.testing import ScriptedBackend, plugin_with
from andon.wire.endpoint import EndpointSpec
from andon.wire.openai_chat import openai_dialect

DOLLAR = Price(input=Decimal(1_000_000), output=Decimal(1_000_000))  # one dollar a token


def test_a_whole_answer(both: Any) -> None:
    reply = both(plugin_with(one=ScriptedBackend(["Hello", " world"]))).chat("one:m", "a b c")
    assert reply.text == "Hello world"
    assert reply.message == ChatMessage.assistant("Hello world")
    assert (reply.backend, reply.model) == ("one", "m")
    assert reply.usage == Usage(3, 2)
    assert reply.cost_usd == 0
    assert reply.finish_reason is FinishReason.STOP


def test_an_answer_in_pieces_and_then_as_a_whole() -> None:
    client = Client(discover=False, plugins=[plugin_with(one=ScriptedBackend(["a", "b"]))])
    with client.stream("one:m", "hi") as stream:
        assert next(stream).text == "a"
        with pytest.raises(InvalidRequestError, match="not complete"):
            _ = stream.response
        assert [piece.text for piece in stream] == ["b", ""]
    assert stream.response.text == "ab"


def test_a_raw_prompt() -> None:
    backend = ScriptedBackend(["4"])
    client = Client(discover=False, plugins=[plugin_with(one=backend)])
    assert client.complete("one:m", "2+2=").text == "4"
    assert [piece.text for piece in client.stream("one:m", prompt="2+2=")] == ["4", ""]
    assert [request.prompt for request in backend.requests] == ["2+2="] * 2


def test_options_reach_the_backend() -> None:
    backend = ScriptedBackend()
    client = Client(discover=False, plugins=[plugin_with(one=backend)])
    tool = {"type": "function", "function": {"name": "add"}}
    client.chat("one:m", "x", max_tokens=5, stop="END", seed=7, tools=[tool], tool_choice="add")
    request = backend.requests[0]
    assert (request.sampling.max_tokens, request.sampling.seed) == (5, 7)
    assert request.sampling.stop == ("END",)
    assert request.tools[0].name == request.tool_choice == "add"


def test_tool_calls_are_put_together(both: Any) -> None:
    pieces = [
        ChatDelta(tool_calls=(ToolCallDelta(0, "id0", "add", '{"a"'),)),
        ChatDelta(tool_calls=(ToolCallDelta(1, "id1", "sub"), ToolCallDelta(0, arguments=": 1}"))),
        ChatDelta(finish_reason=FinishReason.TOOL_CALLS),
    ]
    reply = both(plugin_with(one=ScriptedBackend(pieces, finishes=False))).chat("one:m")
    assert reply.tool_calls == (ToolCall("id0", "add", '{"a": 1}'), ToolCall("id1", "sub", ""))


@pytest.mark.parametrize(
    ("model", "options", "says"),
    [
        ("m", {}, "backend:model"),
        ([], {}, "no model"),
        ("one:m", {"temperature": -1}, "temperature"),
        ("one:m", {"timeout": 0}, "timeout"),
    ],
)
def test_a_mistake_is_found_before_any_work(both: Any, model: Any, options: Any, says: str) -> None:
    backend = ScriptedBackend()
    with pytest.raises(AndonError, match=says):
        both(plugin_with(one=backend)).chat(model, **options)
    assert not backend.requests


def test_an_unknown_option_is_a_type_error_that_lists_the_known_ones() -> None:
    client = Client(discover=False)
    with pytest.raises(TypeError, match=r"max_token.*max_tokens"):
        client.chat("one:m", "hi", max_token=5)  # type: ignore[call-arg]


# -- Closing and cancelling --------------------------------------------------------------------


def test_closing_a_stream_closes_the_backends_and_bills_what_was_delivered() -> None:
    backend = ScriptedBackend(["ab", "cd"])
    client = Client(discover=False, plugins=[plugin_with(one=backend)], prices={"one:m": DOLLAR})
    stream = client.stream("one:m", "x y", max_tokens=10)
    next(stream)
    assert client.spent_today_usd == 12
    stream.close()
    assert backend.closed_streams == 1
    assert client.spent_today_usd == 4


async def _take_one_and_leave(client: AsyncClient) -> None:
    async with client.stream("one:m", "x y", max_tokens=10) as stream:
        await anext(stream)


def test_leaving_an_async_stream_does_the_same() -> None:
    backend = ScriptedBackend(["ab", "cd"])
    client = AsyncClient(
        discover=False, plugins=[plugin_with(one=backend)], prices={"one:m": DOLLAR}
    )
    asyncio.run(_take_one_and_leave(client))
    assert backend.closed_streams == 1
    assert client.spent_today_usd == 4


def test_a_stream_that_is_left_open_is_tidied_up_when_the_loop_ends() -> None:
    class SlowToLeave(ScriptedBackend):
        async def astream(self, request: Any, timeout: Any) -> Any:
            try:
                for delta in self.stream(request, timeout):
                    yield delta
            finally:
                await asyncio.sleep(0)

    backend = SlowToLeave(["ab", "cd"])
    client = AsyncClient(
        discover=False, plugins=[plugin_with(one=backend)], prices={"one:m": DOLLAR}
    )
    complaints: list[Any] = []

    async def leave() -> AsyncResponseStream:
        asyncio.get_running_loop().set_exception_handler(
            lambda loop, context: complaints.append(context)
        )
        stream = client.stream("one:m", "x y", max_tokens=10)
        await anext(stream)
        return stream

    asyncio.run(leave())
    assert complaints == []
    assert backend.closed_streams == 1
    assert client.spent_today_usd == 4


def test_cancelling_a_task_closes_the_backends_stream() -> None:
    entered: list[asyncio.Event] = []
    closed: list[bool] = []

    class Waiting(ScriptedBackend):
        async def astream(self, request: Any, timeout: Any) -> Any:
            try:
                entered[0].set()
                await asyncio.Event().wait()
                yield ChatDelta()
            finally:
                closed.append(True)

    async def run() -> None:
        entered.append(asyncio.Event())
        async with AsyncClient(discover=False, plugins=[plugin_with(one=Waiting())]) as client:
            task = asyncio.create_task(client.chat("one:m", "hi"))
            await entered[0].wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(run())
    assert closed == [True]


def test_an_interrupt_settles_what_was_reserved() -> None:
    backend = ScriptedBackend(["ab", KeyboardInterrupt()])
    client = Client(discover=False, plugins=[plugin_with(one=backend)], prices={"one:m": DOLLAR})
    with pytest.raises(KeyboardInterrupt):
        client.chat("one:m", "x", max_tokens=10)
    assert client.spent_today_usd == 3


def test_a_closed_client_serves_no_more() -> None:
    backend = ScriptedBackend()
    with Client(discover=False, plugins=[plugin_with(one=backend)]) as client:
        client.chat("one:m", "hi")
    assert backend.closed
    with pytest.raises(ClientClosedError):
        client.chat("one:m", "hi")


def test_a_backend_is_made_once_for_all_threads() -> None:
    made: list[BackendContext] = []
    backend = ScriptedBackend()

    def create(context: BackendContext) -> ScriptedBackend:
        made.append(context)
        return backend

    spec = BackendSpec(name="one", create=create, locality=Locality.IN_PROCESS)
    module = ModuleType("once")
    vars(module)["andon_register_backends"] = hookimpl(lambda: [spec])
    client = Client(discover=False, plugins=[module], endpoints={"one": {"n": 1}})
    start = threading.Barrier(8)
    texts: list[str] = []

    def ask() -> None:
        start.wait()
        texts.append(client.chat("one:m", "hi").text)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert texts == ["Hello world"] * 8
    assert [context.options for context in made] == [{"n": 1}]


def test_each_client_has_an_environment_of_its_own() -> None:
    endpoint = EndpointSpec(
        base_url="http://127.0.0.1:9/v1", locality=Locality.LOCAL, key_variables=("A_KEY", "B_KEY")
    )
    contexts = []

    def create(context: BackendContext) -> ScriptedBackend:
        contexts.append(context)
        return ScriptedBackend([])

    spec = replace(http_backend_spec("keyed", endpoint, openai_dialect()), create=create)
    assert spec.key_variables == ("A_KEY", "B_KEY")
    plugin = ModuleType("keyed")
    vars(plugin)["andon_register_backends"] = hookimpl(lambda: [spec])
    for environment in ({"A_KEY": "ada"}, {"A_KEY": "bob"}, None):
        client = Client(discover=False, plugins=[plugin], environment=environment)
        with client:
            client.models()
    assert [context.environment for context in contexts] == [{"A_KEY": "ada"}, {"A_KEY": "bob"}, {}]
