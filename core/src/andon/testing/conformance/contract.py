"""What the kit holds backends to, each sentence with the place where it is written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

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

# -- What is not about backends ----------------------------------------------------------------

FOUND = Clause(
    "andon.hookspecs", "an entry point in the group andon has the name of what the plugin offers"
)
HOOKS = Clause(
    "andon.hookspecs",
    "each function marked with hookimpl has the name of a hook, and its arguments",
)
LAZY = Clause(
    "andon.specs",
    "importing a plugin and reading its records opens no socket, starts nothing, says nothing",
)
RECORDS = Clause("andon.specs", "what a plugin registers are the records of andon.specs")
NAMES = Clause("andon.hookspecs", "a name can be taken only once, and people type it")
BOUNDED = Clause(
    "andon.hookspecs", "a plugin bounds the versions of andon that it was written against"
)
ENCODE = Clause(
    "andon.tokens.Tokenizer.encode",
    "it returns the ids of the text's tokens; nothing in it is read as a control token",
)
DECODE = Clause("andon.tokens.Tokenizer.decode", "it returns the text of the tokens")
TOKEN_BOUND = Clause("andon.tokens.upper_bound", "no tokenizer passes it for a text")
TOKENIZER_SHARING = Clause("andon.tokens.Tokenizer", "it is used by many threads at once")
TOKENIZER_EXACT = Clause(
    "andon.specs.TokenizerSpec", "an exact tokenizer's ids are those of the model itself"
)
TOKENIZER_TOOLS = Clause(
    "andon.specs.TokenizerSpec", "count_tools gives a number of tokens, or None where it cannot"
)
TOKENIZER_MODELS = Clause(
    "andon.specs.TokenizerSpec", "models are glob patterns of backend:model, in lower case"
)
RENDER = Clause(
    "andon.specs.ChatTemplateSpec",
    "render writes every message, in order, or raises TemplateError for what it cannot express",
)
GENERATION_PROMPT = Clause(
    "andon.specs.ChatTemplateSpec", "the second argument of render asks for the generation prompt"
)
CONTROL_TOKENS = Clause(
    "andon.specs.ChatTemplateSpec",
    "control_tokens names every text that the format reserves, so that no message can forge it",
)
TEMPLATE_STOP = Clause("andon.specs.ChatTemplateSpec", "stop are the texts at which an answer ends")
TEMPLATE_MODELS = Clause(
    "andon.specs.ChatTemplateSpec", "models are glob patterns of names of models, in lower case"
)
PRICE = Clause(
    "andon.hookspecs.andon_price", "it returns a model's price, or None if it does not know it"
)
PRICE_EXACT = Clause("andon.specs.Price", "it is in US dollars per million tokens, and exact")
PRICE_NEAR = Clause(
    "andon.hookspecs.andon_price", "it never blocks, and fetches nothing: a request waits for it"
)
ADMIT = Clause(
    "andon.routing.Router.admit",
    "it decides where a request goes, among the candidates it is given",
)
RESTING = Clause(
    "andon.routing.Router.admit", "a candidate that rests from failures comes after the others"
)
REJECTED = Clause(
    "andon.routing.Router.admit", "where every candidate has too much to do, it raises Rejected"
)
LEAVE = Clause(
    "andon.routing.Admission.leave",
    "it counts the request no more and lets in who waits; only the first call counts",
)
TURNS = Clause("andon.routing.Admission.turn", "whoever has to wait gets a turn, or leaves")
MOVE = Clause("andon.routing.Admission.move", "the request goes on at another candidate of order")
ROUTER_SHARING = Clause("andon.routing.Router", "it is used by many threads and tasks at once")
ROUTER_OPTIONS = Clause(
    "andon.specs.RouterSpec", "a setting that is wrong or unknown is a SettingsError"
)
RESERVE = Clause(
    "andon.budget.Ledger.reserve",
    "it holds an amount, unless settled and held together would pass a limit; then at none",
)
SETTLE = Clause(
    "andon.budget.Ledger.settle", "it replaces a hold by what was spent; again changes nothing"
)
EXPIRED = Clause(
    "andon.budget.Hold", "a hold that has expired counts as spent until it is settled late"
)
SPENDING = Clause(
    "andon.budget.Ledger.spending", "it returns what each model cost, from the period first on"
)
MARK = Clause("andon.budget.Ledger.mark", "it returns whether the mark was not set before")
LEDGER_SHARING = Clause("andon.budget.Ledger", "every method is atomic, in all threads")
OBSERVED = Clause(
    "andon.specs.ObserverSpec",
    "observe takes every event in the thread where it happens, those of later versions included",
)
COMMAND = Clause(
    "andon.specs.CommandSpec", "run takes the remaining arguments, --help too, and returns a code"
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
        fail(problem, clause)


def fail(problem: str, clause: Clause) -> NoReturn:
    """Fail the test; see :func:`check`."""
    __tracebackhide__ = True
    pytest.fail(broken(problem, clause), pytrace=False)


def check_equal(found: object, meant: object, what: str, clause: Clause) -> None:
    """Fail the test where two values differ; see :func:`check`.

    :param what: what they are, as the subject of a sentence.
    """
    check(found == meant, f"{what} is\n    {found!r}\nand not\n    {meant!r}", clause)
