"""The backend over engines in this process: everything about an answer but its tokens.

A plugin gives a function that loads an :class:`~andon.backends.engine.Engine`. This module finds
the model, renders and tokenises the chat, queues the callers, keeps time, and reads text, stop
texts and tool calls out of the tokens.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from andon.backends import PromptMeasure
from andon.backends.engine import Engine, GenerateOptions
from andon.backends.generation import Answer, Watch
from andon.backends.loaded_model import LoadedModel
from andon.backends.prompt import Prompt
from andon.backends.relay import Relay
from andon.backends.turnstile import Ticket
from andon.chat import ChatDelta, ChatRequest, Sampling
from andon.errors import (
    AndonError,
    ClientClosedError,
    ContextOverflowError,
    InvalidRequestError,
    ModelLoadError,
    RequestTimeout,
    UnknownModelError,
    UnsupportedParameterError,
)
from andon.specs import BackendContext, ModelCard
from andon.tokens import Exactness, TokenCount

#: Loads a model: its name as it was asked for, where it lies, and the backend's own settings.
LoadEngine: TypeAlias = Callable[[str, Path, BackendContext], Engine]


class InProcessBackend:
    """A :class:`~andon.backends.Backend` whose models run in this process.

    A model is a name of the catalogue that has a file, or a path. It is loaded at its first use,
    once, and stays. It serves one answer at a time; callers queue in the order of their coming.

    Without ``max_tokens`` an answer may fill the context window; a larger one than the window has
    room for ends there too, with :attr:`~andon.FinishReason.LENGTH`.

    :param name: the backend's name.
    :param load: loads a model.
    :param context: what the backend was created with.
    :param continues_forms: whether its engines hold an answer that goes on to its JSON schema as a
        whole: they read :attr:`~andon.backends.engine.GenerateOptions.begun`. Otherwise that is
        refused.
    :param clock: the time in seconds, for deadlines.
    """

    def __init__(
        self,
        name: str,
        load: LoadEngine,
        context: BackendContext,
        *,
        continues_forms: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.continues_forms = continues_forms
        self._load = load
        self._context = context
        self._clock = clock
        self._places: dict[Path, _Place] = {}
        self._by_name: dict[str, LoadedModel] = {}
        self._placing = threading.Lock()
        self._closed = False

    def models(self) -> Sequence[ModelCard]:
        """Return the catalogue's models that this backend can load."""
        return [
            card
            for card in self._context.cards()
            if card.file is not None and self.name in card.backends
        ]

    def measure(self, request: ChatRequest) -> PromptMeasure:
        """Return the exact size of the request's prompt; loads the model.

        :raises UnknownModelError: there is no such model.
        :raises ModelLoadError: it cannot be loaded.
        :raises TemplateError: its chat template cannot express the messages.
        :raises UnsupportedParameterError: it cannot do what the request asks for.
        """
        model = self._model(request.model)
        tokens = len(model.prompt(request).tokens)
        count = TokenCount(tokens, Exactness.EXACT, f"the model's own tokenizer ({self.name})")
        return PromptMeasure(count, self._card(request.model, model))

    async def ameasure(self, request: ChatRequest) -> PromptMeasure:
        """Return the exact size of the request's prompt; see :meth:`measure`."""
        return await asyncio.to_thread(self.measure, request)

    def stream(self, request: ChatRequest, timeout: float | None) -> Iterator[ChatDelta]:
        """Give the answer piece by piece, generated in the caller's thread.

        Closing the iterator, or forgetting it, stops the engine and lets the next caller in.

        :param request: what to answer.
        :param timeout: seconds for waiting, reading the prompt and answering, or None for ever.
        :raises ContextOverflowError: the prompt leaves no room for an answer.
        :raises InvalidRequestError: the thread has not finished reading this model's last answer.
        :raises RequestTimeout: the time is over.
        :raises ServerError: the engine failed.
        :raises ClientClosedError: the backend was closed.
        """
        watch = self._watch(request, timeout)
        model = self._model(request.model)
        prompt = model.prompt(request)
        self._check_thread(model, request)
        ticket = model.turnstile.join()
        try:
            yield from self._answer(model, request, prompt, ticket, watch)
        finally:
            ticket.leave()

    async def astream(
        self,
        request: ChatRequest,
        timeout: float | None,
    ) -> AsyncIterator[ChatDelta]:
        """Give the answer piece by piece, generated in a thread of the model's own.

        The engine is free again when ``aclose`` returns. Errors are those of :meth:`stream`.
        """
        relay: Relay[ChatDelta] = Relay(asyncio.get_running_loop())
        watch = self._watch(request, timeout, lambda: relay.cancelled)
        model = self._by_name.get(request.model)
        if model is None:
            model = await asyncio.to_thread(self._model, request.model)
        ticket, job = model.enqueue(
            lambda ticket: relay.run(self._queued(model, request, ticket, watch))
        )
        try:
            while batch := await relay.take():
                for delta in batch:
                    yield delta
        finally:
            relay.cancel()
            await _stopped(job, ticket)

    def learn_slots(self) -> int:
        """Return how many requests are served at a time."""
        return 1

    async def alearn_slots(self) -> int:
        """Return how many requests are served at a time."""
        return 1

    def close(self) -> None:
        """Free every model; answers that are under way end with :class:`ClientClosedError`."""
        with self._placing:
            self._closed = True
            places = list(self._places.values())
        self._by_name.clear()
        for place in places:
            with place.lock:
                if place.model is not None:
                    place.model.close()
                    place.model = None

    async def aclose(self) -> None:
        """Free every model; see :meth:`close`."""
        await asyncio.to_thread(self.close)

    def _queued(
        self, model: LoadedModel, request: ChatRequest, ticket: Ticket, watch: Watch
    ) -> Iterator[ChatDelta]:
        try:
            yield from self._answer(model, request, model.prompt(request), ticket, watch)
        finally:
            ticket.leave()

    def _answer(
        self,
        model: LoadedModel,
        request: ChatRequest,
        prompt: Prompt,
        ticket: Ticket,
        watch: Watch,
    ) -> Iterator[ChatDelta]:
        options = self._options(model, request, prompt, watch)
        if not self._admitted(model, request, ticket, watch):
            return
        answer, thread = Answer(prompt, options, watch), threading.get_ident
        with closing(model.generate(prompt.tokens, options)) as tokens:
            for delta in answer.read(tokens):
                watch.note_first_token()
                yield delta
                ticket.thread = thread()
        if watch.late and watch.fired:
            raise self._timeout(request, "the answer was not complete in time")
        if not watch.fired:
            yield answer.finish(request.model, getattr(model.engine, "reused_tokens", 0))

    def _admitted(
        self, model: LoadedModel, request: ChatRequest, ticket: Ticket, watch: Watch
    ) -> bool:
        """Wait for the ticket's turn; False when nobody wants the answer any more."""
        ticket.thread = threading.get_ident()
        # Asked after joining: closing sets the mark first and then clears the queue.
        model.check_open()
        admitted = ticket.wait(watch.remaining)
        model.check_open()
        if watch.late:
            raise self._timeout(request, "other answers of the model took all the time")
        return admitted

    def _options(
        self, model: LoadedModel, request: ChatRequest, prompt: Prompt, watch: Watch
    ) -> GenerateOptions:
        if prompt.begun and prompt.json_schema is not None and not self.continues_forms:
            raise UnsupportedParameterError(
                f"{self.name} keeps to a JSON schema only from the beginning of an answer; leave "
                "out continue_final_message or response_format",
                parameter="continue_final_message",
            )
        sampling = self._sampling(request)
        room = self._room(model, request, prompt)
        return GenerateOptions(
            max_tokens=min(sampling.max_tokens or room, room),
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            seed=sampling.seed,
            json_schema=prompt.json_schema,
            begun=prompt.begun if prompt.json_schema is not None else "",
            cancelled=watch,
        )

    def _sampling(self, request: ChatRequest) -> Sampling:
        """Return the request's sampling; what it leaves open is as the model's card says."""
        asked, card = request.sampling, self._context.find_card(request.model)
        if card is None:
            return asked
        return replace(
            asked,
            temperature=_first(asked.temperature, card.sampling.temperature),
            top_p=_first(asked.top_p, card.sampling.top_p),
        )

    def _room(self, model: LoadedModel, request: ChatRequest, prompt: Prompt) -> int:
        window, size = model.card.context_window, len(prompt.tokens)
        if window is None:
            return sys.maxsize
        if size >= window:
            raise ContextOverflowError(
                f"the prompt has {size:,} tokens, but {self.name}:{request.model} reads at most "
                f"{window:,}, the answer included; shorten the messages, or load the model with "
                "a larger context window if it has one",
                input_tokens=size,
                window=window,
                reserve=1,
            )
        return window - size

    def _check_thread(self, model: LoadedModel, request: ChatRequest) -> None:
        if model.turnstile.held_by(threading.get_ident()):
            raise InvalidRequestError(
                f"this thread is still reading an answer of {self.name}:{request.model}, which "
                "gives one answer at a time; read it to the end or close it first, or use "
                "another thread or AsyncClient"
            )

    def _watch(
        self,
        request: ChatRequest,
        timeout: float | None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Watch:
        now, first_token = self._clock(), request.patience.first_token
        deadline = None if timeout is None else now + timeout
        first_by = None if first_token is None else now + first_token
        return Watch(cancelled, self._clock, deadline, first_by)

    def _timeout(self, request: ChatRequest, why: str) -> RequestTimeout:
        return RequestTimeout(
            f"{self.name}:{request.model} took longer than its timeout: {why}",
            backend=self.name,
            model=request.model,
        )

    def _card(self, name: str, model: LoadedModel) -> ModelCard:
        known = self._context.find_card(name)
        if known is None or known.file is None:
            return replace(model.card, name=name)
        return replace(known, context_window=model.card.context_window)

    def _model(self, name: str) -> LoadedModel:
        if self._closed:
            raise ClientClosedError(_CLOSED)
        model = self._by_name.get(name)
        if model is None:
            path = self._find(name)
            with self._placing:
                place = self._places.setdefault(path, _Place())
            with place.lock:
                if place.model is None:
                    place.model = self._loaded(name, path)
                model = self._by_name[name] = place.model
        return model

    def _loaded(self, name: str, path: Path) -> LoadedModel:
        # Asked under the place's lock: closing sets the mark first and then visits all places.
        if self._closed:
            raise ClientClosedError(_CLOSED)
        try:
            engine = self._load(name, path, self._context)
        except AndonError:
            raise
        except Exception as error:
            raise ModelLoadError(
                f"{self.name} cannot load {name!r} from {path}: {type(error).__name__}: {error}"
            ) from error
        return LoadedModel(engine, path, self.name, self._context.chat_templates)

    def _find(self, name: str) -> Path:
        card = self._context.find_card(name)
        if card is not None and card.file is not None:
            return card.file().resolve()
        path = Path(name).expanduser()
        # What is written like a path is one: the loader says best what is wrong with it.
        if path.exists() or "/" in name or os.sep in name:
            return path.resolve()
        known = ", ".join(sorted(card.name for card in self.models()))
        raise UnknownModelError(
            f"{self.name} has no model {name!r}; "
            + (f"the catalogue has {known}; " if known else "the catalogue is empty; ")
            + f"a path to a model's file is possible too, as in {self.name}:./{name}"
        )


class _Place:
    """Where the model of one path is, or will be."""

    __slots__ = ("lock", "model")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.model: LoadedModel | None = None


async def _stopped(job: Future[None], ticket: Ticket) -> None:
    """Wait until a cancelled job has left the engine, or sees that it never needs to begin."""
    if job.cancel():
        ticket.leave()
        return
    ticket.withdraw()
    await asyncio.wait([asyncio.wrap_future(job)])


def _first(asked: float | None, otherwise: float | None) -> float | None:
    return otherwise if asked is None else asked


_CLOSED = "the client was closed; make another one"
