"""The corridor: the one way that every request takes, front to back.

::

    select → route → fit → price → reserve → send → follow → settle

It does no I/O, and the clock that it reads is the house's. It is a generator that yields what it
may have to wait for, an *effect*, and is sent the answer; a driver performs the effects, in
:mod:`andon.drivers` once for threads and once for asyncio. So nothing is written twice,
and a test can perform the effects in a world of its own.

This module has the first two steps, and what happens when a candidate fails; what each candidate
is asked is in :mod:`andon.attempt`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from andon.attempt import ask, conclude, finish, upper_bound
from andon.chat import USUAL_PATIENCE, Attempt, ChatRequest, ChatResponse, Patience
from andon.effects import Admit, Leave, Steps, probe, wait_turn
from andon.errors import (
    AndonError,
    AnsweredElsewhere,
    BackendError,
    BackendResting,
    BadRequestError,
    ContentFilterError,
    ContextOverflowError,
    PrivacyViolation,
    RequestTimeout,
    RoutingError,
    SeamMismatch,
    StreamInterrupted,
    UnknownPriceError,
    UnsupportedParameterError,
)
from andon.failover import FailoverMode, Reaction, Resumption, react, resumptions
from andon.failover.resumption import ResumeMode, is_complete
from andon.health import HealthState
from andon.pricing import TokenPricing
from andon.privacy.payload import check_payload
from andon.routing import Admission, Ask, Candidate
from andon.selection import ModelRef
from andon.specs import BackendSpec, Locality
from andon.trip import House, Order, Trip

#: What an answer has, for comparing candidates, where the caller does not say.
USUAL_OUTPUT_TOKENS = 256

#: Seconds to wait for a stream's first token, and between two, where somebody else could be asked
#: and the caller does not say.
FIRST_TOKEN_TIMEOUT = 60.0
STALL_TIMEOUT = 30.0

#: How often one candidate may be asked to go on where it broke off itself.
_MOST_RETURNS = 1


def serve(order: Order, house: House) -> Steps[ChatResponse]:
    """Answer one request. This is the corridor.

    :param order: what the caller wants.
    :param house: the rooms along the way.
    :return: effects; at their end, the whole answer.
    """
    trip = Trip(order, house)
    announcer = house.announcer
    if announcer is not None:
        announcer.received(trip)
    try:
        check_payload(house.selector.privacy, order.request)
        now = trip.house.clock()
        if order.timeout is not None:
            trip.deadline = now + order.timeout
        admission: Admission = yield Admit(house.router, _select(trip, now), _ask_of(trip), now)
        answered = False
        try:
            yield from _wait_for_turn(trip, admission)
            if announcer is not None:
                announcer.admitted(trip, admission, now)
            response = yield from _walk(trip, admission)
            answered = True
        finally:
            now = trip.house.clock()
            yield Leave(admission, now, trip.answer.usage.total_tokens, answered)
    except BaseException as error:
        if announcer is not None:
            announcer.unanswered(trip, error)
        raise
    if announcer is not None:
        announcer.finished(trip, response)
    return response


# -- Select and route -----------------------------------------------------------------------------


def _select(trip: Trip, now: float) -> list[Candidate]:
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
            rested = not trip.house.health.rest_left(str(ref), now)
            cost = _cost(trip, ref, spec) if len(trip.order.models) > 1 else 0
            candidates.append(Candidate(ref, spec, cost, rested))
    if refusal is not None and not candidates:
        raise refusal
    return candidates


def _cost(trip: Trip, ref: ModelRef, spec: BackendSpec) -> int:
    """Return about what an answer costs there, to compare candidates by; 0 where unknown."""
    try:
        price = trip.house.prices.price(spec.family, ref.model, spec.locality)
    except UnknownPriceError:
        return 0
    pricing = TokenPricing.from_price(price)
    return 0 if pricing.is_free else pricing.bound_nano(*_size(trip.order.request))


def _size(request: ChatRequest) -> tuple[int, int]:
    """Return about how many tokens prompt and answer have; four bytes are a token in English."""
    return upper_bound(request) // 4, request.sampling.max_tokens or USUAL_OUTPUT_TOKENS


def _ask_of(trip: Trip) -> Ask:
    order = trip.order
    # A router of somebody else's may not say.
    weighs = getattr(trip.house.router, "weighs", True)
    tokens = sum(_size(order.request)) if weighs else 0
    return Ask(tokens=tokens, priority=order.priority, key=",".join(order.labels.values()))


def _wait_for_turn(trip: Trip, admission: Admission) -> Steps[None]:
    """Wait in the queue, if there is one."""
    if admission.turn is None:
        return
    if not (yield from wait_turn(admission.turn, trip.remaining())):
        raise RequestTimeout(
            f"the timeout of {trip.order.timeout} s was over before the request's turn came"
        )


# -- One candidate after the other ----------------------------------------------------------------


@dataclass(slots=True)
class _Queue:
    """Who is still to be asked.

    :param waiting: in turn.
    """

    waiting: deque[Candidate]
    resting: deque[Candidate] = field(default_factory=deque)
    #: How often each was to go on where it broke off itself.
    returns: dict[Candidate, int] = field(default_factory=dict)
    #: Only models with a larger context window are of use.
    window: int = 0


def _walk(trip: Trip, admission: Admission) -> Steps[ChatResponse]:
    """Ask candidates until one answers, or completes what others have begun."""
    queue = _Queue(deque(admission.order))
    while (candidate := (yield from _next(trip, queue))) is not None:
        admission.move(candidate, trip.house.clock())
        trip.begin_anew()
        trip.asked, trip.noted = candidate, None
        try:
            return (yield from _ask_next(trip, queue, candidate, admission))
        except AndonError as error:
            # Where two were asked, it may be the other one that failed.
            candidate = trip.asked
            _note(trip, candidate, error)
            if not _may_go_on(trip, queue, candidate, error):
                # Not "from" itself: that would hide its own cause.
                raise (_broken_off(trip, error) if trip.delivering else error)  # noqa: B904
        except BaseException:
            trip.house.health.released(str(trip.asked.ref), trip)
            raise
        if trip.delivering and is_complete(trip.order.request, trip.answer):
            yield from conclude(trip)
            return (yield from finish(trip, candidate))
    if trip.delivering:
        raise _broken_off(trip, trip.attempts[-1].error)
    raise _all_failed(trip)


def _next(trip: Trip, queue: _Queue) -> Steps[Candidate | None]:
    """Return whom to ask next; those that rest come last."""
    while queue.waiting:
        candidate = queue.waiting.popleft()
        if not _is_larger(trip, candidate, queue.window):
            continue
        health, name, now = trip.house.health, str(candidate.ref), trip.house.clock()
        again = health.state(name, now) is HealthState.HALF_OPEN
        if (yield from probe(health, name, now, trip)) if again else health.admit(name, now, trip):
            trip.patience = _patience(trip, candidate, others=bool(queue.waiting), probe=again)
            return candidate
        left = health.rest_left(name, now)
        queue.resting.append(candidate)
        if queue.waiting or len(queue.resting) > 1:
            rest = BackendResting(f"it failed lately and rests {left:.1f} s", retry_after=left)
            trip.note_failure(candidate, rest)
    if not queue.resting:
        return None
    # Better asked in its rest than not answered at all.
    candidate = queue.resting.popleft()
    trip.patience = _patience(trip, candidate, others=bool(queue.resting), probe=False)
    return candidate


def _patience(trip: Trip, candidate: Candidate, *, others: bool, probe: bool) -> Patience:
    """Return how long to wait for a candidate: less where others could be asked."""
    policy, request = trip.order.failover, trip.order.request
    first_token, stall = policy.first_token_timeout, policy.stall_timeout
    # An engine in this process is not silent, it reads; and a model that thinks may be long.
    silent = candidate.spec.locality is not Locality.IN_PROCESS and request.reasoning_effort is None
    if others and silent:
        first_token = first_token or FIRST_TOKEN_TIMEOUT
        stall = stall or STALL_TIMEOUT
    if first_token is None and stall is None and not (probe and others):
        return USUAL_PATIENCE
    return Patience(first_token, stall, 0 if probe and others else None)


def _ask_next(
    trip: Trip, queue: _Queue, candidate: Candidate, admission: Admission
) -> Steps[ChatResponse]:
    """Ask one candidate, and the next one beside it where the caller cannot wait."""
    delay = trip.order.failover.hedge_after
    two = trip.sent + 2 <= trip.order.failover.max_attempts
    if trip.delivering:
        return _go_on(trip, candidate)
    if delay is None or not queue.waiting or not two:
        return ask(trip, candidate, None)
    other = queue.waiting[0]
    asked = (candidate, other)

    def second() -> Steps[ChatResponse]:
        if trip.house.announcer is not None:
            trip.house.announcer.hedged(trip, other)
        return (yield from ask(trip, other, None))

    def failed(place: int, error: AndonError) -> None:
        _note(trip, asked[place], error)
        taken(1 - place)

    def lost(place: int) -> None:
        trip.house.health.released(str(asked[place].ref), trip)
        trip.note_failure(asked[place], AnsweredElsewhere("another one was faster"))
        taken(1 - place)

    def taken(place: int) -> None:
        queue.waiting.remove(other)
        trip.asked = asked[place]
        if trip.asked is other:
            admission.move(other, trip.house.clock())

    # Here, since few ask for it, and every program would wait for it at its start.
    from andon.hedge import Notes, race

    return race(ask(trip, candidate, None), second, delay, Notes(failed, lost))


def _is_larger(trip: Trip, candidate: Candidate, window: int) -> bool:
    if not window:
        return True
    known = trip.house.profiles.find(candidate.spec.family, candidate.ref.model).context_window
    return known is None or known > window


def _go_on(trip: Trip, candidate: Candidate) -> Steps[ChatResponse]:
    """Have a candidate go on with what was delivered, in each way that there is."""
    problem: AndonError | None = None
    size, refused = trip.answer.size, False
    for way in resumptions(trip.order.request, trip.answer):
        if refused and way.mode is ResumeMode.CONTINUE:
            continue
        if isinstance(problem, BackendError) and trip.noted is not problem:
            # It was sent, and may have cost, whatever becomes of this way.
            trip.note_failure(candidate, problem)
            trip.noted = problem
        try:
            return (yield from ask(trip, candidate, way))
        except (SeamMismatch, BadRequestError, UnsupportedParameterError) as error:
            if trip.answer.size > size or not _is_about(way, error) or _spent(trip):
                raise
            refused = refused or isinstance(error, BadRequestError)
            # A way that the target does not have was not tried, and tells less.
            if isinstance(error, UnsupportedParameterError):
                problem = problem or error
                continue
            if problem is not None and trip.noted is not problem:
                trip.note_failure(candidate, problem)
            problem = error
    assert problem is not None
    raise problem


def _is_about(way: Resumption, error: AndonError) -> bool:
    """Return whether an error is about the way to go on, and another way may do."""
    if isinstance(error, SeamMismatch):
        return True
    return way.mode is ResumeMode.CONTINUE and not isinstance(error, ContentFilterError)


# -- When a candidate fails -----------------------------------------------------------------------


def _note(trip: Trip, candidate: Candidate, error: AndonError) -> None:
    now = trip.house.clock()
    trip.house.health.failed(str(candidate.ref), now, error, trip)
    if trip.delivering and trip.first_break is None:
        trip.first_break, trip.broken_by = error, candidate
    if trip.noted is not error:
        trip.note_failure(candidate, error)


def _may_go_on(trip: Trip, queue: _Queue, candidate: Candidate, error: AndonError) -> bool:
    """Return whether somebody else may be asked, and prepare that."""
    if _spent(trip):
        return False
    if trip.deadline is not None and trip.house.clock() >= trip.deadline:
        return False
    reaction = react(error)
    if trip.delivering:
        if trip.order.failover.mode is FailoverMode.STOP:
            return False
        # What goes on is our request and not the caller's: if somebody calls it bad, another may
        # not.
        ours = isinstance(error, BadRequestError) and error is not trip.first_break
        if ours and not isinstance(error, ContentFilterError):
            reaction = Reaction.ELSEWHERE
        returns = queue.returns.get(candidate, 0)
        if _may_return(error) and returns < _MOST_RETURNS:
            queue.returns[candidate] = returns + 1
            queue.waiting.append(candidate)
    if reaction is Reaction.LARGER_WINDOW:
        queue.window = max(queue.window, _window_of(trip, candidate, error))
    return reaction is not Reaction.STOP


def _may_return(error: AndonError) -> bool:
    """Return whether a candidate that broke off may go on itself when nobody else does."""
    unable = isinstance(error, SeamMismatch | UnsupportedParameterError)
    return not unable and react(error) in {Reaction.AGAIN, Reaction.ELSEWHERE}


def _spent(trip: Trip) -> bool:
    return trip.sent >= trip.order.failover.max_attempts


def _window_of(trip: Trip, candidate: Candidate, error: AndonError) -> int:
    if isinstance(error, ContextOverflowError):
        return error.window
    profile = trip.house.profiles.find(candidate.spec.family, candidate.ref.model)
    return profile.context_window or 0


def _all_failed(trip: Trip) -> AndonError:
    errors = [attempt.error for attempt in trip.attempts if attempt.error is not None]
    if len({(attempt.backend, attempt.model) for attempt in trip.attempts}) == 1:
        return errors[-1]
    listing = "; ".join(f"{a.backend}:{a.model}: {a.error}" for a in trip.attempts)
    return RoutingError(f"every candidate failed: {listing}", attempts=trip.attempts)


def _broken_off(trip: Trip, error: AndonError | None) -> StreamInterrupted:
    """Return the error for an answer that nobody completed; its cause is the first break."""
    cause = trip.first_break or error
    text, by = trip.answer.text, trip.broken_by
    tries = len(trip.attempts) - 1
    went_on = f"; {tries} further attempts did not go on with it" if tries > 0 else ""
    broken = StreamInterrupted(
        f"the answer broke off after {len(text)} characters: {cause}{went_on}",
        partial=text,
        backend=None if by is None else by.spec.name,
        model=None if by is None else by.ref.model,
        attempts=trip.attempts,
    )
    if isinstance(cause, BackendError):
        broken.request_id, broken.status, broken.code = cause.request_id, cause.status, cause.code
    broken.__cause__ = cause
    return broken
