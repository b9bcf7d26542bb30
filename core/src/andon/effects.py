"""What the corridor asks of the world, one record for each kind of thing.

A step of the corridor yields an effect and is sent its answer. A driver performs them: in
:mod:`andon.drivers` once for threads and once for asyncio.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from andon.backends import Backend, PromptMeasure
from andon.budget import Reservation
from andon.chat import ChatDelta, ChatRequest
from andon.health import HealthBoard
from andon.routing import Admission, Ask, Candidate, Router, Turn
from andon.specs import BackendSpec, ModelCard

T = TypeVar("T")

# None is frozen: they live for a moment, and a frozen record costs three times as much to make.


@dataclass(slots=True, eq=False)
class Create:
    """Give me this backend. Answer: the client's one :class:`Backend` of that name."""

    spec: BackendSpec


@dataclass(slots=True, eq=False)
class Measure:
    """Measure this prompt. Answer: a :class:`PromptMeasure`, or None."""

    backend: Backend
    request: ChatRequest


@dataclass(slots=True, eq=False)
class LearnCard:
    """Ask this server about its model. Answer: a :class:`ModelCard`, or None."""

    backend: Backend
    model: str


@dataclass(slots=True, eq=False)
class CountThere:
    """Have this server count a prompt's tokens. Answer: how many, or None."""

    backend: Backend
    request: ChatRequest


@dataclass(slots=True, eq=False)
class Reserve:
    """Hold this many nano-dollars. Answer: a :class:`Reservation`."""

    amount: int
    labels: Mapping[str, str]


@dataclass(slots=True, eq=False)
class Settle:
    """Pay this many nano-dollars of a reservation. Answer: None."""

    reservation: Reservation
    amount: int


@dataclass(slots=True, eq=False)
class Send:
    """Send this request. Answer: a stream for :class:`Next` and :class:`Close`.

    One that runs ahead can be waited for together with others, by :class:`AnyReady`.
    """

    backend: Backend
    request: ChatRequest
    timeout: float | None
    ahead: bool = False


@dataclass(slots=True, eq=False)
class Next:
    """Give me the stream's next piece. Answer: a :class:`ChatDelta`, or None at its end."""

    stream: Any


@dataclass(slots=True, eq=False)
class AnyReady:
    """Wait until one of these streams, which run ahead, has its next piece, or so many seconds.

    Answer: its place among them, or None where the time passed.
    """

    streams: tuple[Any, ...]
    within: float | None


@dataclass(slots=True, eq=False)
class Close:
    """Close this stream, which may have ended already. Answer: None."""

    stream: Any


@dataclass(slots=True, eq=False)
class Admit:
    """Let this request in, among these candidates. Answer: an :class:`Admission`."""

    router: Router
    candidates: Sequence[Candidate]
    ask: Ask
    now: float


@dataclass(slots=True, eq=False)
class Leave:
    """Count this request no more. Answer: None."""

    admission: Admission
    now: float
    tokens: int
    answered: bool


@dataclass(slots=True, eq=False)
class WaitTurn:
    """Wait for this turn, so many seconds at most. Answer: whether it came."""

    turn: Turn
    timeout: float | None


@dataclass(slots=True, eq=False)
class Probe:
    """Let this request try an endpoint again that failed. Answer: whether it may."""

    health: HealthBoard
    endpoint: str
    now: float
    asker: object


@dataclass(slots=True, eq=False)
class Emit:
    """Hand this piece to the caller. Answer: None."""

    delta: ChatDelta


Effect: TypeAlias = (
    Admit
    | Leave
    | WaitTurn
    | Probe
    | Create
    | Measure
    | LearnCard
    | CountThere
    | Reserve
    | Settle
    | Send
    | Next
    | AnyReady
    | Close
    | Emit
)
Steps: TypeAlias = Generator[Effect, Any, T]


class Abandoned(BaseException):
    """The caller closed the stream. Drivers throw it into the corridor, which then tidies up."""


# -- Effects with types: each is yielded, and its answer returned --------------------------------


def create(spec: BackendSpec) -> Steps[Backend]:
    """Have a backend made."""
    backend: Backend = yield Create(spec)
    return backend


def measure(backend: Backend, request: ChatRequest) -> Steps[PromptMeasure | None]:
    """Have a prompt measured."""
    size: PromptMeasure | None = yield Measure(backend, request)
    return size


def learn_card(backend: Backend, model: str) -> Steps[ModelCard | None]:
    """Have a server asked about its model."""
    card: ModelCard | None = yield LearnCard(backend, model)
    return card


def count_there(backend: Backend, request: ChatRequest) -> Steps[int | None]:
    """Have a server count a prompt's tokens."""
    tokens: int | None = yield CountThere(backend, request)
    return tokens


def wait_turn(turn: Turn, timeout: float | None) -> Steps[bool]:
    """Wait for a turn in a queue."""
    came: bool = yield WaitTurn(turn, timeout)
    return came


def probe(health: HealthBoard, endpoint: str, now: float, asker: object) -> Steps[bool]:
    """Ask whether a request may try an endpoint again."""
    may: bool = yield Probe(health, endpoint, now, asker)
    return may
