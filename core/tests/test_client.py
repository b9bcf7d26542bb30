"""The clients: the same corridor in both colours, from a call's arguments to its bill."""

import asyncio
import threading
import warnings
from collections.abc import Awaitable, Callable
from decimal import Decimal
from types import ModuleType
from typing import Any

import pytest

from andon import (
    AndonError,
    AsyncClient,
    AsyncResponseStream,
    AuthenticationError,
    BackendContext,
    BackendSpec,
    BadRequestError,
    ChatDelta,
    ChatMessage,
    ChatResponse,
    Client,
    ClientClosedError,
    ContextOverflowError,
    DailyBudgetExceeded,
    FinishReason,
    InvalidRequestError,
    Locality,
    ModelCard,
    ObserverSpec,
    PluginWarning,
    Price,
    PrivacyViolation,
    RequestTimeout,
    RequestTooExpensive,
    RoutingError,
    ServerError,
    StreamInterrupted,
    ToolCall,
    ToolCallDelta,
    UnknownPriceError,
    Usage,
    hookimpl,
)
from andon.testing import ScriptedBackend, plugin_with

DOLLAR = Price(input=Decimal(1_000_000), output=Decimal(1_000_000))  # one dollar a token


class Both:
    """Asks through both clients, and insists that they agree."""

    def __init__(self, *plugins: ModuleType, **arguments: Any) -> None:
        self.sync = Client(discover=False, plugins=plugins, **arguments)
        self.plain = AsyncClient(discover=False, plugins=plugins, **arguments)

    def chat(self, model: Any, messages: Any = "hi", **options: Any) -> ChatResponse:
        return self._agree(
            lambda: self.sync.chat(model, messages, **options),
            lambda: self.plain.chat(model, messages, **options),
        )

    def stream(self, model: Any, messages: Any = "hi", **options: Any) -> list[ChatDelta]:
        def read() -> list[ChatDelta]:
            return list(self.sync.stream(model, messages, **options))

        async def aread() -> list[ChatDelta]:
            return [piece async for piece in self.plain.stream(model, messages, **options)]

        return self._agree(read, aread)

    def _agree(self, ask: Callable[[], Any], aask: Callable[[], Awaitable[Any]]) -> Any:
        async def run() -> Any:
            return await aask()

        first, second = _outcome(ask), _outcome(lambda: asyncio.run(run()))
        if isinstance(first, AndonError):
            assert (type(first), str(first)) == (type(second), str(second))
            raise first
        assert repr(first) == repr(second)  # errors compare by identity
        return first


def _outcome(ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except AndonError as error:
        return error


def test_a_whole_answer() -> None:
    reply = Both(plugin_with(one=ScriptedBackend(["Hello", " world"]))).chat("one:m", "a b c")
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


def test_tool_calls_are_put_together() -> None:
    pieces = [
        ChatDelta(tool_calls=(ToolCallDelta(0, "id0", "add", '{"a"'),)),
        ChatDelta(tool_calls=(ToolCallDelta(1, "id1", "sub"), ToolCallDelta(0, arguments=": 1}"))),
        ChatDelta(finish_reason=FinishReason.TOOL_CALLS),
    ]
    reply = Both(plugin_with(one=ScriptedBackend(pieces, finishes=False))).chat("one:m")
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
def test_a_mistake_is_found_before_any_work(model: Any, options: Any, says: str) -> None:
    backend = ScriptedBackend()
    with pytest.raises(AndonError, match=says):
        Both(plugin_with(one=backend)).chat(model, **options)
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


# -- The gates along the way ---------------------------------------------------------------------


def test_the_privacy_tier_refuses_a_public_backend() -> None:
    backend = ScriptedBackend()
    plugin = plugin_with(locality=Locality.PUBLIC, cloud=backend)
    with pytest.raises(PrivacyViolation, match=r"sovereign.*'cloud'.*public"):
        Both(plugin, privacy="sovereign").chat("cloud:m")
    assert not backend.requests


def test_no_fallback_leaves_the_privacy_tier() -> None:
    near, far = ScriptedBackend([ServerError("down")]), ScriptedBackend()
    plugins = plugin_with(near=near), plugin_with(locality=Locality.PUBLIC, far=far)
    with pytest.raises(RoutingError, match="down"):
        Both(*plugins, privacy="sovereign").chat(["near:m", "far:m"])
    assert not far.requests


def test_a_prompt_that_does_not_fit_is_refused_before_it_is_sent() -> None:
    backend = ScriptedBackend(card=ModelCard(name="m", context_window=3))
    with pytest.raises(ContextOverflowError, match="4 tokens") as caught:
        Both(plugin_with(one=backend)).chat("one:m", "a b c d")
    assert (caught.value.input_tokens, caught.value.window) == (4, 3)
    assert not backend.requests


def test_a_prompt_that_does_not_fit_goes_to_a_larger_window() -> None:
    small = ScriptedBackend(card=ModelCard(name="m", context_window=3))
    reply = Both(plugin_with(small=small, large=ScriptedBackend())).chat(
        ["small:m", "large:m"], "a b c d"
    )
    assert reply.backend == "large"


def test_what_cannot_be_paid_is_not_sent() -> None:
    backend = ScriptedBackend()
    plugin = plugin_with(locality=Locality.PUBLIC, paid=backend)
    both = Both(plugin, prices={"paid:m": DOLLAR}, daily_budget_usd=5)
    with pytest.raises(DailyBudgetExceeded):
        both.chat("paid:m", "a b", max_tokens=4)
    both = Both(plugin, prices={"paid:m": DOLLAR}, max_request_cost_usd=5)
    with pytest.raises(RequestTooExpensive):
        both.chat("paid:m", "a b", max_tokens=4)
    assert not backend.requests


def test_an_unknown_price_is_refused() -> None:
    backend = ScriptedBackend()
    with pytest.raises(UnknownPriceError):
        Both(plugin_with(locality=Locality.PUBLIC, paid=backend)).chat("paid:m")
    assert not backend.requests


def test_a_paid_answer_is_billed_exactly_and_capped_where_the_caller_set_no_cap() -> None:
    backend = ScriptedBackend(["x"])
    price = Price(input=Decimal("0.1"), output=Decimal("0.3"))
    client = Client(
        discover=False,
        plugins=[plugin_with(locality=Locality.PUBLIC, paid=backend)],
        prices={"paid:m": price},
    )
    reply = client.chat("paid:m", "a b c")
    assert reply.cost_usd == client.spent_today_usd == Decimal("0.0000006")
    assert backend.requests[0].sampling.max_tokens == 4096


def test_a_prompt_that_cannot_be_measured_is_bounded_by_its_bytes() -> None:
    backend = ScriptedBackend(["x"], measured=False)
    plugin = plugin_with(locality=Locality.PUBLIC, paid=backend)
    both = Both(plugin, prices={"paid:m": DOLLAR}, daily_budget_usd=100)
    with pytest.raises(DailyBudgetExceeded):
        both.chat("paid:m", "x" * 90, max_tokens=1)
    assert Both(plugin, prices={"paid:m": DOLLAR}).chat("paid:m", "x", max_tokens=1).text == "x"


# -- When a backend fails ------------------------------------------------------------------------


def test_before_the_first_token_the_next_model_answers() -> None:
    broken = ScriptedBackend([ServerError("down")])
    both = Both(plugin_with(broken=broken, sound=ScriptedBackend(["ok"])))
    assert [piece.text for piece in both.stream(["broken:m", "sound:m"])] == ["ok", ""]
    reply = both.chat(["broken:m", "sound:m"])
    assert [(a.backend, str(a.error)) for a in reply.attempts] == [
        ("broken", "down"),
        ("sound", "None"),
    ]


def test_an_answer_that_nobody_saw_is_started_again_elsewhere() -> None:
    broken = ScriptedBackend(["half", ServerError("cut")])
    both = Both(plugin_with(broken=broken, sound=ScriptedBackend(["whole"])))
    assert both.chat(["broken:m", "sound:m"]).text == "whole"


def test_an_answer_that_somebody_saw_is_interrupted_with_what_had_arrived() -> None:
    broken = ScriptedBackend(["half", ServerError("cut")])
    both = Both(plugin_with(broken=broken, sound=ScriptedBackend(["whole"])))
    with pytest.raises(StreamInterrupted, match="after 4 characters: cut") as caught:
        both.stream(["broken:m", "sound:m"])
    assert caught.value.partial == "half"
    assert isinstance(caught.value.__cause__, ServerError)
    assert [attempt.backend for attempt in caught.value.attempts] == ["broken"]


def test_an_answer_without_its_end_is_no_answer() -> None:
    with pytest.raises(StreamInterrupted) as caught:
        Both(plugin_with(one=ScriptedBackend(["half"], finishes=False))).stream("one:m")
    assert caught.value.partial == "half"


def test_a_bad_request_goes_nowhere_else() -> None:
    sound = ScriptedBackend()
    both = Both(plugin_with(bad=ScriptedBackend([BadRequestError("no")]), sound=sound))
    with pytest.raises(BadRequestError, match="no"):
        both.chat(["bad:m", "sound:m"])
    assert not sound.requests


def test_one_failed_model_gives_its_own_error_and_several_all_of_them() -> None:
    first, second = (
        ScriptedBackend([AuthenticationError("key")]),
        ScriptedBackend([ServerError("x")]),
    )
    both = Both(plugin_with(first=first, second=second))
    with pytest.raises(AuthenticationError) as one:
        both.chat("first:m")
    assert (one.value.backend, one.value.model) == ("first", "m")
    with pytest.raises(RoutingError, match=r"first:m: key; second:m: x") as all_of_them:
        both.chat(["first:m", "second:m"])
    assert len(all_of_them.value.attempts) == 2


def test_a_failed_attempt_gives_its_reservation_back() -> None:
    plugin = plugin_with(locality=Locality.PUBLIC, paid=ScriptedBackend([ServerError("down")]))
    client = Client(discover=False, plugins=[plugin], prices={"paid:m": DOLLAR}, daily_budget_usd=9)
    for _ in range(3):
        with pytest.raises(ServerError):
            client.chat("paid:m", "hi", max_tokens=5)
    assert client.spent_today_usd == 0


def test_one_deadline_holds_for_all_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("andon.drivers.time.monotonic", lambda: now[0])

    class Slow(ScriptedBackend):
        def stream(self, request: Any, timeout: Any) -> Any:
            now[0] += 4
            yield from ScriptedBackend.stream(self, request, timeout)

    slow = Slow([ServerError("slow")])
    second, third = ScriptedBackend([ServerError("down")]), Slow([RequestTimeout("late")])
    last = ScriptedBackend()
    client = Client(
        discover=False, plugins=[plugin_with(slow=slow, second=second, third=third, last=last)]
    )
    with pytest.raises(RequestTimeout, match="late"):
        client.chat(["slow:m", "second:m", "third:m", "last:m"], "hi", timeout=7)
    assert (slow.timeouts, second.timeouts, third.timeouts) == ([7], [3], [3])
    assert not last.requests


# -- Observers -----------------------------------------------------------------------------------


def _observer(observe: Callable[[Any], None]) -> ModuleType:
    module = ModuleType("watcher")
    specs = [ObserverSpec(name="watcher", observe=observe)]
    vars(module)["andon_register_observers"] = hookimpl(lambda: specs)
    return module


def test_observers_are_told_what_happens() -> None:
    events: list[Any] = []
    broken = ScriptedBackend([ServerError("down")])
    client = Client(
        discover=False,
        plugins=[plugin_with(broken=broken, sound=ScriptedBackend()), _observer(events.append)],
    )
    client.chat(["broken:m", "sound:m"], "hi there")
    stream = client.stream("sound:m", "hi")
    next(stream)
    stream.close()
    assert [(type(event).__name__, event.backend, event.request_id) for event in events] == [
        ("AttemptStarted", "broken", 1),
        ("AttemptFailed", "broken", 1),
        ("AttemptStarted", "sound", 1),
        ("AnswerFinished", "sound", 1),
        ("AttemptStarted", "sound", 2),
        ("AnswerAbandoned", "sound", 2),
    ]


def test_an_observer_that_raises_is_reported_once_and_harms_nobody() -> None:
    def observe(event: Any) -> None:
        raise ValueError("blind")

    client = Client(
        discover=False, plugins=[plugin_with(one=ScriptedBackend()), _observer(observe)]
    )
    with pytest.warns(PluginWarning, match="blind"):
        assert client.chat("one:m", "hi").text == "Hello world"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        client.chat("one:m", "hi")
