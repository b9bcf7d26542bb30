"""A model in this process: its engine, whose turn it is, and what is known of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from andon.backends.engine import Engine, GenerateOptions
from andon.backends.prompt import Prompt, PromptBuilder
from andon.backends.turnstile import Ticket, Turnstile
from andon.chat import ChatRequest
from andon.errors import AndonError, ClientClosedError, ServerError
from andon.specs import ChatTemplateSpec
from andon.templates import ChatTemplateEngine, Segment


class LoadedModel:
    """An engine, guarded so that many threads and tasks may use it.

    :param engine: the engine; it belongs to this object now.
    :param path: where its weights lie.
    :param backend: name of the backend, for errors.
    :param chat_templates: gives the chat templates that plugins offer, for a model whose file
        brings none.
    """

    def __init__(
        self,
        engine: Engine,
        path: Path,
        backend: str,
        chat_templates: Callable[[], Sequence[ChatTemplateSpec]] = tuple,
    ) -> None:
        self.engine = engine
        self.card = engine.card
        #: Where answers queue for the engine.
        self.turnstile = Turnstile()
        #: Whether the model is closed, or about to be.
        self.closing = False
        self._path = path
        self._backend = backend
        self._chat_templates = chat_templates
        bos = engine.metadata.get("bos_token")
        self._prompts = PromptBuilder(self._chat_template, self._tokenize, bos or "")
        self._template: ChatTemplateEngine | None = None
        self._templating = threading.Lock()
        self._latest: tuple[ChatRequest, Prompt] | None = None
        self._worker: ThreadPoolExecutor | None = None
        self._enqueuing = threading.Lock()
        self._tokenizing = threading.Lock()
        # Held while the engine works on a token and not between tokens, so that closing never
        # waits for somebody who has stopped reading. Reentrant, because the garbage collector
        # may finalize an answer in the thread that is closing the engine.
        self._working = threading.RLock()

    def enqueue(self, work: Callable[[Ticket], None]) -> tuple[Ticket, Future[None]]:
        """Take a place in the queue, and have the model's own thread work under its ticket.

        :param work: waits for the ticket's turn, and leaves.
        :raises ClientClosedError: the model was closed.
        """
        # One step, or two loops in two threads could join in one order and be worked on in the
        # other: the thread would wait for a turn that it would only take afterwards.
        with self._enqueuing:
            self.check_open()
            if self._worker is None:
                name = f"andon-{self._backend}"
                self._worker = ThreadPoolExecutor(1, thread_name_prefix=name)
            ticket = self.turnstile.join()
            return ticket, self._worker.submit(work, ticket)

    def prompt(self, request: ChatRequest) -> Prompt:
        """Return the request's prompt; that of the latest request is remembered.

        :raises UnsupportedParameterError: the request asks for what the model cannot do.
        :raises TemplateError: the chat template cannot express the messages.
        """
        latest = self._latest
        if latest is not None and _same_prompt(latest[0], request):
            return latest[1]
        prompt = self._prompts.build(request)
        self._latest = (request, prompt)
        return prompt

    def generate(
        self, tokens: Sequence[int], options: GenerateOptions
    ) -> Generator[bytes, None, None]:
        """Give the bytes of token after token; the caller's ticket must have its turn.

        :raises ClientClosedError: the model was closed meanwhile.
        :raises ServerError: the engine failed.
        """
        pieces: Iterator[bytes] | None = None
        working = self._working
        try:
            with working:
                self.check_open()
                pieces = self.engine.generate(tokens, options)
            while True:
                with working:
                    data = None if self.closing else next(pieces, None)
                if data is None:
                    self.check_open()
                    return
                yield data
        except AndonError:
            raise
        except Exception as error:
            raise self._failure(error) from error
        finally:
            self._stop(pieces)

    def check_open(self) -> None:
        """Check that the model can still be used.

        :raises ClientClosedError: it was closed.
        """
        if self.closing:
            raise ClientClosedError("the client was closed, and its models with it")

    def close(self) -> None:
        """Stop every answer before its next token, and free the engine."""
        self.closing = True
        self.turnstile.clear()
        with self._tokenizing, self._working:
            self.engine.close()
        with self._enqueuing:
            if self._worker is not None:
                self._worker.shutdown(wait=False)

    def _chat_template(self) -> ChatTemplateEngine:
        with self._templating:
            if self._template is None:
                metadata = self.engine.metadata
                # Asking the plugins imports them all, so they are asked only where it matters.
                brought = "chat_template" in metadata or "tokenizer.chat_template" in metadata
                self._template = ChatTemplateEngine.from_model(
                    str(self._path) if self._path.is_dir() else self._path.stem,
                    metadata=metadata,
                    specs=() if brought else self._chat_templates(),
                    extra_control_tokens=tuple(self.engine.control_tokens),
                )
            return self._template

    def _tokenize(self, segments: Sequence[Segment], add_bos: bool) -> list[int]:
        with self._tokenizing:
            self.check_open()
            return self.engine.tokenize(segments, add_bos)

    def _stop(self, pieces: Iterator[bytes] | None) -> None:
        close = getattr(pieces, "close", None)
        if close is not None:
            with self._working:
                close()

    def _failure(self, error: Exception) -> ServerError:
        return ServerError(
            f"the engine failed: {type(error).__name__}: {error}",
            backend=self._backend,
            model=self.card.name,
        )


def _same_prompt(one: ChatRequest, other: ChatRequest) -> bool:
    # Requests are often copied with other sampling, so it is the parts that count. Those that
    # hold what a caller might change later are compared by identity.
    return one is other or (
        one.messages is other.messages
        and one.prompt is other.prompt
        and one.tools is other.tools
        and one.sampling.stop == other.sampling.stop
        and one.response_format is other.response_format
        and one.tool_choice == other.tool_choice
        and one.reasoning_effort == other.reasoning_effort
        and one.continue_final_message == other.continue_final_message
    )
