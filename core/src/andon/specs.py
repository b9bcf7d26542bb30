"""What plugins hand over: frozen records whose ``create`` does the work, later and on demand.

Importing a plugin and reading its records opens no socket, reads no file and imports no engine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from andon.chat import Sampling

if TYPE_CHECKING:
    from andon.backends import Backend
    from andon.batch import BatchEngine
    from andon.budget.ledger import Ledger
    from andon.context.counting import CountTools
    from andon.events import Event
    from andon.messages import ChatMessage
    from andon.privacy.egress import EgressPolicy
    from andon.routing import Router
    from andon.tokens import Tokenizer


class Locality(StrEnum):
    """Where the data of a request goes, from near to far."""

    IN_PROCESS = "in-process"
    LOCAL = "local"
    PRIVATE = "private"
    PUBLIC = "public"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """What is known of a model, before it is loaded or asked.

    :param name: the model's name, as in ``backend:name``.
    :param backends: names of the backends that can serve it, the best first; empty means any.
    :param context_window: most tokens of prompt and answer together, or None where unknown.
    :param max_output_tokens: most tokens of one answer, or None where unknown.
    :param capabilities: what it can do: ``chat``, ``tools``, ``images``, ``json_schema``,
        ``reasoning``, ``prefill``.
    :param sampling: how it answers best, for what a request leaves open; only engines in this
        process go by it.
    :param description: one line for people.
    :param file: where its weights lie, as a function, so that the file is looked up on demand.
    """

    name: str
    backends: tuple[str, ...] = ()
    context_window: int | None = None
    max_output_tokens: int | None = None
    capabilities: frozenset[str] = frozenset({"chat"})
    sampling: Sampling = Sampling()
    description: str = ""
    file: Callable[[], Path] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelProfile:
    """What a family of models accepts, wherever it is served. None is "not known": it is sent.

    :param models: glob patterns of the models' names, in lower case, without the backend; or
        with it, ``backend:pattern``, for what holds only there.
    :param sampling: whether it takes ``temperature`` and ``top_p``.
    :param sampling_without_reasoning: whether it takes them at least with the reasoning effort
        ``"none"``.
    :param tools: whether it calls tools.
    :param forced_tool_choice: whether ``tool_choice`` may force a call.
    :param images: whether messages may have images.
    :param json_schema: whether it keeps an answer to a JSON schema.
    :param prefill: whether it continues an assistant's last message.
    :param reasoning_efforts: the values of ``reasoning_effort`` that it takes; an empty tuple is
        "none of them".
    :param max_tokens_field: what its ``max_tokens`` is called at OpenAI-style endpoints.
    :param system_role: the role of instructions at OpenAI-style endpoints.
    :param context_window: most tokens of prompt and answer together.
    :param max_output_tokens: most tokens of one answer.
    :param image_tokens: most tokens that one image in a message is charged as.
    :param as_of: the day on which this held, as ``YYYY-MM-DD``.
    :param source: where it is written, for people.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    models: tuple[str, ...] = ()
    sampling: bool | None = None
    sampling_without_reasoning: bool | None = None
    tools: bool | None = None
    forced_tool_choice: bool | None = None
    images: bool | None = None
    json_schema: bool | None = None
    prefill: bool | None = None
    reasoning_efforts: tuple[str, ...] | None = None
    max_tokens_field: str | None = None
    system_role: str | None = None
    context_window: int | None = None
    max_output_tokens: int | None = None
    image_tokens: int | None = None
    as_of: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendContext:
    """What a backend is created with. Everything that it may know comes through here.

    :param options: the backend's own settings, from ``[endpoints.NAME]`` or ``endpoints=``.
    :param offline: nothing may leave the machine, a model's download included.
    :param no_relay: a near server that passes a model's requests on to a distant one must not be
        asked for that model.
    :param find_card: the model card for a name, or None.
    :param cards: all model cards; importing every plugin, so for listings and error messages.
    :param chat_templates: the chat templates that plugins offer, likewise.
    :param environment: the environment variables that the backend may read.
    :param find_profile: what is known of what a model accepts.
    :param egress: networks and names that the operator calls near; none where None.
    """

    options: Mapping[str, Any] = field(default_factory=dict)
    offline: bool = True
    no_relay: bool = True
    find_card: Callable[[str], ModelCard | None] = lambda name: None
    cards: Callable[[], Sequence[ModelCard]] = lambda: ()
    chat_templates: Callable[[], Sequence[ChatTemplateSpec]] = lambda: ()
    environment: Mapping[str, str] = field(default_factory=dict)
    find_profile: Callable[[str], ModelProfile] = lambda model: ModelProfile()
    egress: EgressPolicy | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendSpec:
    """A backend, as its plugin declares it.

    :param name: the backend's name, the same as its entry point's.
    :param create: makes the backend; called once a client, at its first use.
    :param locality: where the data goes if the endpoint is its usual one.
    :param locate: says where the data really goes under a client's settings; None where that is
        always ``locality``.
    :param aliases: other names that it answers to.
    :param summary: one line for people.
    :param models: a name to try, as in ``NAME:models[0]``, for help texts.
    :param kind: the backend that a further endpoint of the settings stands for; prices and
        profiles go by it. None is the backend itself.
    :param key_variables: environment variables that may hold its API key, for help texts.
    """

    name: str
    create: Callable[[BackendContext], Backend]
    locality: Locality
    locate: Callable[[BackendContext], Locality] | None = None
    aliases: tuple[str, ...] = ()
    summary: str = ""
    models: tuple[str, ...] = ()
    kind: str | None = None
    key_variables: tuple[str, ...] = ()

    @property
    def family(self) -> str:
        """The name by which prices and profiles go."""
        return self.kind or self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatTemplateSpec:
    """A chat template: how messages become one prompt.

    :param name: the format's name.
    :param render: writes messages as text; its second argument asks for the generation prompt.
        It raises :class:`andon.TemplateError` for what the format cannot express.
    :param control_tokens: texts that the model's tokenizer reads as control tokens or that the
        format reserves; a message that holds one is refused, or tokenised apart.
    :param stop: texts at which an answer in this format ends.
    :param models: glob patterns of names of models that use the format, in lower case.
    """

    name: str
    render: Callable[[Sequence[ChatMessage], bool], str]
    control_tokens: tuple[str, ...] = ()
    stop: tuple[str, ...] = ()
    models: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizerSpec:
    """A tokenizer that counts for models of some names.

    :param name: the tokenizer's name.
    :param create: makes the tokenizer; called once, at its first use.
    :param models: glob patterns of ``backend:model``; the longest that matches wins.
    :param exact: whether its ids are those of the model itself.
    :param count_tools: counts the tokens that tools take as the provider writes them, given a
        count of texts; it returns None for what it does not know. None counts their JSON.
    """

    name: str
    create: Callable[[], Tokenizer]
    models: tuple[str, ...]
    exact: bool
    count_tools: CountTools | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterSpec:
    """A routing strategy.

    :param name: the name by which settings choose it.
    :param create: makes the router from its own settings; it raises
        :class:`andon.SettingsError` for one that is wrong or unknown.
    """

    name: str
    create: Callable[[Mapping[str, Any]], Router]


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerSpec:
    """A place where spending is kept.

    :param scheme: the scheme of its URLs, as ``sqlite`` in ``sqlite:///spend.db``.
    :param create: opens the ledger at a URL.
    """

    scheme: str
    create: Callable[[str], Ledger]


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandSpec:
    """A command of the command line.

    :param name: the word after ``andon``.
    :param summary: one line for the list of commands.
    :param run: takes the remaining arguments, ``--help`` among them, and returns the exit code.
    """

    name: str
    summary: str
    run: Callable[[Sequence[str]], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchEngineSpec:
    """What asks the requests of a batch.

    :param name: the word after ``--engine``.
    :param create: makes the engine; called once a batch.
    """

    name: str
    create: Callable[[], BatchEngine]


@dataclass(frozen=True, slots=True, kw_only=True)
class ObserverSpec:
    """Someone who is told what happens.

    :param name: the observer's name.
    :param observe: called with every event, in the thread where it happens; must not block. A
        kind of event that it does not know, from a later version, is passed over.
    """

    name: str
    observe: Callable[[Event], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What a model costs, in US dollars per million tokens, exact.

    :param input: tokens of the prompt.
    :param output: tokens of the answer, reasoning included.
    :param cached_input: tokens of the prompt read from a cache; as ``input`` where None.
    :param cache_write: tokens of the prompt written to a cache; as ``input`` where None.
    :param image_input: tokens of the prompt that stand for images; as ``input`` where None.
    :param audio_input: tokens of the prompt that stand for sound; as ``input`` where None.
    :param reasoning: tokens of the answer spent on reasoning; as ``output`` where None.
    :param image_output: tokens of the answer that stand for images; as ``output`` where None.
    :param audio_output: tokens of the answer that stand for sound; as ``output`` where None.
    :param long_context: what all tokens of a request cost whose prompt is longer than usual.
    :param batch: what all tokens cost in a batch; as usual where None.
    :param valid_from: the first day on which the price holds, as ``YYYY-MM-DD``; always where
        empty.
    :param as_of: the day on which the price was known to hold, as ``YYYY-MM-DD``.
    :param source: where the price comes from, for people.
    """

    input: Decimal
    output: Decimal
    cached_input: Decimal | None = None
    cache_write: Decimal | None = None
    image_input: Decimal | None = None
    audio_input: Decimal | None = None
    reasoning: Decimal | None = None
    image_output: Decimal | None = None
    audio_output: Decimal | None = None
    long_context: tuple[LongContextPrice, ...] = ()
    batch: Price | None = None
    valid_from: str = ""
    as_of: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LongContextPrice:
    """What a request costs whose prompt is longer than usual.

    :param above: prompts of more tokens than this pay the price, for all of their tokens.
    :param price: the price.
    """

    above: int
    price: Price
