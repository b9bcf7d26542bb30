"""What a test stands on: a backend, a client of one colour, and a server that plays its part."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from andon import (
    AndonError,
    BackendError,
    ChatDelta,
    ChatResponse,
    ModelCard,
    TokenCount,
    UnsupportedParameterError,
)
from andon.messages import Messages
from andon.testing.conformance.callers import Caller
from andon.testing.conformance.contract import (
    ANSWER,
    ENCODING,
    SECRETS,
    TYPED,
    check,
    check_equal,
)
from andon.testing.conformance.samples import QUESTION


@dataclass(slots=True)
class Outcome:
    """What became of a stream.

    :param deltas: the pieces that came.
    :param response: the whole answer, where it was completed.
    :param error: why it was not.
    """

    deltas: list[ChatDelta] = field(default_factory=list)
    response: ChatResponse | None = None
    error: AndonError | None = None

    @property
    def text(self) -> str:
        """The text of all pieces."""
        return "".join(delta.text for delta in self.deltas)

    @property
    def whole(self) -> ChatResponse:
        """The whole answer; without one, the test fails."""
        error = self.error
        refused = isinstance(error, UnsupportedParameterError)
        check(not refused, f"what is claimed is refused: {error}", ENCODING)
        check(error is None, f"the request failed: {type(error).__name__}: {error}", ANSWER)
        assert self.response is not None
        return self.response


class Stage:
    """Asks a backend.

    :param caller: the client.
    :param backend: the backend's name.
    :param model: the model's name there.
    :param key: what must not be seen.
    """

    def __init__(self, caller: Caller, backend: str, model: str, key: str) -> None:
        self.caller = caller
        self.backend = backend
        self.name = f"{backend}:{model}"
        self.key = key
        self._model = model
        self._streamed = False

    def chat(self, messages: Messages = QUESTION, **options: Any) -> ChatResponse:
        """Return a whole answer; without one, the test fails."""
        return self.ask(streamed=False, messages=messages, **options).whole

    def complete(self, prompt: str) -> ChatResponse:
        """Return the completion of a raw prompt; without one, the test fails."""
        return self.ask(streamed=False, prompt=prompt).whole

    def stream(
        self,
        messages: Messages = QUESTION,
        *,
        seen: Callable[[ChatDelta], None] = lambda delta: None,
        **options: Any,
    ) -> Outcome:
        """Read a stream to its end.

        :param seen: called with each piece as soon as it is there.
        """
        self._streamed = True
        given = None if "prompt" in options else messages
        return self.caller.run(self._read(given, seen, options))

    async def _read(
        self,
        messages: Messages | None,
        seen: Callable[[ChatDelta], None],
        options: Mapping[str, Any],
    ) -> Outcome:
        outcome = Outcome()
        async with aclosing(self.caller.client.stream(self.name, messages, **options)) as stream:
            try:
                async for delta in stream:
                    outcome.deltas.append(delta)
                    seen(delta)
                outcome.response = stream.response
            except AndonError as error:
                outcome.error = error
        return outcome

    def ask(self, *, streamed: bool, **options: Any) -> Outcome:
        """Ask, and return what became of it, an error included."""
        if streamed:
            return self.stream(**options)
        self._streamed = False
        client = self.caller.client
        if "prompt" in options:
            work = client.complete(self.name, **options)
        else:
            work = client.chat(self.name, **{"messages": QUESTION, **options})
        try:
            return Outcome(response=self.caller.run(work))
        except AndonError as error:
            return Outcome(error=error)

    def both(self, **options: Any) -> tuple[ChatResponse, ChatResponse]:
        """Return the same answer, asked for whole and as a stream."""
        return self.chat(**options), self.stream(**options).whole

    def leave(self, messages: Messages = QUESTION) -> str:
        """Close a stream after the first piece of its text, and return that."""
        self._streamed = True
        return self.caller.run(self._leave(messages))

    async def _leave(self, messages: Messages) -> str:
        async with aclosing(self.caller.client.stream(self.name, messages)) as stream:
            async for delta in stream:
                if delta.text:
                    text: str = delta.text
                    return text
        return ""

    def in_turns(self, begun: Callable[[], None]) -> list[str]:
        """Read two streams at the same time; return their texts.

        :param begun: called when both have given their first text.
        """
        self._streamed = True
        try:
            return self.caller.run(self._in_turns(begun))
        except AndonError as error:
            return [f"{type(error).__name__}: {error}"]

    async def _in_turns(self, begun: Callable[[], None]) -> list[str]:
        texts = ["", ""]
        async with (
            aclosing(self.caller.client.stream(self.name, QUESTION)) as first,
            aclosing(self.caller.client.stream(self.name, QUESTION)) as second,
        ):
            streams = list(enumerate((first, second)))
            for place, stream in streams:
                while not texts[place]:
                    texts[place] += (await anext(stream)).text
            begun()
            for place, stream in reversed(streams):
                async for delta in stream:
                    texts[place] += delta.text
        return texts

    def list_models(self) -> Sequence[ModelCard]:
        """Ask for the models."""
        models: Sequence[ModelCard] = self.caller.run(self.caller.client.list_models(self.backend))
        return models

    def check_health(self) -> None:
        """Ask for the health."""
        self.caller.run(self.caller.client.check_health(self.backend))

    def count_tokens(self, messages: Messages = QUESTION) -> TokenCount:
        """Ask for the tokens of a prompt."""
        work = self.caller.client.count_tokens(self.name, messages)
        count: TokenCount = self.caller.run(work)
        return count

    def failure(self, *, streamed: bool = False, **options: Any) -> BackendError:
        """Ask in vain, and return the error, having checked what holds for every error."""
        try:
            error = self.ask(streamed=streamed, **options).error
        except Exception as escaped:
            problem = f"a {type(escaped).__name__} came out of the backend: {escaped}"
            raise AssertionError(
                f"{problem}\n\nThe contract, {TYPED.where}: {TYPED.says}."
            ) from escaped
        return self.checked(error)

    def checked(self, error: AndonError | None) -> BackendError:
        """Return an error, having checked what holds for every error of a backend."""
        check(error is not None, "the request succeeded, although the server failed", TYPED)
        if not isinstance(error, BackendError):
            check(False, f"the error is no BackendError but a {error!r}", TYPED)
        assert isinstance(error, BackendError)
        check_equal(
            (error.backend, error.model), (self.backend, self._model), "what the error names", TYPED
        )
        for one in _chain(error):
            shown = f"{one} {one!r} {getattr(one, '__dict__', '')}"
            check(self.key not in shown, f"the API key stands in the error: {shown}", SECRETS)
        return error


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
