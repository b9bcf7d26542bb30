"""The front door: :class:`Client` and :class:`AsyncClient`, two thin faces of the corridor."""

from __future__ import annotations

import asyncio
import itertools
import os
import threading
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Generator,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from decimal import Decimal
from types import TracebackType
from typing import Any, TypedDict, Unpack

from andon.backends import Backend
from andon.budget import CircuitBreakerConfig, CostCircuitBreaker, Ledger, MemoryLedger
from andon.chat import ChatDelta, ChatRequest, ChatResponse, ResponseFormat, Sampling, Tool
from andon.drivers import World, adrive, drive
from andon.errors import (
    AndonError,
    ClientClosedError,
    ConfigurationError,
    InvalidRequestError,
    SettingsError,
)
from andon.messages import Messages, as_messages
from andon.pipeline import House, Order, serve
from andon.plugins import Plugins
from andon.pricing import PriceTable
from andon.privacy import PrivacyTier
from andon.routing import InOrder, Router
from andon.selection import BackendSelector, ModelRef
from andon.settings import PriceSettings, Settings, load, override
from andon.specs import BackendContext, BackendSpec, ModelCard, Price

#: What every entry point takes as a model: one name, or several in order of preference.
Models = str | Sequence[str]


class RequestOptions(TypedDict, total=False):
    """Keyword arguments of every request.

    ``max_tokens``: most tokens that the answer may have. ``temperature``: 0 always takes the
    most likely token. ``top_p``: take from the smallest set of tokens whose probabilities add up
    to this. ``stop``: a text, or several, at which the answer ends. ``seed``: makes the choice
    repeatable. ``tools``: functions that the model may ask to call, as :class:`andon.Tool` or
    OpenAI-style dicts. ``tool_choice``: ``"auto"``, ``"none"``, ``"required"``, or one tool's
    name. ``response_format``: a JSON schema, or OpenAI's dict. ``reasoning_effort``: ``"low"``,
    ``"medium"`` or ``"high"``. ``continue_final_message``: the answer continues the last
    message, an assistant's. ``timeout``: seconds until the whole answer must be there.
    """

    max_tokens: int | None
    temperature: float | None
    top_p: float | None
    stop: str | Sequence[str] | None
    seed: int | None
    tools: Sequence[Tool | Mapping[str, Any]]
    tool_choice: str
    response_format: ResponseFormat | Mapping[str, Any] | None
    reasoning_effort: str | None
    continue_final_message: bool
    timeout: float | None


class ResponseStream(Iterator[ChatDelta]):
    """An answer that arrives piece by piece; made by :meth:`Client.stream`.

    Iterate over it, or use it in a ``with`` statement, which closes it. Closing it stops the
    backend at once.
    """

    def __init__(self, walk: Callable[[Callable[[ChatResponse], None]], Any]) -> None:
        self._response: ChatResponse | None = None
        self._pieces: Generator[ChatDelta, None, None] = walk(self._finish)

    def _finish(self, response: ChatResponse) -> None:
        self._response = response

    def __iter__(self) -> ResponseStream:
        return self

    def __next__(self) -> ChatDelta:
        return next(self._pieces)

    @property
    def response(self) -> ChatResponse:
        """The whole answer, once every piece has arrived.

        :raises InvalidRequestError: it has not.
        """
        return _finished(self._response)

    def close(self) -> None:
        """Stop the answer, and free what it uses."""
        self._pieces.close()

    def __enter__(self) -> ResponseStream:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


class AsyncResponseStream(AsyncIterator[ChatDelta]):
    """An answer that arrives piece by piece; made by :meth:`AsyncClient.stream`.

    Iterate over it, or use it in an ``async with`` statement, which closes it. Closing it stops
    the backend at once.
    """

    def __init__(self, walk: Callable[[Callable[[ChatResponse], None]], Any]) -> None:
        self._response: ChatResponse | None = None
        self._pieces: AsyncGenerator[ChatDelta, None] = walk(self._finish)

    def _finish(self, response: ChatResponse) -> None:
        self._response = response

    def __aiter__(self) -> AsyncResponseStream:
        return self

    async def __anext__(self) -> ChatDelta:
        return await anext(self._pieces)

    @property
    def response(self) -> ChatResponse:
        """The whole answer, once every piece has arrived.

        :raises InvalidRequestError: it has not.
        """
        return _finished(self._response)

    async def aclose(self) -> None:
        """Stop the answer, and free what it uses."""
        await self._pieces.aclose()

    async def __aenter__(self) -> AsyncResponseStream:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()


class _BaseClient:
    """What both clients share: settings, plugins, and the rooms of the corridor."""

    def __init__(
        self,
        *,
        privacy: PrivacyTier | str | None = None,
        daily_budget_usd: Decimal | float | str | None = None,
        max_request_cost_usd: Decimal | float | str | None = None,
        ledger: Ledger | str | None = None,
        endpoints: Mapping[str, Mapping[str, Any]] | None = None,
        prices: Mapping[str, Price] | None = None,
        routing: Mapping[str, Any] | None = None,
        observers: Sequence[str] | None = None,
        settings: Settings | None = None,
        discover: bool = True,
        plugins: Sequence[object] = (),
    ) -> None:
        """Make a client; nothing is opened or loaded before it is needed.

        :param privacy: where the data of a request may go.
        :param daily_budget_usd: most that one day may cost, in US dollars.
        :param max_request_cost_usd: most that one request may cost, in US dollars.
        :param ledger: where spending is kept: a URL, or a ledger; in memory by default.
        :param endpoints: settings of backends, by the backend's name.
        :param prices: prices by ``backend:model``; they go before all others.
        :param routing: ``strategy``, the name of a routing strategy, and that strategy's settings.
        :param observers: names of installed plugins whose observers are wanted.
        :param settings: all settings in one; then no file and no environment variable is read.
        :param discover: whether to look for installed plugins. Without, nothing outside the
            arguments is read: neither entry points nor files nor the environment.
        :param plugins: modules or objects that are plugins, asked before installed ones.
        :raises SettingsError: a setting is wrong.
        :raises PluginLoadError: one of ``plugins`` is broken.
        """
        if settings is None:
            settings = load() if discover else Settings()
        self.settings = override(
            settings,
            privacy=privacy,
            daily_budget_usd=daily_budget_usd,
            max_request_cost_usd=max_request_cost_usd,
            endpoints=endpoints,
            routing=routing,
            observers=observers,
        )
        self.plugins = Plugins(
            discover=discover, plugins=plugins, disabled=self.settings.disable_plugins
        )
        self._environment: Mapping[str, str] = os.environ if discover else {}
        self._backends: dict[str, Backend] = {}
        self._lock = threading.Lock()
        self._closed = False
        self._numbers = itertools.count(1)
        self._house = self._build_house(prices or {})
        self._world = World(
            self._create_backend,
            self._build_breaker(ledger),
            self.plugins.observers(self.settings.observers),
        )

    def _build_house(self, prices: Mapping[str, Price]) -> House:
        from_settings = {name: _price(name, row) for name, row in self.settings.prices.items()}
        return House(
            find_backend=self.plugins.backend,
            selector=BackendSelector(self.settings.privacy),
            prices=PriceTable({**from_settings, **prices}, self.plugins.price),
            router=_find_router(self.settings.routing, self.plugins),
        )

    def _build_breaker(self, ledger: Ledger | str | None) -> CostCircuitBreaker:
        config = CircuitBreakerConfig(
            daily_budget_usd=self.settings.daily_budget_usd,
            max_request_cost_usd=self.settings.max_request_cost_usd,
        )
        place = self.settings.ledger if ledger is None else ledger
        return CostCircuitBreaker(config, ledger=_open_ledger(place, self.plugins))

    def _create_backend(self, spec: BackendSpec) -> Backend:
        with self._lock:
            self._check_open()
            backend = self._backends.get(spec.name)
            if backend is None:
                backend = self._backends[spec.name] = spec.create(self._context(spec))
            return backend

    def _context(self, spec: BackendSpec) -> BackendContext:
        options: dict[str, Any] = {}
        for name in (*spec.aliases, spec.name):
            options.update(self.settings.endpoints.get(name, {}))
        return BackendContext(
            options=options,
            offline=self.settings.privacy is PrivacyTier.SOVEREIGN,
            find_card=self.plugins.model_card,
            cards=self.plugins.model_cards,
            chat_templates=self.plugins.chat_templates,
            environment=self._environment,
        )

    def _check_open(self) -> None:
        if self._closed:
            raise ClientClosedError("this client is closed; make a new one")

    def _order(
        self,
        models: Models,
        messages: Messages | None,
        prompt: str | None,
        stream: bool,
        options: RequestOptions,
    ) -> Order:
        """Read a call's arguments; every mistake in them is found here, before any work."""
        self._check_open()
        refs = _model_refs(models)
        request = _request(refs[0].model, messages, prompt, stream, options)
        timeout = options.get("timeout")
        if timeout is not None and not timeout > 0:
            raise InvalidRequestError(f"timeout must be more than 0 seconds, not {timeout}")
        return Order(refs, request, timeout, next(self._numbers))

    def _take_backends(self) -> list[Backend]:
        """Return the backends for closing; the client can serve no more."""
        with self._lock:
            self._closed = True
            backends = list(self._backends.values())
            self._backends.clear()
            return backends

    def models(self) -> list[tuple[str, ModelCard]]:
        """Return every model that can be asked for by name, each with its backend's name.

        Imports every plugin, and leaves out backends that cannot be made.
        """
        found: list[tuple[str, ModelCard]] = []
        for name, spec in sorted(self.plugins.backends().items()):
            if self._house.selector.privacy.allows(spec.locality):
                found += [(name, card) for card in self._models_of(spec)]
        return found

    def _models_of(self, spec: BackendSpec) -> Iterable[ModelCard]:
        try:
            return self._create_backend(spec).models()
        except ConfigurationError:
            return ()

    @property
    def spent_today_usd(self) -> Decimal:
        """What is spent or held today, in US dollars."""
        return self._world.breaker.spent_today_usd

    def __repr__(self) -> str:
        return f"<{type(self).__name__} privacy={self.settings.privacy}>"


class Client(_BaseClient):
    """One interface to every model server, for threads. See :class:`AsyncClient` for asyncio.

    A client may be shared by many threads. Close it, or use it in a ``with`` statement, to free
    its engines and connections.
    """

    def chat(
        self, model: Models, messages: Messages, **options: Unpack[RequestOptions]
    ) -> ChatResponse:
        """Answer a chat, and return the whole answer.

        :param model: ``backend:model``, or several in order of preference.
        :param messages: the chat so far, or one user's text.
        :param options: see :class:`RequestOptions`.
        :raises AndonError: see :mod:`andon.errors`.
        """
        return self._whole(self._order(model, messages, None, False, options))

    def complete(
        self, model: Models, prompt: str, **options: Unpack[RequestOptions]
    ) -> ChatResponse:
        """Complete a raw prompt, without a chat template; see :meth:`chat`."""
        return self._whole(self._order(model, None, prompt, False, options))

    def stream(
        self,
        model: Models,
        messages: Messages | None = None,
        *,
        prompt: str | None = None,
        **options: Unpack[RequestOptions],
    ) -> ResponseStream:
        """Answer a chat, or complete a raw ``prompt``, piece by piece; see :meth:`chat`."""
        order = self._order(model, messages, prompt, True, options)
        return ResponseStream(lambda finish: drive(serve(order, self._house), self._world, finish))

    def _whole(self, order: Order) -> ChatResponse:
        whole: list[ChatResponse] = []
        for _ in drive(serve(order, self._house), self._world, whole.append):
            pass
        return whole[0]

    def close(self) -> None:
        """Free every engine and connection. The client can serve no more."""
        for backend in self._take_backends():
            backend.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class AsyncClient(_BaseClient):
    """One interface to every model server, for asyncio. See :class:`Client` for threads.

    A client may be shared by many tasks of one event loop. Close it, or use it in an
    ``async with`` statement, to free its engines and connections.
    """

    async def chat(
        self, model: Models, messages: Messages, **options: Unpack[RequestOptions]
    ) -> ChatResponse:
        """Answer a chat, and return the whole answer; see :meth:`Client.chat`."""
        return await self._whole(self._order(model, messages, None, False, options))

    async def complete(
        self, model: Models, prompt: str, **options: Unpack[RequestOptions]
    ) -> ChatResponse:
        """Complete a raw prompt, without a chat template; see :meth:`Client.chat`."""
        return await self._whole(self._order(model, None, prompt, False, options))

    def stream(
        self,
        model: Models,
        messages: Messages | None = None,
        *,
        prompt: str | None = None,
        **options: Unpack[RequestOptions],
    ) -> AsyncResponseStream:
        """Answer a chat, or complete a raw ``prompt``, piece by piece; see :meth:`Client.chat`."""
        order = self._order(model, messages, prompt, True, options)
        return AsyncResponseStream(
            lambda finish: adrive(serve(order, self._house), self._world, finish)
        )

    async def _whole(self, order: Order) -> ChatResponse:
        whole: list[ChatResponse] = []
        async for _ in adrive(serve(order, self._house), self._world, whole.append):
            pass
        return whole[0]

    async def aclose(self) -> None:
        """Free every engine and connection. The client can serve no more."""
        await asyncio.gather(*(backend.aclose() for backend in self._take_backends()))

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()


def _finished(response: ChatResponse | None) -> ChatResponse:
    if response is None:
        raise InvalidRequestError("the answer is not complete yet; read the stream to its end")
    return response


def _model_refs(models: Models) -> tuple[ModelRef, ...]:
    names = (models,) if isinstance(models, str) else tuple(models)
    if not names:
        raise InvalidRequestError("no model is named; name one as backend:model")
    return tuple(ModelRef.parse(name) for name in names)


def _request(
    model: str,
    messages: Messages | None,
    prompt: str | None,
    stream: bool,
    options: RequestOptions,
) -> ChatRequest:
    unknown = set(options) - set(RequestOptions.__annotations__)
    if unknown:
        known = ", ".join(sorted(RequestOptions.__annotations__))
        raise TypeError(f"unknown options {sorted(unknown)}; the options are {known}")
    stop = options.get("stop") or ()
    return ChatRequest(
        model=model,
        messages=() if messages is None else as_messages(messages),
        prompt=prompt,
        sampling=Sampling(
            max_tokens=options.get("max_tokens"),
            temperature=options.get("temperature"),
            top_p=options.get("top_p"),
            stop=(stop,) if isinstance(stop, str) else tuple(stop),
            seed=options.get("seed"),
        ),
        tools=tuple(Tool.from_openai(tool) for tool in options.get("tools") or ()),
        tool_choice=options.get("tool_choice") or "auto",
        response_format=ResponseFormat.from_openai(options.get("response_format")),
        reasoning_effort=options.get("reasoning_effort"),
        continue_final_message=options.get("continue_final_message", False),
        stream=stream,
    )


def _price(name: str, row: PriceSettings) -> Price:
    return Price(
        input=row.input,
        output=row.output,
        cached_input=row.cached_input,
        cache_write=row.cache_write,
        source=f'settings: prices."{name}"',
    )


def _find_router(routing: Mapping[str, Any], plugins: Plugins) -> Router:
    if not routing:
        return InOrder()
    options = dict(routing)
    name = options.pop("strategy", None)
    spec = plugins.router(name) if isinstance(name, str) else None
    if spec is None:
        raise SettingsError(f"routing.strategy: no plugin offers the routing strategy {name!r}")
    return spec.create(options)


def _open_ledger(place: Ledger | str | None, plugins: Plugins) -> Ledger:
    if place is None:
        return MemoryLedger()
    if not isinstance(place, str):
        return place
    scheme = place.partition(":")[0]
    spec = plugins.ledger(scheme)
    if spec is None:
        raise SettingsError(f"no plugin opens a ledger at {place!r}: unknown scheme {scheme!r}")
    try:
        return spec.create(place)
    except AndonError:
        raise
    except Exception as error:
        raise SettingsError(f"the ledger at {place!r} cannot be opened: {error}") from error
