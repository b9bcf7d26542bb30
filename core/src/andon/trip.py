"""What the stages of the corridor share: the rooms, the order, and one request on its way."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from andon.answer import Answer
from andon.backends import Backend
from andon.chat import (
    USUAL_PATIENCE,
    Attempt,
    ChatDelta,
    ChatRequest,
    Failover,
    Patience,
    Usage,
)
from andon.context import Calibrations, ContextManager, TruncationStrategy
from andon.effects import Emit, Steps
from andon.errors import AndonError, BackendError, RequestTimeout
from andon.failover.policy import FailoverMode, FailoverPolicy
from andon.failover.resumption import Resumption
from andon.health import HealthBoard
from andon.pricing import PriceTable, to_usd
from andon.profiles import ProfileTable
from andon.routing import Candidate, Router
from andon.selection import BackendSelector, ModelRef
from andon.specs import BackendSpec

if TYPE_CHECKING:
    from andon.announcements import Announcer


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
    :param health: knows which models failed lately.
    :param calibrations: what models' own counts have taught about the size of prompts.
    :param truncation_block: how many turns of a chat that is too long are left out at a time.
    :param clock: gives seconds, never going back.
    :param announcer: tells observers of what happens; None where there are none.
    :param backends: those that have been made, by name.
    """

    find_backend: Callable[[str], BackendSpec]
    selector: BackendSelector
    prices: PriceTable
    router: Router
    profiles: ProfileTable = field(default_factory=ProfileTable)
    find_manager: Callable[[str, str], ContextManager | None] = lambda backend, model: None
    health: HealthBoard = field(default_factory=HealthBoard)
    calibrations: Calibrations = field(default_factory=Calibrations)
    truncation_block: int = 1
    clock: Callable[[], float] = time.monotonic
    announcer: Announcer | None = None
    backends: Mapping[str, Backend] = field(default_factory=dict)


@dataclass(slots=True)
class Order:
    """What a caller wants.

    :param models: the models that may answer, in order of preference.
    :param request: the request; its model is replaced by each candidate's.
    :param timeout: seconds until the whole answer must be there, or None for ever.
    :param number: the client's own number of the request.
    :param drop_unsupported: whether an option that a model does not take is left out.
    :param labels: who asks, for budgets that go by it and for fair shares of a queue.
    :param truncation: what may be left out of a chat that is too long.
    :param failover: how hard to try.
    :param priority: higher goes first where requests wait.
    """

    models: tuple[ModelRef, ...]
    request: ChatRequest
    timeout: float | None = None
    number: int = 0
    drop_unsupported: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    truncation: TruncationStrategy = TruncationStrategy.ERROR
    failover: FailoverPolicy = FailoverPolicy()
    priority: int = 0


@dataclass(slots=True)
class Bill:
    """What the attempt under way has used so far.

    :param usage: tokens.
    :param cost: nano-dollars.
    """

    usage: Usage = Usage()
    cost: int = 0


@dataclass(slots=True)
class Trip:
    """One request on its way: what several stages need to know."""

    order: Order
    house: House
    deadline: float | None = None
    attempts: list[Attempt] = field(default_factory=list)
    #: The answer as the caller has it, or will have it.
    answer: Answer = field(default_factory=Answer)
    #: Pieces that are not handed over before the answer is complete.
    held: list[ChatDelta] = field(default_factory=list)
    #: Who is asked at the moment.
    asked: Candidate | None = None
    #: How long to wait for whoever is asked.
    patience: Patience = USUAL_PATIENCE
    #: The failure of whoever is asked at the moment that was noted already.
    noted: AndonError | None = None
    #: How many requests were sent.
    sent: int = 0
    #: Why the answer broke off first, and who was giving it.
    first_break: AndonError | None = None
    broken_by: Candidate | None = None
    bill: Bill = field(default_factory=Bill)
    #: Nano-dollars that all attempts cost.
    cost: int = 0

    @property
    def hands_over(self) -> bool:
        """Whether the caller gets pieces as they come."""
        return self.order.request.stream and self.order.failover.mode is not FailoverMode.HOLD

    @property
    def delivering(self) -> bool:
        """Whether the caller has a part of the answer."""
        return self.hands_over and self.answer.has_content

    def begin_anew(self) -> None:
        """Forget an answer of which the caller has nothing."""
        if self.answer.started and not self.delivering:
            self.answer = Answer()
            self.held.clear()

    def hand_over(self, delta: ChatDelta) -> Steps[None]:
        """Add a piece to the answer, and give it to the caller when it is due."""
        self.answer.append(delta)
        if self.hands_over:
            yield Emit(delta)
        elif self.order.request.stream:
            self.held.append(delta)

    def hand_over_held(self) -> Steps[None]:
        """Give the caller what was held back."""
        for delta in self.held:
            yield Emit(delta)
        self.held.clear()

    def note_failure(self, candidate: Candidate, error: AndonError) -> None:
        """Note and tell that a candidate failed or was passed over."""
        backend, model = candidate.spec.name, candidate.ref.model
        if isinstance(error, BackendError):
            error.backend = error.backend or backend
            error.model = error.model or model
        bill, self.bill = self.bill, Bill()
        self.cost += bill.cost
        self.attempts.append(Attempt(backend, model, error, bill.usage, to_usd(bill.cost)))
        if self.house.announcer is not None:
            self.house.announcer.attempt_failed(self, candidate, error)

    def announce(self, candidate: Candidate, way: Resumption) -> Steps[None]:
        """Tell that another candidate goes on with the answer."""
        old = self.broken_by or candidate
        failover = Failover(
            from_backend=old.spec.name,
            from_model=old.ref.model,
            backend=candidate.spec.name,
            model=candidate.ref.model,
            mode=way.mode.value,
            delivered=len(self.answer.text),
            reason=str(self.first_break),
        )
        if self.house.announcer is not None:
            self.house.announcer.continued(self, failover)
        if self.order.failover.announce and self.hands_over:
            yield Emit(ChatDelta(failover=failover))

    def remaining(self) -> float | None:
        """Return the seconds that are left.

        :raises RequestTimeout: there are none.
        """
        if self.deadline is None:
            return None
        left = self.deadline - self.house.clock()
        if left <= 0:
            raise RequestTimeout(
                f"the timeout of {self.order.timeout} s was over before the request was sent",
                model=self.order.request.model,
            )
        return left
