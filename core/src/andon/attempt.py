"""One candidate is asked: fit, price, reserve, send, follow and settle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

from andon.answer import Answer
from andon.backends import Backend, ContinuesForms, PromptMeasure
from andon.budget import Reservation
from andon.chat import (
    Attempt,
    ChatDelta,
    ChatRequest,
    ChatResponse,
    FinishReason,
    Reconnected,
    Sampling,
    Usage,
)
from andon.context import Calibration, ChatCounter, PromptSize, TruncationStrategy, has_images
from andon.effects import (
    Close,
    Emit,
    Next,
    Reserve,
    Send,
    Settle,
    Steps,
    create,
)
from andon.errors import (
    AndonError,
    AnsweredElsewhere,
    PromptTooLongError,
    RequestTimeout,
    StreamInterrupted,
    UnsupportedParameterError,
)
from andon.failover.resumption import ResumeMode, Resumption
from andon.failover.seam import shifted
from andon.fitting import fit
from andon.pricing import TokenPricing, to_usd
from andon.profiles import check_accepted, without
from andon.routing import Candidate
from andon.specs import Locality
from andon.tokens import TokenCount
from andon.trip import Bill, Trip

#: Most tokens of an answer to a paid model when neither the caller nor the model's card says.
#: The cap is sent to the provider, so that what was reserved is enough.
DEFAULT_MAX_OUTPUT_TOKENS = 4096


def ask(trip: Trip, candidate: Candidate, way: Resumption | None) -> Steps[ChatResponse]:
    """Ask one candidate, if need be without the options that its model does not take.

    :param trip: the request on its way.
    :param candidate: whom to ask.
    :param way: how it goes on with what was delivered, or None where nothing was.
    :raises AndonError: it did not answer, or not to the end.
    """
    request = _addressed(trip, candidate, trip.order.request if way is None else way.request)
    goes_on = way is not None and way.mode is ResumeMode.CONTINUE
    tight = False
    while True:
        try:
            return (yield from _attempt(trip, candidate, request, way, tight=tight))
        except PromptTooLongError as error:
            may_truncate = trip.order.truncation is not TruncationStrategy.ERROR
            if tight or not may_truncate or trip.delivering:
                raise
            trip.note_failure(candidate, error)
            tight = True
        except UnsupportedParameterError as error:
            essential = goes_on and error.parameter == "continue_final_message"
            lenient = trip.order.drop_unsupported and not essential
            lesser = without(request, error.parameter) if lenient else None
            if lesser is None:
                raise
            request = lesser
            if trip.house.announcer is not None:
                trip.house.announcer.dropped(trip, candidate, error)


def _addressed(trip: Trip, candidate: Candidate, request: ChatRequest) -> ChatRequest:
    if trip.patience is not request.patience and trip.patience != request.patience:
        request = replace(request, patience=trip.patience)
    if request.model != candidate.ref.model:
        request = replace(request, model=candidate.ref.model)
    return request


def _attempt(
    trip: Trip,
    candidate: Candidate,
    request: ChatRequest,
    way: Resumption | None,
    *,
    tight: bool,
) -> Steps[ChatResponse]:
    """Ask once."""
    if candidate.spec.locality is not Locality.IN_PROCESS:
        # An engine in this process knows its model better than any table.
        check_accepted(request, trip.house.profiles.find(candidate.spec.family, request.model))
    backend = trip.house.backends.get(candidate.spec.name)
    if backend is None:
        backend = yield from create(candidate.spec)
    if way is not None:
        _check_form(way, backend)
    calibration = _calibration(trip, candidate, request.model)
    request, measured = yield from _fit(trip, candidate, backend, request, calibration, tight=tight)
    size = None if measured is not None else calibration.size(request)
    prompt, images = _known(request, measured, size)
    price = trip.house.prices.price(candidate.spec.family, request.model, candidate.spec.locality)
    pricing = TokenPricing.from_price(price)
    request, bound = _bound(request, measured, prompt, pricing, images=images)
    timeout = trip.remaining()
    reservation = yield from _reserve(trip, candidate, bound)
    trip.sent += 1
    number = trip.sent
    leg = trip.answer if way is None else Answer()
    try:
        if trip.house.announcer is not None:
            held = 0 if reservation is None else bound
            trip.house.announcer.attempt_started(trip, candidate, measured, held)
        yield from _follow(trip, candidate, backend, request, leg, way, timeout)
    except BaseException as error:
        sent = leg.started or _was_read(error)
        trip.bill = _bill(_used(leg, prompt, sent=sent), pricing, bound)
        yield from _settle(trip, candidate, number, reservation, error)
        if not isinstance(error, AndonError):
            # Nobody notes it as a failure, which would add it to the request's cost.
            trip.cost, trip.bill = trip.cost + trip.bill.cost, Bill()
        raise
    used = _used(leg, prompt, sent=True)
    trip.bill = _bill(used, pricing, bound)
    yield from _settle(trip, candidate, number, reservation)
    if size is not None and not used.estimated:
        calibration.learn(size, used.input_tokens)
    kept = 0 if way is None else way.delivered.tokens_before(way.cut)
    trip.answer.usage = shifted(used, kept)
    return (yield from finish(trip, candidate))


def _check_form(way: Resumption, backend: Backend) -> None:
    """Refuse to go on with an answer of a form that would be held to it from here on only."""
    formed = way.mode is ResumeMode.CONTINUE and way.request.response_format.kind != "text"
    if formed and not (isinstance(backend, ContinuesForms) and backend.continues_forms):
        raise UnsupportedParameterError(
            "the backend keeps to a JSON schema only from the beginning of an answer",
            parameter="continue_final_message",
        )


def _fit(
    trip: Trip,
    candidate: Candidate,
    backend: Backend,
    request: ChatRequest,
    calibration: Calibration,
    *,
    tight: bool,
) -> Steps[tuple[ChatRequest, PromptMeasure | None]]:
    """Fit the request into the model's window, and tell what that left out."""
    fitted = yield from fit(
        backend,
        request,
        trip.order.truncation,
        partial(trip.house.find_manager, candidate.spec.family, request.model),
        tight=tight,
        block=trip.house.truncation_block,
        calibration=calibration,
        near=candidate.spec.locality is Locality.LOCAL,
    )
    if fitted.dropped and trip.house.announcer is not None:
        trip.house.announcer.truncated(trip, candidate, fitted.dropped)
    return fitted.request, fitted.measured


# -- Money ----------------------------------------------------------------------------------------


def _calibration(trip: Trip, candidate: Candidate, model: str) -> Calibration:
    image_tokens = trip.house.profiles.find(candidate.spec.family, model).image_tokens
    return trip.house.calibrations.of(candidate.spec.name, model, image_tokens)


def _known(
    request: ChatRequest, measured: PromptMeasure | None, size: PromptSize | None
) -> tuple[TokenCount, bool]:
    """Return the prompt's size, as far as it is known, and whether there are images in it."""
    if size is not None:
        return size.bound, size.images
    assert measured is not None
    return measured.count, has_images(request.messages)


def _bound(
    request: ChatRequest,
    measured: PromptMeasure | None,
    prompt: TokenCount,
    pricing: TokenPricing,
    *,
    images: bool,
) -> tuple[ChatRequest, int]:
    """Return the request, its answer capped where it costs money, and the most it can cost."""
    if pricing.is_free:
        return request, 0
    if request.sampling.max_tokens is None:
        cap = (measured and measured.card.max_output_tokens) or DEFAULT_MAX_OUTPUT_TOKENS
        request = request.with_sampling(_capped(request.sampling, cap))
    most = request.sampling.max_tokens or 0
    return request, pricing.bound_nano(prompt.tokens, most, images=images, audio=False)


@lru_cache(maxsize=256)
def _capped(sampling: Sampling, max_tokens: int) -> Sampling:
    return replace(sampling, max_tokens=max_tokens)


def upper_bound(request: ChatRequest) -> int:
    """Return a number of tokens that the prompt cannot pass: no token is less than a byte.

    :param request: what is asked.
    """
    return ChatCounter().request(request).tokens


def _reserve(trip: Trip, candidate: Candidate, amount: int) -> Steps[Reservation | None]:
    """Hold an amount, and tell of budgets that come to their end; nothing for what is free."""
    if not amount:
        return None
    where = {"backend": candidate.spec.name, "model": candidate.ref.model}
    reservation: Reservation = yield Reserve(amount, {**trip.order.labels, **where})
    if reservation.warnings and trip.house.announcer is not None:
        trip.house.announcer.warned(trip, reservation.warnings)
    return reservation


def _settle(
    trip: Trip,
    candidate: Candidate,
    number: int,
    reservation: Reservation | None,
    error: BaseException | None = None,
) -> Steps[None]:
    """Pay what the attempt cost, and tell of its end."""
    bill = trip.bill
    if reservation is not None:
        yield Settle(reservation, bill.cost)
    if trip.house.announcer is not None:
        trip.house.announcer.attempt_ended(trip, candidate, number, bill, error)


def _was_read(error: BaseException) -> bool:
    """Return whether a provider may have read the prompt, and bill it, before an answer began.

    One that refuses or fails bills nothing. One that was too slow for whoever waited may.
    """
    return isinstance(error, AnsweredElsewhere | RequestTimeout) or not isinstance(error, Exception)


def _used(leg: Answer, prompt: TokenCount, *, sent: bool) -> Usage:
    """Return the tokens used: what the backend reported, else the most that it can have been."""
    if leg.usage_known or not sent:
        return leg.usage
    return Usage(input_tokens=prompt.tokens, output_tokens=leg.size, estimated=True)


def _bill(used: Usage, pricing: TokenPricing, bound: int) -> Bill:
    cost = pricing.cost_nano(used)
    # An estimate of ours does not pass what was held; the provider's own word counts in full.
    return Bill(used, min(bound, cost) if used.estimated else cost)


# -- The stream -----------------------------------------------------------------------------------


def _follow(
    trip: Trip,
    candidate: Candidate,
    backend: Backend,
    request: ChatRequest,
    leg: Answer,
    way: Resumption | None,
    timeout: float | None,
) -> Steps[None]:
    """Send the request and follow the stream to its end."""
    number = trip.sent
    sent_at = trip.house.clock()
    stream: Any = yield Send(backend, request, timeout)
    try:
        first: ChatDelta | None = yield Next(stream)
        now = trip.house.clock()
        if trip.house.announcer is not None:
            trip.house.announcer.answer_started(trip, candidate, number, now - sent_at)
        told = partial(_tell_reconnected, trip, candidate, number)
        if way is None:
            yield from _hand_through(trip, stream, first, told)
        else:
            yield from _join(trip, candidate, stream, first, leg, way, told)
    finally:
        yield Close(stream)
    if trip.answer.finish_reason is None:
        raise StreamInterrupted(
            "the answer ended without saying why", partial=trip.answer.text, model=request.model
        )
    trip.house.health.succeeded(str(candidate.ref), now, now - sent_at, trip)


def _tell_reconnected(trip: Trip, candidate: Candidate, number: int, found: Reconnected) -> None:
    if trip.house.announcer is not None:
        trip.house.announcer.reconnected(trip, candidate, number, found)


def _hand_through(
    trip: Trip, stream: Any, delta: ChatDelta | None, told: Callable[[Reconnected], None]
) -> Steps[None]:
    """Hand every piece over as it comes."""
    fetch, append = Next(stream), trip.answer.append
    hands_over = trip.hands_over
    while delta is not None:
        if type(delta) is Reconnected:
            told(delta)
        elif hands_over:
            append(delta)
            yield Emit(delta)
        else:
            yield from trip.hand_over(delta)
        delta = yield fetch


def _join(
    trip: Trip,
    candidate: Candidate,
    stream: Any,
    delta: ChatDelta | None,
    leg: Answer,
    way: Resumption,
    told: Callable[[Reconnected], None],
) -> Steps[None]:
    """Hand over what goes on where the last stream broke off."""
    seam, announced, fetch = way.seam(), False, Next(stream)
    while delta is not None:
        if type(delta) is Reconnected:
            told(delta)
            delta = yield fetch
            continue
        leg.append(delta)
        new = seam.feed(delta)
        if new is not None:
            if not announced:
                announced = True
                if way.mode is ResumeMode.REPLAY:
                    trip.answer.forget_provider_state()
                yield from trip.announce(candidate, way)
            yield from trip.hand_over(new)
        if seam.ended:
            return
        delta = yield fetch


def finish(trip: Trip, candidate: Candidate) -> Steps[ChatResponse]:
    """Return the answer as a whole.

    :param trip: the request on its way, its answer complete.
    :param candidate: who completed it.
    """
    bill, trip.bill = trip.bill, Bill()
    trip.cost += bill.cost
    trip.attempts.append(
        Attempt(candidate.spec.name, candidate.ref.model, None, bill.usage, to_usd(bill.cost))
    )
    yield from trip.hand_over_held()
    return trip.answer.response(
        backend=candidate.spec.name,
        model=candidate.ref.model,
        cost_usd=to_usd(trip.cost),
        attempts=trip.attempts,
    )


def conclude(trip: Trip) -> Steps[None]:
    """End an answer that has all of its tokens, and lacks only the word that it ends."""
    tokens = trip.answer.tokens_before(len(trip.answer.text))
    usage = Usage(upper_bound(trip.order.request), tokens, estimated=True)
    yield from trip.hand_over(ChatDelta(finish_reason=FinishReason.LENGTH, usage=usage))
