"""The front door: :class:`Client` and :class:`AsyncClient`, two thin faces of the corridor."""

from __future__ import annotations

import itertools
import time
from collections.abc import (
    Mapping,
    Sequence,
)
from decimal import Decimal
from types import TracebackType
from typing import Any, Self, Unpack

from andon.backends import AnswersQuestions, Backend, PromptMeasure, TellsSlots
from andon.budget import Budget, CostCircuitBreaker, Ledger
from andon.chat import ChatRequest, ChatResponse
from andon.context import TruncationStrategy
from andon.drivers import acomplete, adrive, complete, drive
from andon.errors import (
    ConfigurationError,
    InvalidRequestError,
)
from andon.failover import FailoverPolicy
from andon.messages import Messages
from andon.options import (
    Models,
    RequestOptions,
    find_policy,
    read_failover,
    read_models,
    read_request,
    read_truncation,
)
from andon.pipeline import serve
from andon.plugins import Plugins
from andon.pricing import Priced
from andon.privacy import PrivacyTier
from andon.privacy.payload import check_payload
from andon.response_stream import AsyncResponseStream, ResponseStream
from andon.selection import ModelRef
from andon.settings import Settings, load, override
from andon.specs import ModelCard, Price
from andon.tokens import TokenCount, counted_by
from andon.trip import Order
from andon.workplace import Workplace

#: Arguments of a client that go before the settings of the same name.
_SETTINGS = frozenset(
    "privacy daily_budget_usd max_request_cost_usd budgets endpoints routes failover routing "
    "observers drop_unsupported truncation".split()
)


class _BaseClient:
    """What both clients share: settings, plugins, and the rooms of the corridor."""

    def __init__(
        self,
        *,
        privacy: PrivacyTier | str | None = None,
        daily_budget_usd: Decimal | float | str | None = None,
        max_request_cost_usd: Decimal | float | str | None = None,
        budgets: Mapping[str, Budget] | None = None,
        ledger: Ledger | str | None = None,
        endpoints: Mapping[str, Mapping[str, Any]] | None = None,
        prices: Mapping[str, Priced] | None = None,
        routes: Mapping[str, Mapping[str, Any]] | None = None,
        failover: FailoverPolicy | None = None,
        routing: Mapping[str, Any] | None = None,
        observers: Sequence[str] | None = None,
        drop_unsupported: bool | None = None,
        truncation: TruncationStrategy | str | None = None,
        settings: Settings | None = None,
        discover: bool = True,
        plugins: Sequence[object] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Make a client; nothing is opened or loaded before it is needed.

        :param privacy: where the data of a request may go.
        :param daily_budget_usd: most that one day may cost, in US dollars.
        :param max_request_cost_usd: most that one request may cost, in US dollars.
        :param budgets: further budgets by name.
        :param ledger: where spending is kept: a URL, or a ledger; in memory by default.
        :param endpoints: settings of backends, by the backend's name.
        :param prices: prices by ``backend:model``, or several that hold in turn; they go before all
            others.
        :param routes: names for several models: ``{"assistant": {"models": [...]}}``, beside them
            how hard to try, as in :class:`andon.FailoverPolicy`.
        :param failover: how hard to try, for models that are named without a route.
        :param routing: ``strategy``, the name of a routing strategy, and that strategy's settings.
        :param observers: names of installed plugins whose observers are wanted.
        :param drop_unsupported: leave out what a model does not take, with an event.
        :param truncation: what is left out of a chat that is too long; nothing by default.
        :param settings: all settings in one; then no file and no environment variable is read.
        :param discover: whether to look for installed plugins. Without, nothing outside the
            arguments is read: neither entry points nor files nor the environment.
        :param plugins: modules or objects that are plugins, asked before installed ones.
        :param environment: the variables that settings and backends are read from, keys among
            them; by default the process's own, and without ``discover`` none.
        :raises SettingsError: a setting is wrong.
        :raises PluginLoadError: one of ``plugins`` is broken.
        """
        given = {name: value for name, value in locals().items() if name in _SETTINGS}
        if settings is None:
            settings = load(environment=environment) if discover else Settings()
        settings = override(settings, **given)
        self._place = Workplace(
            settings,
            prices=prices or {},
            ledger=ledger,
            discover=discover,
            plugins=plugins,
            environment=environment,
        )
        self._numbers = itertools.count(1)

    @property
    def settings(self) -> Settings:
        """What holds for every request."""
        return self._place.settings

    @property
    def plugins(self) -> Plugins:
        """The plugins of this client."""
        return self._place.plugins

    def _order(
        self,
        models: Models,
        messages: Messages | None,
        prompt: str | None,
        stream: bool,
        options: RequestOptions,
    ) -> Order:
        """Read a call's arguments; every mistake in them is found here, before any work."""
        self._place.check_open()
        settings = self.settings
        refs = read_models(models, settings.routes)
        request = read_request(refs[0].model, messages, prompt, stream, options)
        timeout = options.get("timeout")
        if timeout is not None and not timeout > 0:
            raise InvalidRequestError(f"timeout must be more than 0 seconds, not {timeout}")
        lenient = options.get("drop_unsupported")
        if lenient is None:
            lenient = settings.drop_unsupported
        policy = find_policy(models, settings.routes, settings.failover)
        return Order(
            refs,
            request,
            timeout,
            next(self._numbers),
            lenient,
            options.get("labels") or {},
            read_truncation(options, settings.truncation),
            read_failover(options, policy),
            options.get("priority") or 0,
        )

    def _question(
        self, model: str, messages: Messages, options: RequestOptions
    ) -> tuple[tuple[ModelRef, ...], ChatRequest]:
        self._place.check_open()
        refs = read_models(model)
        request = read_request(refs[0].model, messages, None, False, options)
        check_payload(self.settings.privacy, request)
        return refs, request

    def models(self) -> list[tuple[str, ModelCard]]:
        """Return every model that can be asked for by name, each with its backend's name.

        Imports every plugin, and leaves out backends that cannot be made or do not answer.
        """
        return self._place.models()

    def price(self, model: str) -> Price:
        """Return what a model costs, and where that is known from.

        :param model: ``backend:model``.
        :raises UnknownPriceError: nobody knows it.
        """
        [ref] = read_models(model)
        spec = self._place.find_backend(ref.backend)
        return self._place.house.prices.price(spec.family, ref.model, spec.locality)

    @property
    def breaker(self) -> CostCircuitBreaker:
        """What grants this client's spending."""
        return self._place.world.breaker

    @property
    def spent_today_usd(self) -> Decimal:
        """What is spent or held today, in US dollars."""
        return self._place.world.breaker.spent_today_usd

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
        order = self._order(model, messages, None, False, options)
        return complete(serve(order, self._place.house), self._place.world)

    def complete(
        self, model: Models, prompt: str, **options: Unpack[RequestOptions]
    ) -> ChatResponse:
        """Complete a raw prompt, without a chat template; see :meth:`chat`."""
        order = self._order(model, None, prompt, False, options)
        return complete(serve(order, self._place.house), self._place.world)

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
        return ResponseStream(
            lambda finish: drive(serve(order, self._place.house), self._place.world, finish)
        )

    def list_models(self, backend: str) -> Sequence[ModelCard]:
        """Ask a backend which models it has at this moment.

        :param backend: the backend's name.
        :raises ConfigurationError: there is no such backend, or one cannot ask it.
        :raises PrivacyViolation: the privacy tier forbids asking it.
        :raises BackendError: it failed.
        """
        asked = self._place.reach(backend)
        return asked.list_models() if isinstance(asked, AnswersQuestions) else asked.models()

    def check_health(self, backend: str) -> None:
        """Ask a backend whether it can serve; without an error it can. See :meth:`list_models`."""
        asked = self._place.reach(backend)
        if isinstance(asked, AnswersQuestions):
            asked.check_health()

    def resting(self) -> Mapping[str, float]:
        """Return the models that are not asked as usual since they failed lately.

        :return: for each ``backend:model`` the seconds that it rests; 0.0 where the next request
            may try it. Where processes share their health, what they all know.
        """
        return self._place.house.health.resting(time.monotonic())

    def learn_slots(self, backend: str) -> int | None:
        """Ask a backend how many requests it serves at a time, and route by it from now on.

        What the settings say in ``routing.slots`` goes before. See :meth:`list_models`.

        :param backend: the backend's name.
        :return: how many, or None where it does not tell.
        """
        asked = self._place.reach(backend)
        slots = asked.learn_slots() if isinstance(asked, TellsSlots) else None
        self._place.note_slots(backend, slots)
        return slots

    def count_tokens(
        self, model: str, messages: Messages, **options: Unpack[RequestOptions]
    ) -> TokenCount:
        """Count the tokens of a prompt where its model is served, without asking for an answer.

        :param model: ``backend:model``.
        :param messages: the chat so far, or one user's text; it is sent to the backend.
        :param options: see :class:`RequestOptions`; tools count as well.
        :raises ConfigurationError: the backend cannot be asked; see :meth:`list_models`.
        """
        [ref], request = self._question(model, messages, options)
        asked = self._place.reach(ref.backend)
        if isinstance(asked, AnswersQuestions):
            return counted_by(ref.backend, asked.count_tokens(request))
        return _measured(ref, asked.measure(request))

    def close(self) -> None:
        """Free every engine and connection. The client can serve no more."""
        for backend in self._place.take_backends():
            backend.close()
        self._place.end()

    def __enter__(self) -> Self:
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
        order = self._order(model, messages, None, False, options)
        return await acomplete(serve(order, self._place.house), self._place.world)

    async def complete(
        self, model: Models, prompt: str, **options: Unpack[RequestOptions]
    ) -> ChatResponse:
        """Complete a raw prompt, without a chat template; see :meth:`Client.chat`."""
        order = self._order(model, None, prompt, False, options)
        return await acomplete(serve(order, self._place.house), self._place.world)

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
            lambda finish: adrive(serve(order, self._place.house), self._place.world, finish)
        )

    async def list_models(self, backend: str) -> Sequence[ModelCard]:
        """Ask a backend which models it has at this moment; see :meth:`Client.list_models`."""
        asked = await self._areach(backend)
        if isinstance(asked, AnswersQuestions):
            return await asked.alist_models()
        return asked.models()

    async def check_health(self, backend: str) -> None:
        """Ask a backend whether it can serve; see :meth:`Client.check_health`."""
        asked = await self._areach(backend)
        if isinstance(asked, AnswersQuestions):
            await asked.acheck_health()

    async def resting(self) -> Mapping[str, float]:
        """Return the models that failed lately; see :meth:`Client.resting`."""
        import asyncio

        return await asyncio.to_thread(self._place.house.health.resting, time.monotonic())

    async def learn_slots(self, backend: str) -> int | None:
        """Ask a backend how many requests it serves; see :meth:`Client.learn_slots`."""
        asked = await self._areach(backend)
        slots = await asked.alearn_slots() if isinstance(asked, TellsSlots) else None
        import asyncio

        # In a thread: a router that shares its counts tells it to a server.
        await asyncio.to_thread(self._place.note_slots, backend, slots)
        return slots

    async def count_tokens(
        self, model: str, messages: Messages, **options: Unpack[RequestOptions]
    ) -> TokenCount:
        """Count the tokens of a prompt; see :meth:`Client.count_tokens`."""
        [ref], request = self._question(model, messages, options)
        asked = await self._areach(ref.backend)
        if isinstance(asked, AnswersQuestions):
            return counted_by(ref.backend, await asked.acount_tokens(request))
        return _measured(ref, await asked.ameasure(request))

    async def _areach(self, name: str) -> Backend:
        import asyncio

        # The first use of a backend may import an engine.
        return await asyncio.to_thread(self._place.reach, name)

    async def aclose(self) -> None:
        """Free every engine and connection. The client can serve no more."""
        import asyncio

        await asyncio.gather(*(backend.aclose() for backend in self._place.take_backends()))
        self._place.end()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()


def _measured(ref: ModelRef, measure: PromptMeasure | None) -> TokenCount:
    if measure is None:
        raise ConfigurationError(f"the backend {ref.backend!r} cannot be asked for token counts")
    return measure.count
