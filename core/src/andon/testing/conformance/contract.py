"""What the kit holds backends to, each sentence with the place where it is written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest


@dataclass(frozen=True, slots=True)
class Clause:
    """A sentence of the contract.

    :param where: the dotted name of what documents it.
    :param says: the sentence.
    """

    where: str
    says: str


ANSWER = Clause(
    "andon.backends.Backend.stream",
    "the answer comes piece by piece, each piece once and in order, whole or streamed alike",
)
ENDING = Clause(
    "andon.backends.Backend.stream",
    "the last piece has a finish reason, the raw one beside it, and the usage",
)
CUTTING = Clause(
    "andon.wire.dialect.StreamDecoder", "however its bytes are cut, it gives the same deltas"
)
PROMPTNESS = Clause(
    "andon.wire.dialect.StreamDecoder.feed", "it returns the deltas that the next bytes complete"
)
LINES = Clause(
    "andon.wire.sse",
    "a line ends with CR, LF or CRLF and with nothing else; str.splitlines splits at more",
)
USAGE = Clause(
    "andon.Usage",
    "input_tokens hold the cached and the cache-write tokens, output_tokens the reasoning tokens",
)
CALLS = Clause(
    "andon.ToolCallDelta",
    "pieces with one index belong together: id and name come once, arguments are appended",
)
ENCODING = Clause(
    "andon.wire.dialect.Dialect.encode",
    "the call says everything that was asked, or UnsupportedParameterError is raised",
)
PROVIDER = Clause(
    "andon.testing.provider.Provider",
    "its abilities are the parts of an answer that the protocol can carry",
)
REFUSAL = Clause(
    "andon.UnsupportedParameterError",
    "what the backend cannot do is refused, by the option's name, before anything is sent",
)
ERRORS = Clause(
    "andon.wire.dialect.Dialect.explain",
    "an error has the provider's own message, status, code and request id, and the class that "
    "andon.wire.problems.to_error gives it",
)
TYPED = Clause(
    "andon.errors", "whatever a server sends, what is raised is an AndonError, never another error"
)
RETRIES = Clause(
    "andon.failover.reactions.react",
    "what may succeed a little later is sent again before the first piece; nothing else is",
)
INTERRUPTION = Clause(
    "andon.wire.dialect.StreamDecoder.finish",
    "a stream without the protocol's own end is StreamInterrupted, never a short success",
)
STREAM_ERROR = Clause(
    "andon.wire.dialect.StreamDecoder.feed", "an error inside the stream is raised"
)
BOUNDS = Clause("andon.wire.http.MAX_BODY", "no reply may fill the memory of this process")
CLOSING = Clause(
    "andon.backends.Backend.stream",
    "closing the iterator stops the work, and the connection, at once",
)
LOOP = Clause("andon.backends.Backend", "a method for asyncio never blocks the event loop")
SHARING = Clause(
    "andon.backends.Backend", "every method may be called from many threads and tasks at once"
)
SECRETS = Clause(
    "andon.backends.http_options.HTTPOptions.redact",
    "the API key goes to the server, and appears in no repr, error or log",
)
KEYS = Clause(
    "andon.MissingKeyError", "a missing key is told before anything is sent, with a way on"
)
USABLE = Clause("andon.Client", "a failed request leaves a client that can serve the next one")
QUESTIONS = Clause(
    "andon.backends.AnswersQuestions",
    "a backend answers questions besides the chat, or raises ConfigurationError and sends nothing",
)
TIMEOUTS = Clause(
    "andon.wire.waits.Timeouts", "a server that says nothing is waited for as long as was set"
)
REDIRECTS = Clause(
    "andon.backends.http_work.Work.checked", "credentials are never carried to another address"
)


def clauses() -> Iterator[Clause]:
    """Give every clause."""
    return (value for value in globals().values() if isinstance(value, Clause))


def broken(problem: str, clause: Clause) -> str:
    """Return what is told to the author of a backend that breaks a clause."""
    return f"{problem}\n\nThe contract, {clause.where}: {clause.says}."


def check(fact: object, problem: str, clause: Clause) -> None:
    """Fail the test where something is not so.

    :param fact: what must be true.
    :param problem: what is wrong where it is not, for the backend's author.
    :param clause: what it breaks.
    """
    if not fact:
        __tracebackhide__ = True
        pytest.fail(broken(problem, clause), pytrace=False)


def check_equal(found: object, meant: object, what: str, clause: Clause) -> None:
    """Fail the test where two values differ; see :func:`check`.

    :param what: what they are, as the subject of a sentence.
    """
    check(found == meant, f"{what} is\n    {found!r}\nand not\n    {meant!r}", clause)
