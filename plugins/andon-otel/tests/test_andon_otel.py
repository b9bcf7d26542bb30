"""Spans and measurements, as the real SDK keeps and sends them."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

import andon_otel
from andon import (
    AndonError,
    AsyncClient,
    ChatDelta,
    ChatMessage,
    Client,
    FinishReason,
    Locality,
    Price,
    RateLimitError,
    ServerError,
    StreamInterrupted,
    ToolCallDelta,
    Usage,
)
from andon.chat import Reconnected
from andon.testing import ObserverConformance, ScriptedBackend, plugin_with
from andon_otel import OpenTelemetry

SECRET = "the colour of the sky"


class TestConformance(ObserverConformance):
    plugin = andon_otel
    name = "otel"


class Telescope:
    """The real SDK, which keeps what it is told in memory."""

    def __init__(self) -> None:
        self.spans_kept = InMemorySpanExporter()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self.spans_kept))
        self.reader = InMemoryMetricReader()
        self.meters = MeterProvider(metric_readers=[self.reader])

    def plugin(self, *, capture_content: bool | None = False) -> OpenTelemetry:
        return OpenTelemetry(
            capture_content=capture_content,
            tracer_provider=self.tracers,
            meter_provider=self.meters,
        )

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self.spans_kept.get_finished_spans())

    @property
    def requests(self) -> list[ReadableSpan]:
        return [span for span in self.spans if span.kind is SpanKind.CLIENT]

    @property
    def attempts(self) -> list[ReadableSpan]:
        return [span for span in self.spans if span.name.startswith("attempt ")]

    def points(self, name: str) -> list[Any]:
        data = self.reader.get_metrics_data()
        return [
            point
            for resource in (data.resource_metrics if data else [])
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]


@pytest.fixture
def telescope() -> Iterator[Telescope]:
    made = Telescope()
    yield made
    made.tracers.shutdown()
    made.meters.shutdown()


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def client(telescope: Telescope, kind: Any = Client, **backends: Any) -> Any:
    return kind(discover=False, plugins=[plugin_with(**backends), telescope.plugin()])


# -- One request -----------------------------------------------------------------------------------


def test_a_request_is_a_span_with_an_attempt_beneath_it(telescope: Telescope) -> None:
    answer = ChatDelta(
        finish_reason=FinishReason.STOP,
        usage=Usage(7, 3, cached_input_tokens=2, reasoning_tokens=1),
        request_id="req-1",
    )
    groq = ScriptedBackend(["It is blue", answer], finishes=False)
    plugin = plugin_with(locality=Locality.PUBLIC, groq=groq)
    prices = {"groq:m": Price(input=Decimal(1), output=Decimal(10))}
    asking = Client(discover=False, plugins=[plugin, telescope.plugin()], prices=prices)
    asking.chat(
        "groq:m", SECRET, max_tokens=50, temperature=0.5, stop=["END"], seed=4,
        labels={"team": "sky"},
    )  # fmt: skip
    [request], [attempt] = telescope.requests, telescope.attempts
    assert (request.name, request.parent) == ("chat m", None)
    assert attributes(request) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "groq",
        "gen_ai.request.model": "m",
        "gen_ai.request.max_tokens": 50,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.stop_sequences": ("END",),
        "gen_ai.request.seed": 4,
        "gen_ai.output.type": "text",
        "gen_ai.response.id": "req-1",
        "gen_ai.response.model": "m",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 3,
        "gen_ai.usage.cache_read.input_tokens": 2,
        "gen_ai.usage.reasoning.output_tokens": 1,
        "andon.cost_usd": 0.000037,
        "andon.label.team": "sky",
    }
    assert attempt.name == "attempt groq:m"
    assert attempt.parent is not None and request.context is not None
    assert attempt.parent.span_id == request.context.span_id
    kept = attributes(attempt)
    assert (kept["andon.usage.input_tokens"], kept["andon.usage.output_tokens"]) == (7, 3)
    assert not [name for name in kept if name.startswith("gen_ai.usage")]
    assert request.status.status_code is StatusCode.UNSET
    assert all(span.end_time is not None for span in telescope.spans)


def test_the_measurements(telescope: Telescope) -> None:
    asking = client(telescope, one=ScriptedBackend(["a", "b"]))
    asking.chat("one:m", "hi there")
    list(asking.stream("one:m", "hi there"))
    [duration] = telescope.points("gen_ai.client.operation.duration")
    common = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "one",
        "gen_ai.request.model": "m",
    }
    assert dict(duration.attributes) == common | {"gen_ai.response.model": "m"}
    assert (duration.count, duration.sum > 0) == (2, True)
    assert duration.explicit_bounds[:3] == (0.01, 0.02, 0.04)
    tokens = {
        point.attributes["gen_ai.token.type"]: (point.count, point.sum)
        for point in telescope.points("gen_ai.client.token.usage")
    }
    assert tokens == {"input": (2, 4), "output": (2, 4)}
    # Streams only.
    [first] = telescope.points("gen_ai.client.operation.time_to_first_chunk")
    assert first.count == 1
    [attempt] = telescope.points("andon.attempt.duration")
    assert attempt.count == 2


def test_what_was_spent_is_measured(telescope: Telescope) -> None:
    plugin = plugin_with(locality=Locality.PUBLIC, far=ScriptedBackend(["a"]))
    prices = {"far:m": Price(input=Decimal(1_000_000), output=Decimal(1_000_000))}
    asking = Client(discover=False, plugins=[plugin, telescope.plugin()], prices=prices)
    asking.chat("far:m", "hi", max_tokens=3)
    [cost] = telescope.points("andon.cost")
    assert cost.value == 2


def test_the_callers_span_is_the_parent(telescope: Telescope) -> None:
    tracer = telescope.tracers.get_tracer("application")

    async def ask(asking: AsyncClient, name: str) -> None:
        with tracer.start_as_current_span(name):
            await asking.chat("one:m", "hi")
            async for _ in asking.stream("one:m", "hi"):
                pass

    async def run() -> None:
        async with client(telescope, AsyncClient, one=ScriptedBackend()) as asking:
            await asyncio.gather(*(ask(asking, f"task {number}") for number in range(5)))

    asyncio.run(run())
    with tracer.start_as_current_span("thread"):
        client(telescope, one=ScriptedBackend()).chat("one:m", "hi")
    names = {s.context.span_id: s.name for s in telescope.spans if s.context is not None}
    parents = Counter(names[s.parent.span_id] for s in telescope.requests if s.parent is not None)
    assert parents == {**{f"task {number}": 2 for number in range(5)}, "thread": 1}


# -- When something goes wrong -----------------------------------------------------------------------


def test_a_failover(telescope: Telescope) -> None:
    down, sound = ScriptedBackend([RateLimitError(SECRET)]), ScriptedBackend()
    client(telescope, down=down, sound=sound).chat(["down:m", "sound:n"], "hi")
    [request], [first, second] = telescope.requests, telescope.attempts
    assert attributes(request)["gen_ai.provider.name"] == "sound"
    assert attributes(request)["gen_ai.request.model"] == "m"
    assert attributes(request)["gen_ai.response.model"] == "n"
    assert request.status.status_code is StatusCode.UNSET
    assert first.status.status_code is StatusCode.ERROR
    assert attributes(first)["error.type"] == "RateLimitError"
    assert attributes(second)["gen_ai.provider.name"] == "sound"
    [failed] = request.events
    assert (failed.name, dict(failed.attributes or {})["andon.backend"]) == (
        "andon.attempt_failed",
        "down",
    )
    assert SECRET not in "".join(span.to_json() for span in telescope.spans)


def test_an_answer_that_goes_on_elsewhere(telescope: Telescope) -> None:
    breaks = ScriptedBackend(["one ", "two ", ServerError("gone")])
    goes_on = ScriptedBackend(["one ", "two ", "three"], continues=True)
    stream = client(telescope, breaks=breaks, on=goes_on).stream(["breaks:m", "on:m"], "count")
    assert "".join(delta.text for delta in stream) == "one two three"
    [request] = telescope.requests
    told = {event.name: dict(event.attributes or {}) for event in request.events}
    assert told["andon.answer_continued"]["andon.from_backend"] == "breaks"
    assert told["andon.answer_continued"]["andon.mode"] == "continue"


def test_a_connection_that_was_made_anew(telescope: Telescope) -> None:
    broke = Reconnected(reason=SECRET, seconds=1.5, tries=2)
    list(client(telescope, one=ScriptedBackend(["a", broke, "b"])).stream("one:m", "hi"))
    [request], [attempt] = telescope.requests, telescope.attempts
    assert request.status.status_code is attempt.status.status_code is StatusCode.UNSET
    told = {event.name: dict(event.attributes or {}) for event in request.events}
    assert told["andon.stream_reconnected"] == {
        "andon.backend": "one", "andon.model": "m", "andon.silent_seconds": 1.5, "andon.tries": 2,
    }  # fmt: skip
    assert SECRET not in "".join(span.to_json() for span in telescope.spans)


def test_nobody_answers(telescope: Telescope) -> None:
    with pytest.raises(ServerError):
        client(telescope, one=ScriptedBackend([ServerError("down")])).chat("one:m", "hi")
    [request] = telescope.requests
    assert request.status.status_code is StatusCode.ERROR
    assert request.status.description is None
    assert attributes(request)["error.type"] == "ServerError"
    [duration] = telescope.points("gen_ai.client.operation.duration")
    assert duration.attributes["error.type"] == "ServerError"


def test_a_stream_that_the_caller_closes(telescope: Telescope) -> None:
    stream = client(telescope, one=ScriptedBackend()).stream("one:m", "hi")
    next(stream)
    stream.close()
    [request], [attempt] = telescope.requests, telescope.attempts
    for span in (request, attempt):
        assert attributes(span)["error.type"] == "cancelled"
        assert span.status.status_code is StatusCode.UNSET


def test_a_task_that_is_cancelled(telescope: Telescope) -> None:
    class Endless(ScriptedBackend):
        async def astream(self, request: Any, timeout: float | None) -> Any:
            asked.set()
            await asyncio.Event().wait()
            yield ChatDelta()

    async def run() -> None:
        async with client(telescope, AsyncClient, one=Endless()) as asking:
            task = asyncio.create_task(asking.chat("one:m", "hi"))
            await asked.wait()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asked = asyncio.Event()
    asyncio.run(run())
    assert [attributes(s)["error.type"] for s in telescope.spans] == ["cancelled"] * 2


def test_what_was_left_out_is_noted(telescope: Telescope) -> None:
    one = ScriptedBackend()
    plugins = [plugin_with(locality=Locality.LOCAL, one=one), telescope.plugin()]
    profiles = {"one:m": {"sampling": False}}
    from andon.settings import Settings, override

    asking = Client(
        discover=False, plugins=plugins, settings=override(Settings(), profiles=profiles)
    )
    asking.chat("one:m", "hi", temperature=0.5, drop_unsupported=True)
    [event] = telescope.requests[0].events
    assert event.name == "andon.parameter_dropped"
    assert dict(event.attributes or {})["andon.parameter"] == "temperature"


def test_threads_and_streams_at_once_end_every_span_once(telescope: Telescope) -> None:
    asking = client(
        telescope, down=ScriptedBackend(["x", ServerError("down")]), sound=ScriptedBackend()
    )

    def ask(number: int) -> None:
        models = ["down:m", "sound:m"] if number % 3 else ["sound:m"]
        stream = asking.stream(models, f"request {number}")
        with suppress(StreamInterrupted):
            for _ in range(number % 4):
                next(stream, None)
        stream.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(80)))
    ids = Counter(s.context.span_id for s in telescope.spans if s.context is not None)
    assert set(ids.values()) == {1}
    assert len(telescope.requests) == 60  # a stream of which nothing was taken was never begun


_STEPS = st.lists(
    st.sampled_from(["Hel", "lo", ServerError("down"), ValueError("a bug"), KeyboardInterrupt()]),
    max_size=3,
)


@settings(max_examples=60)
@given(
    scripts=st.lists(_STEPS, min_size=1, max_size=3),
    taken=st.integers(1, 4),
    hedge=st.sampled_from([None, 1e-6]),
)
def test_every_span_ends_whatever_happens(scripts: Any, taken: int, hedge: float | None) -> None:
    telescope, started = Telescope(), Counter[int]()
    begin = SimpleSpanProcessor(InMemorySpanExporter())
    begin.on_start = lambda span, parent_context=None: started.update([span.context.span_id])  # type: ignore[method-assign,assignment,union-attr]
    telescope.tracers.add_span_processor(begin)
    backends = {f"b{number}": ScriptedBackend(script) for number, script in enumerate(scripts)}
    stream = client(telescope, **backends).stream(
        [f"{name}:m" for name in backends], "hi", hedge_after=hedge
    )
    try:
        for _ in range(taken):
            next(stream, None)
    except (AndonError, ValueError, KeyboardInterrupt):
        pass
    finally:
        stream.close()
    ended = Counter(s.context.span_id for s in telescope.spans if s.context is not None)
    assert ended == started and set(ended.values()) == {1}
    telescope.tracers.shutdown()
    telescope.meters.shutdown()


# -- Content -----------------------------------------------------------------------------------------


def _ask_with_content(telescope: Telescope, **options: Any) -> None:
    calls = ChatDelta(tool_calls=(ToolCallDelta(0, "call-1", "look", '{"at": "sky"}'),))
    end = ChatDelta(finish_reason=FinishReason.TOOL_CALLS, usage=Usage(1, 1))
    one = ScriptedBackend(["I look", calls, end], finishes=False)
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
    asking = Client(discover=False, plugins=[plugin_with(one=one), telescope.plugin(**options)])
    chat = [
        ChatMessage.system("Be brief."),
        ChatMessage.user(SECRET),
        ChatMessage.tool("blue", "call-0"),
    ]
    asking.chat("one:m", chat, tools=[tool])


def test_content_is_not_written(telescope: Telescope, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", raising=False)
    _ask_with_content(telescope, capture_content=None)
    written = "".join(span.to_json() for span in telescope.spans)
    for text in (SECRET, "Be brief", "blue", "I look", "call-1"):
        assert text not in written


@pytest.mark.parametrize("by_variable", [True, False])
def test_content_is_written_where_it_is_wanted(
    telescope: Telescope, monkeypatch: pytest.MonkeyPatch, by_variable: bool
) -> None:
    variable = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
    monkeypatch.setenv(variable, "true" if by_variable else "false")
    _ask_with_content(telescope, capture_content=None if by_variable else True)
    kept = attributes(telescope.requests[0])
    assert json.loads(kept["gen_ai.input.messages"]) == [
        {"role": "system", "parts": [{"type": "text", "content": "Be brief."}]},
        {"role": "user", "parts": [{"type": "text", "content": SECRET}]},
        {
            "role": "tool",
            "parts": [{"type": "tool_call_response", "id": "call-0", "response": "blue"}],
        },
    ]
    [answer] = json.loads(kept["gen_ai.output.messages"])
    assert answer["finish_reason"] == "tool_calls"
    assert answer["parts"][1] == {
        "type": "tool_call", "id": "call-1", "name": "look", "arguments": {"at": "sky"},
    }  # fmt: skip
    assert json.loads(kept["gen_ai.tool.definitions"])[0]["function"]["name"] == "look"


# -- A collector -------------------------------------------------------------------------------------


class _Collector(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.received.append((self.path, body))  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("content-type", "application/x-protobuf")
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *arguments: Any) -> None:
        pass


@contextmanager
def collector() -> Iterator[Any]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Collector)
    server.received = []  # type: ignore[attr-defined]
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    try:
        yield server
    finally:
        server.shutdown()
        serving.join()
        server.server_close()


def test_a_collector_understands_it() -> None:
    with collector() as server:
        url = f"http://127.0.0.1:{server.server_port}/v1/"
        tracers = TracerProvider()
        tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{url}traces")))
        reader = PeriodicExportingMetricReader(OTLPMetricExporter(f"{url}metrics"))
        meters = MeterProvider(metric_readers=[reader])
        plugin = OpenTelemetry(tracer_provider=tracers, meter_provider=meters)
        asking = Client(discover=False, plugins=[plugin_with(one=ScriptedBackend()), plugin])
        asking.chat("one:m", "hi", labels={"user": "ada"})
        tracers.shutdown()
        meters.shutdown()
    traces = [
        span
        for path, body in server.received
        if path == "/v1/traces"
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    by_name = {span.name: span for span in traces}
    assert by_name.keys() == {"chat m", "attempt one:m"}
    assert by_name["attempt one:m"].parent_span_id == by_name["chat m"].span_id
    kept = {each.key: each.value for each in by_name["chat m"].attributes}
    assert kept["gen_ai.usage.output_tokens"].int_value == 2
    assert kept["andon.label.user"].string_value == "ada"
    measured = {
        metric.name
        for path, body in server.received
        if path == "/v1/metrics"
        for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    assert {"gen_ai.client.operation.duration", "gen_ai.client.token.usage"} <= measured
