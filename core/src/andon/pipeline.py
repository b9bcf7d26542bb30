"""The corridor: the one way that every request takes, front to back.

::

    select → fit → price → reserve → route → send → follow → settle

It does no I/O and reads no clock. It is a generator that yields what it needs next, an
*effect*, and is sent the answer; a driver performs the effects, in
:mod:`andon.drivers` once for threads and once for asyncio. So nothing is written twice,
and a test can perform the effects in a world of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from andon.answer import Answer
from andon.backends import Backend, PromptMeasure
from andon.budget import Reservation
from andon.chat import Attempt, ChatRequest, ChatResponse, Usage
from andon.context import ContextManager, TruncationStrategy
from andon.effects import (
    Abandoned,
    Close,
    Emit,
    Next,
    Reserve,
    Settle,
    Steps,
    Tell,
    clock,
    create,
    send,
)
from andon.errors import (
    AndonError,
    BackendError,
    ContextOverflowError,
    PrivacyViolation,
    PromptTooLongError,
    RequestTimeout,
    RoutingError,
    StreamInterrupted,
    UnsupportedParameterError,
)
from andon.events import (
    AnswerAbandoned,
    AnswerFinished,
    AttemptFailed,
    AttemptStarted,
    BudgetThresholdPassed,
    ChatTruncated,
    ParameterDropped,
)
from andon.failover import may_go_elsewhere
from andon.fitting import fit
from andon.pricing import PriceTable, TokenPricing, to_usd
from andon.profiles import ProfileTable, check_accepted, without
from andon.routing import Candidate, Router
from andon.selection import BackendSelector, ModelRef
from andon.specs import BackendSpec, Locality

#: Most tokens of an answer to a paid model when neither the caller nor the model's card says.
#: The cap is sent to the provider, so that what was reserved is enough.
DEFAULT_MAX_OUTPUT_TOKENS = 4096


#: What makes the next candidate the one to ask, or ends the request: never an error of ours.
_PASSED_ON = (
    BackendError,
    ContextOverflowError,
    PrivacyViolation,
    UnsupportedParameterError,
)


# -- What the corridor is given ---------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class House:
    """The rooms along the corridor, made once for each client.

    :param find_backend: finds a backend's record by its name.
    :param selector: keeps requests from backends that they must not reach.
    :param prices: knows what models cost.
    :param router: puts the candidates in order.
    :param profiles: knows what models accept.
    :param find_manager: gives a model's context manager by backend and model, or None where
        nobody knows its window.
    """

    find_backend: Callable[[str], BackendSpec]
    selector: BackendSelector
    prices: PriceTable
    router: Router
    profiles: ProfileTable = field(default_factory=ProfileTable)
    find_manager: Callable[[str, str], ContextManager | None] = lambda backend, model: None


@dataclass(frozen=True, slots=True)
class Order:
    """What a caller wants.

    :param models: the models that may answer, in order of preference.
    :param request: the request; its model is replaced by each candidate's.
    :param timeout: seconds until the whole answer must be there, or None for ever.
    :param number: the client's own number of the request.
    :param drop_unsupported: whether an option that a model does not take is left out.
    :param labels: who asks, for budgets that go by it.
    :param truncation: what may be left out of a chat that is too long.
    """

    models: tuple[ModelRef, ...]
    request: ChatRequest
    timeout: float | None = None
    number: int = 0
    drop_unsupported: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    truncation: TruncationStrategy = TruncationStrategy.ERROR


@dataclass(slots=True)
class _Trip:
    """One request on its way: what several stages need to know."""

    order: Order
    house: House
    deadline: float | None = None
    attempts: list[Attempt] = field(default_factory=list)


# -- The way itself -----------------------------------------------------------------------------


def serve(order: Order, house: House) -> Steps[ChatResponse]:
    """Answer one request. This is the corridor.

    :param order: what the caller wants.
    :param house: the rooms along the way.
    :return: effects; at their end, the whole answer.
    """
    trip = _Trip(order, house)
    candidates = house.router.order(_select(trip))
    if order.timeout is not None:
        trip.deadline = (yield from clock()) + order.timeout
    for candidate in candidates:
        answer = Answer()
        try:
            return (yield from _serve_with(trip, candidate, answer))
        except _PASSED_ON as error:
            yield from _note_failure(trip, candidate, error)
            # Whoever waits for the whole answer sees nothing of a broken one.
            seen = order.request.stream and answer.has_content
            if not (yield from _may_go_on(trip, error, seen)):
                if seen:
                    raise _broken_off(trip, answer, error) from error
                raise
    raise _all_failed(trip)


def _select(trip: _Trip) -> list[Candidate]:
    """Return the candidates that the privacy tier allows; refuse where none is left."""
    candidates: list[Candidate] = []
    refusal: PrivacyViolation | None = None
    for ref in trip.order.models:
        spec = trip.house.find_backend(ref.backend)
        try:
            trip.house.selector.validate(spec)
        except PrivacyViolation as error:
            refusal = refusal or error
            trip.attempts.append(Attempt(spec.name, ref.model, error))
        else:
            candidates.append(Candidate(ref, spec))
    if refusal is not None and not candidates:
        raise refusal
    return candidates


def _serve_with(trip: _Trip, candidate: Candidate, answer: Answer) -> Steps[ChatResponse]:
    """Ask one candidate, if need be without the options that its model does not take."""
    request = trip.order.request
    if request.model != candidate.ref.model:
        request = replace(request, model=candidate.ref.model)
    tight = False
    while True:
        try:
            return (yield from _attempt(trip, candidate, request, answer, tight=tight))
        except PromptTooLongError as error:
            if tight or trip.order.truncation is TruncationStrategy.ERROR or answer.has_content:
                raise
            yield from _note_failure(trip, candidate, error)
            tight = True
        except UnsupportedParameterError as error:
            lesser = without(request, error.parameter) if trip.order.drop_unsupported else None
            if lesser is None:
                raise
            request = lesser
            yield Tell(
                ParameterDropped(
                    request_id=trip.order.number,
                    backend=candidate.spec.name,
                    model=request.model,
                    parameter=error.parameter or "",
                    reason=str(error),
                )
            )


def _attempt(
    trip: _Trip, candidate: Candidate, request: ChatRequest, answer: Answer, *, tight: bool
) -> Steps[ChatResponse]:
    """Ask one candidate: fit, price, reserve, send, follow and settle."""
    if candidate.spec.locality is not Locality.IN_PROCESS:
        # An engine in this process knows its model better than any table.
        check_accepted(request, trip.house.profiles.find(candidate.spec.name, candidate.ref.model))
    backend = yield from create(candidate.spec)
    fitted = yield from fit(
        backend,
        request,
        trip.order.truncation,
        partial(trip.house.find_manager, candidate.spec.name, candidate.ref.model),
        tight=tight,
    )
    request, measured = fitted.request, fitted.measured
    if fitted.dropped:
        yield Tell(
            ChatTruncated(
                request_id=trip.order.number,
                backend=candidate.spec.name,
                model=request.model,
                dropped=fitted.dropped,
            )
        )
    price = trip.house.prices.price(
        candidate.spec.name, candidate.ref.model, candidate.spec.locality
    )
    pricing = TokenPricing.from_price(price)
    request, bound = _bound(request, measured, pricing)
    reservation = yield from _reserve(trip, candidate, bound)
    yield Tell(
        AttemptStarted(
            request_id=trip.order.number,
            backend=candidate.spec.name,
            model=request.model,
            input_tokens=None if measured is None else measured.count.tokens,
        )
    )
    try:
        yield from _follow(trip, backend, request, answer)
    except BaseException as error:
        if reservation is not None:
            yield Settle(
                reservation, min(bound, pricing.cost_nano(_used(answer, request, measured)))
            )
        if isinstance(error, Abandoned):
            yield Tell(
                AnswerAbandoned(
                    request_id=trip.order.number,
                    backend=candidate.spec.name,
                    model=request.model,
                )
            )
        raise
    answer.usage = _used(answer, request, measured)
    return (yield from _settle(trip, candidate, answer, pricing, reservation))


def _bound(
    request: ChatRequest, measured: PromptMeasure | None, pricing: TokenPricing
) -> tuple[ChatRequest, int]:
    """Return the request, its answer capped where it costs money, and the most it can cost."""
    if pricing.is_free:
        return request, 0
    if request.sampling.max_tokens is None:
        cap = (measured and measured.card.max_output_tokens) or DEFAULT_MAX_OUTPUT_TOKENS
        request = replace(request, sampling=replace(request.sampling, max_tokens=cap))
    tokens = _upper_bound(request) if measured is None else measured.count.tokens
    return request, pricing.bound_nano(tokens, request.sampling.max_tokens or 0)


def _upper_bound(request: ChatRequest) -> int:
    """Return a number of tokens that the prompt cannot pass: no token is less than a byte."""
    texts = [request.prompt or "", *(str(message.to_openai()) for message in request.messages)]
    texts += [str(tool.to_openai()) for tool in request.tools]
    return sum(len(text.encode("utf-8", "surrogatepass")) + 1 for text in texts)


def _follow(
    trip: _Trip,
    backend: Backend,
    request: ChatRequest,
    answer: Answer,
) -> Steps[None]:
    """Send the request and follow the stream to its end."""
    stream = yield from send(backend, request, (yield from _remaining(trip, request)))
    fetch = Next(stream)
    emit = request.stream
    try:
        while (delta := (yield fetch)) is not None:
            answer.append(delta)
            if emit:
                yield Emit(delta)
    finally:
        yield Close(stream)
    if answer.finish_reason is None:
        raise StreamInterrupted(
            "the answer ended without saying why", partial=answer.text, model=request.model
        )


def _settle(
    trip: _Trip,
    candidate: Candidate,
    answer: Answer,
    pricing: TokenPricing,
    reservation: Reservation | None,
) -> Steps[ChatResponse]:
    cost = pricing.cost_nano(answer.usage)
    if reservation is not None:
        yield Settle(reservation, cost)
    trip.attempts.append(Attempt(candidate.spec.name, candidate.ref.model))
    response = answer.response(
        backend=candidate.spec.name,
        model=candidate.ref.model,
        cost_usd=to_usd(cost),
        attempts=trip.attempts,
    )
    yield Tell(
        AnswerFinished(
            request_id=trip.order.number,
            backend=response.backend,
            model=response.model,
            finish_reason=response.finish_reason,
            usage=response.usage,
            cost_usd=response.cost_usd,
        )
    )
    return response


def _used(answer: Answer, request: ChatRequest, measured: PromptMeasure | None) -> Usage:
    """Return the tokens used: what the backend reported, else the most that it can have been."""
    if answer.usage_known or not answer.started:
        return answer.usage
    tokens = _upper_bound(request) if measured is None else measured.count.tokens
    return Usage(input_tokens=tokens, output_tokens=answer.size, estimated=True)


# -- When a candidate fails -----------------------------------------------------------------------


def _note_failure(trip: _Trip, candidate: Candidate, error: AndonError) -> Steps[None]:
    backend, model = candidate.spec.name, candidate.ref.model
    if isinstance(error, BackendError):
        error.backend = error.backend or backend
        error.model = error.model or model
    trip.attempts.append(Attempt(backend, model, error))
    yield Tell(
        AttemptFailed(request_id=trip.order.number, backend=backend, model=model, error=error)
    )


def _may_go_on(trip: _Trip, error: AndonError, seen: bool) -> Steps[bool]:
    if trip.deadline is not None and (yield from clock()) >= trip.deadline:
        return False
    return may_go_elsewhere(error, seen=seen)


def _broken_off(trip: _Trip, answer: Answer, error: AndonError) -> StreamInterrupted:
    last = trip.attempts[-1]
    return StreamInterrupted(
        f"the answer broke off after {len(answer.text)} characters: {error}",
        partial=answer.text,
        backend=last.backend,
        model=last.model,
        attempts=trip.attempts,
    )


def _all_failed(trip: _Trip) -> AndonError:
    errors = [attempt.error for attempt in trip.attempts if attempt.error is not None]
    if len(errors) == 1:
        return errors[0]
    listing = "; ".join(f"{a.backend}:{a.model}: {a.error}" for a in trip.attempts)
    return RoutingError(f"every candidate failed: {listing}", attempts=trip.attempts)


# -- Small steps ---------------------------------------------------------------------------------


def _reserve(trip: _Trip, candidate: Candidate, amount: int) -> Steps[Reservation | None]:
    """Hold an amount, and tell of budgets that come to their end; nothing for what is free."""
    if not amount:
        return None
    where = {"backend": candidate.spec.name, "model": candidate.ref.model}
    reservation: Reservation = yield Reserve(amount, {**trip.order.labels, **where})
    for warning in reservation.warnings:
        yield Tell(BudgetThresholdPassed(request_id=trip.order.number, warning=warning))
    return reservation


def _remaining(trip: _Trip, request: ChatRequest) -> Steps[float | None]:
    if trip.deadline is None:
        return None
    remaining = trip.deadline - (yield from clock())
    if remaining <= 0:
        raise RequestTimeout(
            f"the timeout of {trip.order.timeout} s was over before the request was sent",
            model=request.model,
        )
    return remaining
