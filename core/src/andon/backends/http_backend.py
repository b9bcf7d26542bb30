"""A backend over HTTP: an endpoint, a dialect, and everything between them and the network."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import aclosing, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from andon.backends import PromptMeasure
from andon.backends.http_options import HTTPOptions, read_base_url
from andon.backends.http_work import Facts, Work
from andon.chat import ChatDelta, ChatRequest
from andon.errors import BackendError, ConfigurationError
from andon.privacy.location import locality_of
from andon.specs import BackendContext, BackendSpec, Locality, ModelCard
from andon.wire.dialect import Dialect, HTTPCall, HTTPReply, Query, StreamDecoder
from andon.wire.endpoint import EndpointSpec
from andon.wire.http import HTTPConnection, HTTPResponse
from andon.wire.retry import RetryPolicy

if TYPE_CHECKING:
    from andon.wire.http_async import AsyncHTTPConnection, AsyncHTTPResponse

#: Most bytes of a reply that stands for an error; the rest is of no use to anybody.
MAX_ERROR_BODY = 64 * 1024

#: Seconds to wait for a provider to take note that the caller gave up.
UNDO_TIMEOUT = 5.0

#: Counts the tokens of a request's prompt.
Count = Callable[[ChatRequest], PromptMeasure | None]

T = TypeVar("T")


class HTTPBackend:
    """Asks a server over HTTP, for threads and for asyncio.

    :param name: the backend's name.
    :param endpoint: where the server is, and how to sign in.
    :param dialect: the protocol it speaks.
    :param context: settings and environment.
    :param models: what is known of its models.
    :param count: measures prompts.
    :param retry: when to ask again; made from the settings where None.
    :raises SettingsError: a setting is wrong or unknown.
    :raises MissingKeyError: the endpoint needs an API key, and there is none.
    """

    def __init__(
        self,
        name: str,
        endpoint: EndpointSpec,
        dialect: Dialect,
        context: BackendContext,
        models: Sequence[ModelCard] = (),
        *,
        count: Count | None = None,
        retry: RetryPolicy | None = None,
    ) -> None:
        options = HTTPOptions.read(name, endpoint, context)
        policy = retry or RetryPolicy(max_retries=options.max_retries, cap=options.max_retry_wait)
        self._facts = Facts(name, options, dialect, policy)
        self._find_profile = context.find_profile
        self._models = tuple(models)
        self._count = count
        self._connection: HTTPConnection | None = None
        self._lock = threading.Lock()
        self._async_connection: AsyncHTTPConnection | None = None

    def __repr__(self) -> str:
        return f"HTTPBackend({self._facts.name!r}, {self._facts.options.base_url!r})"

    @property
    def dialect(self) -> Dialect:
        """The protocol it speaks."""
        return self._facts.dialect

    def models(self) -> Sequence[ModelCard]:
        """Return the models that can be asked for by name, without asking the server."""
        return self._models

    @property
    def measures(self) -> bool:
        """Whether it can measure prompts at all."""
        return self._count is not None

    def measure(self, request: ChatRequest) -> PromptMeasure | None:
        """Return the size of the request's prompt, or None where it cannot be known."""
        return None if self._count is None else self._count(request)

    async def ameasure(self, request: ChatRequest) -> PromptMeasure | None:
        """Return the size of the request's prompt; see :meth:`measure`."""
        if self._count is None:
            return None
        return await _in_thread(partial(self._count, request))

    # -- Answers --------------------------------------------------------------------------------

    def stream(
        self, request: ChatRequest, timeout: float | None
    ) -> Generator[ChatDelta, None, None]:
        """Give the answer piece by piece; closing the iterator closes the connection.

        :param request: what to answer.
        :param timeout: seconds until the whole answer must be there, or None for ever.
        :raises BackendError: the backend failed.
        """
        work = self._begin(request, timeout)
        try:
            while work.call is not None:
                try:
                    with self._open(work) as reply:
                        yield from _follow(work, reply)
                except BackendError as error:
                    yield from work.recover(error)
                else:
                    work.advance()
                if work.wait:
                    time.sleep(work.wait)
        finally:
            if work.undo is not None:
                self._undo(work.undo)

    async def astream(
        self, request: ChatRequest, timeout: float | None
    ) -> AsyncGenerator[ChatDelta, None]:
        """Give the answer piece by piece; see :meth:`stream`."""
        work = self._begin(request, timeout)
        try:
            while work.call is not None:
                try:
                    async with await self._aopen(work) as reply:
                        decoder = work.decoder(reply.status, reply.headers)
                        if decoder is None:
                            body = await _aread(reply)
                            for delta in work.whole(reply.status, reply.headers, body):
                                yield delta
                        else:
                            # Closed here and not whenever it is collected.
                            async with aclosing(_afollow(work, reply, decoder)) as deltas:
                                async for delta in deltas:
                                    yield delta
                except BackendError as error:
                    for delta in work.recover(error):
                        yield delta
                else:
                    work.advance()
                if work.wait:
                    await _asleep(work.wait)
        finally:
            if work.undo is not None:
                await self._aundo(work.undo)

    def _begin(self, request: ChatRequest, timeout: float | None) -> Work:
        call = self._facts.dialect.encode(request, self._find_profile(request.model))
        self._facts.budget.note_request()
        return Work(self._facts, request.model, call, timeout, request)

    def _open(self, work: Work) -> HTTPResponse:
        with self._lock:
            if self._connection is None:
                self._connection = HTTPConnection(self._facts.options.connection)
            connection = self._connection
        authorizer = self._facts.options.authorizer
        if authorizer is not None and authorizer.refresh_due():
            authorizer.refresh()
        return connection.send(*work.outgoing(), work.start(), repeatable=work.repeatable)

    async def _aopen(self, work: Work) -> AsyncHTTPResponse:
        authorizer = self._facts.options.authorizer
        if authorizer is not None and authorizer.refresh_due():
            await _in_thread(authorizer.refresh)
        connection = self._async_connection
        if connection is None:
            # In a thread: it imports a library, and loads certificates.
            connection = await _in_thread(self._open_async)
        return await connection.send(*work.outgoing(), work.start(), repeatable=work.repeatable)

    def _open_async(self) -> AsyncHTTPConnection:
        from andon.wire.http_async import AsyncHTTPConnection

        with self._lock:
            if self._async_connection is None:
                self._async_connection = AsyncHTTPConnection(self._facts.options.connection)
            return self._async_connection

    def _undo(self, call: HTTPCall) -> None:
        work = Work(self._facts, None, call, UNDO_TIMEOUT)
        # Whoever gave up does not care whether the provider heard of it.
        with suppress(BackendError), self._open(work) as reply:
            reply.read(MAX_ERROR_BODY, cut=True)

    async def _aundo(self, call: HTTPCall) -> None:
        work = Work(self._facts, None, call, UNDO_TIMEOUT)
        with suppress(BackendError):
            async with await self._aopen(work) as reply:
                await reply.aread(MAX_ERROR_BODY, cut=True)

    # -- Questions besides the chat -------------------------------------------------------------

    def list_models(self) -> Sequence[ModelCard]:
        """Ask the server which models it has.

        :raises ConfigurationError: one cannot ask it.
        :raises BackendError: it failed.
        """
        return self._ask(self._wanted(self._facts.dialect.list_models(), "its models"))

    async def alist_models(self) -> Sequence[ModelCard]:
        """Ask the server which models it has; see :meth:`list_models`."""
        return await self._aask(self._wanted(self._facts.dialect.list_models(), "its models"))

    def check_health(self) -> None:
        """Ask the server whether it can serve.

        :raises ConfigurationError: one cannot ask it.
        :raises BackendError: it cannot serve.
        """
        self._ask(self._health_query())

    async def acheck_health(self) -> None:
        """Ask the server whether it can serve; see :meth:`check_health`."""
        await self._aask(self._health_query())

    def count_tokens(self, request: ChatRequest) -> int:
        """Ask the server for the tokens of a request's prompt.

        :raises ConfigurationError: one cannot ask it.
        :raises BackendError: it failed.
        """
        return self._ask(self._count_query(request))

    async def acount_tokens(self, request: ChatRequest) -> int:
        """Ask the server for the tokens of a request's prompt; see :meth:`count_tokens`."""
        return await self._aask(self._count_query(request))

    def learn_slots(self) -> int | None:
        """Ask the server how many requests it serves at a time; None where it does not tell.

        :raises BackendError: it failed.
        """
        query = self._facts.dialect.slots()
        return None if query is None else self._ask(query)

    async def alearn_slots(self) -> int | None:
        """Ask the server how many requests it serves at a time; see :meth:`learn_slots`."""
        query = self._facts.dialect.slots()
        return None if query is None else await self._aask(query)

    def _health_query(self) -> Query[Any]:
        dialect = self._facts.dialect
        # Listing models shows as well that the server answers and takes the key.
        query: Query[Any] | None = dialect.health() or dialect.list_models()
        return self._wanted(query, "its health")

    def _count_query(self, request: ChatRequest) -> Query[int]:
        profile = self._find_profile(request.model)
        return self._wanted(self._facts.dialect.count_tokens(request, profile), "token counts")

    def _wanted(self, query: Query[T] | None, what: str) -> Query[T]:
        if query is None:
            raise ConfigurationError(f"the backend {self._facts.name!r} cannot be asked for {what}")
        return query

    def _ask(self, query: Query[T]) -> T:
        work = Work(self._facts, None, query.call, None)
        while True:
            try:
                with self._open(work) as reply:
                    body = _read(reply)
                if (answer := work.checked(reply.status, reply.headers, body)) is not None:
                    return _read_answer(work, query, answer)
                work.advance()
            except BackendError as error:
                work.prepare_retry(error)
            time.sleep(work.wait)

    async def _aask(self, query: Query[T]) -> T:
        work = Work(self._facts, None, query.call, None)
        while True:
            try:
                async with await self._aopen(work) as reply:
                    body = await _aread(reply)
                if (answer := work.checked(reply.status, reply.headers, body)) is not None:
                    return _read_answer(work, query, answer)
                work.advance()
            except BackendError as error:
                work.prepare_retry(error)
            await _asleep(work.wait)

    def close(self) -> None:
        """Close all connections; an event loop that runs closes its own in its next turn."""
        connection, others = self._let_go()
        if connection is not None:
            connection.close()
        if others is not None:
            others.close()

    async def aclose(self) -> None:
        """Close all connections."""
        connection, others = self._let_go()
        if connection is not None:
            connection.close()
        if others is not None:
            await others.aclose()

    def _let_go(self) -> tuple[HTTPConnection | None, AsyncHTTPConnection | None]:
        with self._lock:
            found = self._connection, self._async_connection
            self._connection = self._async_connection = None
        return found


def _follow(work: Work, reply: HTTPResponse) -> Generator[ChatDelta, None, None]:
    """Read one reply in this thread."""
    decoder = work.decoder(reply.status, reply.headers)
    if decoder is None:
        yield from work.whole(reply.status, reply.headers, _read(reply))
        return
    for data in reply.iter_bytes():
        yield from work.read(decoder, data)
        work.check_patience()
        if decoder.done:
            reply.expect_end()
    yield from work.ended(decoder)


async def _afollow(
    work: Work, reply: AsyncHTTPResponse, decoder: StreamDecoder
) -> AsyncGenerator[ChatDelta, None]:
    """Read one stream in this task; see :func:`_follow`."""
    async with aclosing(reply.aiter_bytes()) as pieces:
        async for data in pieces:
            for delta in work.read(decoder, data):
                yield delta
            work.check_patience()
            if decoder.done:
                reply.expect_end()
    for delta in work.ended(decoder):
        yield delta


def _read(reply: HTTPResponse) -> bytes:
    failed = reply.status >= 300
    return reply.read(MAX_ERROR_BODY, cut=True) if failed else reply.read()


async def _aread(reply: AsyncHTTPResponse) -> bytes:
    failed = reply.status >= 300
    return await (reply.aread(MAX_ERROR_BODY, cut=True) if failed else reply.aread())


async def _in_thread(work: Callable[[], T]) -> T:
    # Imported here, since programs without asyncio would wait for it at their start.
    import asyncio

    return await asyncio.to_thread(work)


async def _asleep(seconds: float) -> None:
    import asyncio

    await asyncio.sleep(seconds)


def _read_answer(work: Work, query: Query[T], answer: HTTPReply) -> T:
    try:
        return query.read(answer)
    except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        raise work.unreadable(answer) from error


def http_backend_spec(
    name: str,
    endpoint: EndpointSpec,
    create_dialect: Callable[[BackendContext], Dialect],
    *,
    summary: str = "",
    models: Sequence[ModelCard] = (),
    aliases: tuple[str, ...] = (),
    count: Count | None = None,
) -> BackendSpec:
    """Return the record of a backend over HTTP, which is all that most plugins need.

    :param name: the backend's name.
    :param endpoint: where the server is, and how to sign in.
    :param create_dialect: makes the dialect from the backend's settings, at its first use.
    :param summary: one line for people.
    :param models: what is known of its models; the first one's name stands in help texts.
    :param aliases: other names that the backend answers to.
    :param count: measures prompts.
    """

    def create(context: BackendContext) -> HTTPBackend:
        return HTTPBackend(name, endpoint, create_dialect(context), context, models, count=count)

    def locate(context: BackendContext) -> Locality:
        base_url = read_base_url(name, endpoint, context)
        return locality_of(
            base_url, endpoint.base_url, endpoint.locality, context.egress, endpoint.own_hosts
        )

    return BackendSpec(
        name=name,
        create=create,
        locality=endpoint.locality,
        locate=locate,
        aliases=aliases,
        summary=summary,
        models=tuple(card.name for card in models[:1]),
        key_variables=endpoint.key_variables,
    )
