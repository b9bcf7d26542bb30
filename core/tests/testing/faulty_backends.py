"""A sound backend, and faulty ones, each with the test of the kit that is meant to catch it.

The kit runs on the classes at the end; test_conformance_catches.py looks at what it finds.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

from andon import BackendSpec, Locality, hookimpl
from andon.backends.http_backend import HTTPBackend
from andon.chat import ChatDelta, ChatRequest, FinishReason, Usage
from andon.errors import BackendError, ServerError, UnsupportedParameterError
from andon.messages import ChatMessage, TextPart
from andon.specs import BackendContext, ModelCard, ModelProfile
from andon.testing import ALL, Ability, BackendConformance
from andon.testing.providers.openai_chat import OpenAIChatProvider
from andon.wire.dialect import HTTPCall, HTTPReply, Query, StreamDecoder
from andon.wire.endpoint import EndpointSpec
from andon.wire.openai_chat import OpenAIChat, Quirks
from andon.wire.retry import RetryPolicy

QUIRKS = Quirks(continuation=True, reasoning_field="reasoning_content")
ENDPOINT = EndpointSpec(
    base_url="https://faulty.example/v1", locality=Locality.PUBLIC, key_variables=("FAULTY_KEY",)
)
CLAIMED = ALL - {Ability.LOGPROBS}


class Sound(OpenAIChat):
    """OpenAI's dialect, with everything that the kit asks for but log probabilities."""

    def __init__(self) -> None:
        super().__init__(QUIRKS)

    def encode(self, request: ChatRequest, profile: ModelProfile | None = None) -> HTTPCall:
        if request.top_logprobs is not None:
            raise UnsupportedParameterError("it has no logprobs", parameter="top_logprobs")
        return super().encode(request)

    def list_models(self) -> Query[Sequence[ModelCard]]:
        return Query(HTTPCall(path="/models", method="GET"), _read_models)

    def health(self) -> Query[None]:
        return Query(HTTPCall(path="/models", method="GET"), lambda reply: None)

    def count_tokens(self, request: ChatRequest, profile: ModelProfile) -> Query[int]:
        body = super().encode(request).body
        return Query(
            HTTPCall(path="/tokenize", body=body),
            lambda reply: int(json.loads(reply.body)["count"]),
        )


def _read_models(reply: HTTPReply) -> Sequence[ModelCard]:
    return [ModelCard(name=row["id"]) for row in json.loads(reply.body)["data"]]


# -- Dialects that do one thing wrong ---------------------------------------------------------


class Wrapped(StreamDecoder):
    """A sound decoder in another's hands."""

    def __init__(self, inner: StreamDecoder) -> None:
        self.inner = inner

    @property
    def done(self) -> bool:  # type: ignore[override]
        return self.inner.done

    def feed(self, data: bytes) -> Sequence[ChatDelta]:
        return self.changed(self.inner.feed(data))

    def finish(self) -> Sequence[ChatDelta]:
        return self.changed(self.inner.finish())

    def changed(self, deltas: Sequence[ChatDelta]) -> Sequence[ChatDelta]:
        return deltas


def decoding(wrapper: Callable[[StreamDecoder], StreamDecoder]) -> type[Sound]:
    class Decoding(Sound):
        def decoder(self, headers: Mapping[str, str]) -> Any:
            return wrapper(super().decoder(headers))

    return Decoding


class SplitsLikeStr(Wrapped):
    def feed(self, data: bytes) -> Sequence[ChatDelta]:
        lines = data.decode("utf-8", "surrogateescape").splitlines()
        return super().feed("\n".join([*lines, ""]).encode("utf-8", "surrogateescape"))


class DecodesEachChunk(Wrapped):
    def feed(self, data: bytes) -> Sequence[ChatDelta]:
        return super().feed(data.decode("utf-8", "replace").encode())


class TakesAnyEnd(Wrapped):
    def finish(self) -> Sequence[ChatDelta]:
        return () if self.done else [ChatDelta(finish_reason=FinishReason.STOP, usage=Usage(1, 1))]


class Cumulates(Wrapped):
    text = ""

    def changed(self, deltas: Sequence[ChatDelta]) -> Sequence[ChatDelta]:
        changed = []
        for delta in deltas:
            self.text += delta.text
            changed.append(replace(delta, text=self.text if delta.text else ""))
        return changed


class WaitsForAll(Wrapped):
    data = b""
    done = False

    def feed(self, data: bytes) -> Sequence[ChatDelta]:
        self.data += data
        return ()

    def finish(self) -> Sequence[ChatDelta]:
        return [*self.inner.feed(self.data), *self.inner.finish()]


class DropsUsage(Wrapped):
    def changed(self, deltas: Sequence[ChatDelta]) -> Sequence[ChatDelta]:
        return [replace(delta, usage=None) for delta in deltas]


class SubtractsCached(Wrapped):
    def changed(self, deltas: Sequence[ChatDelta]) -> Sequence[ChatDelta]:
        return [self._changed(delta) if delta.usage else delta for delta in deltas]

    def _changed(self, delta: ChatDelta) -> ChatDelta:
        assert delta.usage is not None
        inputs = delta.usage.input_tokens - delta.usage.cached_input_tokens
        return replace(delta, usage=replace(delta.usage, input_tokens=inputs))


class LosesArguments(Wrapped):
    def changed(self, deltas: Sequence[ChatDelta]) -> Sequence[ChatDelta]:
        # Only the piece with the name is kept.
        return [
            replace(delta, tool_calls=tuple(call for call in delta.tool_calls if call.name))
            for delta in deltas
        ]


class MixesCalls(Wrapped):
    def changed(self, deltas: Sequence[ChatDelta]) -> Sequence[ChatDelta]:
        return [
            replace(delta, tool_calls=tuple(replace(call, index=0) for call in delta.tool_calls))
            for delta in deltas
        ]


class AlwaysStops(Wrapped):
    def changed(self, deltas: Sequence[ChatDelta]) -> Sequence[ChatDelta]:
        stop = FinishReason.STOP
        return [replace(d, finish_reason=stop) if d.finish_reason else d for d in deltas]


class SwallowsErrors(Wrapped):
    def feed(self, data: bytes) -> Sequence[ChatDelta]:
        try:
            return super().feed(data)
        except BackendError:
            return [ChatDelta(finish_reason=FinishReason.STOP, usage=Usage(1, 1))]

    def finish(self) -> Sequence[ChatDelta]:
        return ()


class KeepsEverything(Wrapped):
    def __init__(self, inner: StreamDecoder) -> None:
        super().__init__(inner)
        inner._splitter._limit = 10**12  # type: ignore[attr-defined]


class SharesDecoder(Sound):
    shared: StreamDecoder | None = None

    def decoder(self, headers: Mapping[str, str]) -> Any:
        if self.shared is None or self.shared.done:
            self.shared = super().decoder(headers)
        return self.shared


class IgnoresStop(Sound):
    def encode(self, request: ChatRequest, profile: ModelProfile | None = None) -> HTTPCall:
        return super().encode(replace(request, sampling=replace(request.sampling, stop=())))


class DropsImages(Sound):
    def encode(self, request: ChatRequest, profile: ModelProfile | None = None) -> HTTPCall:
        return super().encode(replace(request, messages=tuple(map(self._plain, request.messages))))

    def _plain(self, message: ChatMessage) -> ChatMessage:
        if isinstance(message.content, str):
            return message
        parts = tuple(part for part in message.content if isinstance(part, TextPart))
        return replace(message, content=parts)


class EscapesKeyError(Sound):
    def decode(self, reply: HTTPReply) -> Sequence[ChatDelta]:
        json.loads(reply.body)["choices"]
        return super().decode(reply)


class AcceptsAnything(Sound):
    def decode(self, reply: HTTPReply) -> Sequence[ChatDelta]:
        try:
            return super().decode(reply)
        except BackendError:
            return [ChatDelta(finish_reason=FinishReason.STOP, usage=Usage(1, 1))]


class LosesRequestIds(Sound):
    def explain(self, reply: HTTPReply) -> BackendError:
        error = super().explain(reply)
        error.request_id = None
        return error


class CallsEverythingAServerError(Sound):
    def explain(self, reply: HTTPReply) -> BackendError:
        error = super().explain(reply)
        return ServerError(str(error), status=error.status, code=error.code)


class LosesMessages(Sound):
    def explain(self, reply: HTTPReply) -> BackendError:
        error = super().explain(reply)
        error.args = (f"the server answered {reply.status}",)
        return error


# -- Backends that do one thing wrong ---------------------------------------------------------


class RetriesEverything(RetryPolicy):
    def delay(self, error: BackendError, retries: int) -> float | None:
        return None if retries >= self.max_retries else 0.0


class NeverRetries(RetryPolicy):
    def delay(self, error: BackendError, retries: int) -> float | None:
        return None


class Impatient(RetryPolicy):
    def delay(self, error: BackendError, retries: int) -> float | None:
        error.retry_after = None
        return super().delay(error, retries)


def retrying(policy: type[RetryPolicy]) -> type[HTTPBackend]:
    class Retrying(HTTPBackend):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, retry=policy(max_retries=2, cap=0))

    return Retrying


class LeaksKey(HTTPBackend):
    def stream(self, request: ChatRequest, timeout: float | None) -> Any:
        try:
            yield from super().stream(request, timeout)
        except BackendError as error:
            error.args = (f"{error} (sent: {self._facts.options.headers})",)
            raise


class ShowsKey(HTTPBackend):
    def __repr__(self) -> str:
        return f"HTTPBackend({dict(self._facts.options.headers)})"


class BlocksTheLoop(HTTPBackend):
    async def astream(self, request: ChatRequest, timeout: float | None) -> Any:
        for delta in self.stream(request, timeout):
            yield delta


class KeepsConnections(HTTPBackend):
    kept: list[Any]

    def stream(self, request: ChatRequest, timeout: float | None) -> Any:
        return self._keep(super().stream(request, timeout))

    def astream(self, request: ChatRequest, timeout: float | None) -> Any:
        return self._akeep(super().astream(request, timeout))

    def _keep(self, stream: Iterator[ChatDelta]) -> Iterator[ChatDelta]:
        self.kept = [*getattr(self, "kept", []), stream]
        return iter(stream.__next__, object())

    def _akeep(self, stream: AsyncIterator[ChatDelta]) -> AsyncIterator[ChatDelta]:
        self.kept = [*getattr(self, "kept", []), stream]
        return _NoClose(stream)


class _NoClose(AsyncIterator[ChatDelta]):
    def __init__(self, stream: AsyncIterator[ChatDelta]) -> None:
        self.stream = stream

    async def __anext__(self) -> ChatDelta:
        return await self.stream.__anext__()


# -- The classes that the kit runs on ---------------------------------------------------------


@dataclass(frozen=True)
class Fault:
    """A faulty backend, and the test that must fail for it."""

    name: str
    test: str
    dialect: type[Sound] = Sound
    backend: type[HTTPBackend] = HTTPBackend
    abilities: frozenset[Ability] = CLAIMED


FAULTS = [
    Fault("SplitsLikeStr", "test_only_line_feeds_end_lines", decoding(SplitsLikeStr)),
    Fault("DecodesEachChunk", "test_a_stream_byte_by_byte", decoding(DecodesEachChunk)),
    Fault("TakesAnyEnd", "test_a_missing_end", decoding(TakesAnyEnd)),
    Fault("TakesAnyEndAtOnce", "test_a_stream_that_breaks_off", decoding(TakesAnyEnd)),
    Fault("Cumulates", "test_a_streamed_answer", decoding(Cumulates)),
    Fault("RepeatsThePrefix", "test_a_continuation", decoding(Cumulates)),
    Fault("WaitsForAll", "test_the_first_piece_comes_at_once", decoding(WaitsForAll)),
    Fault("DropsUsage", "test_usage", decoding(DropsUsage)),
    Fault("SubtractsCached", "test_usage_details", decoding(SubtractsCached)),
    Fault("LosesArguments", "test_a_tool_call", decoding(LosesArguments)),
    Fault("MixesCalls", "test_parallel_tool_calls", decoding(MixesCalls)),
    Fault("AlwaysStops", "test_finish_reasons", decoding(AlwaysStops)),
    Fault("SwallowsErrors", "test_an_error_inside_a_stream", decoding(SwallowsErrors)),
    Fault("SwallowsDamage", "test_a_malformed_event", decoding(SwallowsErrors)),
    Fault("KeepsEverything", "test_a_giant_line", decoding(KeepsEverything)),
    Fault("SharesDecoder", "test_streams_do_not_mix", SharesDecoder),
    Fault("IgnoresStop", "test_stop", IgnoresStop),
    Fault("DropsImages", "test_images", DropsImages),
    Fault("EscapesKeyError", "test_no_answer", EscapesKeyError),
    Fault("AcceptsAnything", "test_no_answer", AcceptsAnything),
    Fault("LosesRequestIds", "test_lasting_failures", LosesRequestIds),
    Fault("LosesMessages", "test_passing_failures", LosesMessages),
    Fault("OneErrorForAll", "test_lasting_failures", CallsEverythingAServerError),
    Fault("HidesSeed", "test_seed", abilities=CLAIMED - {Ability.SEED}),
    Fault("HidesTokenCount", "test_a_token_count", abilities=CLAIMED - {Ability.TOKEN_COUNT}),
    Fault("BoastsOfLogprobs", "test_logprobs", abilities=ALL),
    Fault("RetriesEverything", "test_lasting_failures", backend=retrying(RetriesEverything)),
    Fault("NeverRetries", "test_passing_failures", backend=retrying(NeverRetries)),
    Fault("Impatient", "test_retry_after", backend=retrying(Impatient)),
    Fault("LeaksKey", "test_no_error_shows_the_key", backend=LeaksKey),
    Fault("ShowsKey", "test_nothing_else_shows_the_key", backend=ShowsKey),
    Fault("BlocksTheLoop", "test_the_event_loop_goes_on", backend=BlocksTheLoop),
    Fault("KeepsConnections", "test_closing_a_stream", backend=KeepsConnections),
]


def _plugin(dialect: type[Sound], backend: type[HTTPBackend]) -> ModuleType:
    def create(context: BackendContext) -> HTTPBackend:
        return backend("faulty", ENDPOINT, dialect(), context)

    spec = BackendSpec(name="faulty", create=create, locality=Locality.PUBLIC)
    plugin = ModuleType("andon_faulty")
    vars(plugin)["andon_register_backends"] = hookimpl(lambda: [spec])
    return plugin


class TestSound(BackendConformance):
    plugin = _plugin(Sound, HTTPBackend)
    backend = "faulty"
    provider = OpenAIChatProvider(token_count="count")
    abilities = CLAIMED


# What they fail to do need not be waited for long.
IMPATIENT = 0.2

for fault in FAULTS:
    facts = {
        "plugin": _plugin(fault.dialect, fault.backend),
        "abilities": fault.abilities,
        "patience": IMPATIENT,
    }
    globals()[f"Test{fault.name}"] = type(f"Test{fault.name}", (TestSound,), facts)
