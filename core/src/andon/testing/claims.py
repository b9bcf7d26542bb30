"""What a backend can do, found out by asking it: what it does not refuse, it claims.

A plugin's author states the abilities of a backend, and the kit holds the backend to them. Where
nobody states them, these functions do: each option is put to the backend, and a refusal before
anything is sent is taken at its word.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from andon.backends import Backend
from andon.chat import ChatDelta, ChatRequest, ResponseFormat, Sampling, Usage
from andon.errors import AndonError, UnsupportedParameterError
from andon.messages import ChatMessage
from andon.specs import ModelProfile
from andon.testing.conformance.abilities import Ability
from andon.testing.conformance.samples import PICTURE, QUESTION, SCHEMA, WEATHER
from andon.testing.provider import Provider, SampleAnswer
from andon.wire.dialect import Dialect, Query

_ASKED = (ChatMessage.user(QUESTION),)
_BEGUN = (*_ASKED, ChatMessage.assistant("Well then:"))
#: What each ability changes in a request; the others show in replies.
_OPTIONS: Mapping[Ability, Mapping[str, Any]] = {
    Ability.TOOLS: {"tools": (WEATHER,)},
    Ability.TOOL_CHOICE: {"tools": (WEATHER,), "tool_choice": "get_weather"},
    Ability.IMAGES: {"messages": (ChatMessage.user(PICTURE),)},
    Ability.JSON_SCHEMA: {"response_format": ResponseFormat.from_openai(SCHEMA)},
    Ability.REASONING_EFFORT: {"reasoning_effort": "high"},
    Ability.SEED: {"sampling": Sampling(seed=7)},
    Ability.STOP: {"sampling": Sampling(stop=("END",))},
    Ability.LOGPROBS: {"top_logprobs": 1},
    Ability.CONTINUATION: {"messages": _BEGUN, "continue_final_message": True},
    Ability.RAW_PROMPT: {"messages": (), "prompt": "Once upon a time"},
}
_UNKNOWN = ModelProfile()


def provider_of(dialect: Dialect) -> Provider | None:
    """Return what plays a server of a protocol that andon speaks, or None for another protocol.

    :param dialect: the protocol.
    """
    kinds = {kind.__name__ for kind in type(dialect).__mro__}
    for name, find in _PROVIDERS:
        if name in kinds:
            return next((one for one in find() if _readable(dialect, one)), None)
    return None


def abilities_over(dialect: Dialect, provider: Provider, model: str) -> frozenset[Ability]:
    """Return what a backend over HTTP claims to do.

    :param dialect: the protocol it speaks.
    :param provider: plays its server.
    :param model: a model's name.
    """

    def encode(request: ChatRequest) -> object:
        return dialect.encode(request, _UNKNOWN)

    asked = ChatRequest(model=model, messages=_ASKED)
    found = set(_not_refused(encode, asked))
    if Ability.TOOLS in found and "parallel_tools" in provider.abilities:
        found.add(Ability.PARALLEL_TOOLS)
    found |= set(_told(dialect, provider))
    if dialect.list_models() is not None:
        found.add(Ability.MODEL_LIST)
    if dialect.health() is not None or dialect.list_models() is not None:
        found.add(Ability.HEALTH)
    if dialect.count_tokens(asked, _UNKNOWN) is not None:
        found.add(Ability.TOKEN_COUNT)
    return frozenset(found)


def abilities_within(backend: Backend, model: str) -> frozenset[Ability]:
    """Return what a backend without a server claims to do, by asking for one token each time.

    What shows only in answers (reasoning, several calls at once, details of usage) is not asked.

    :param backend: the backend.
    :param model: a model's name there.
    """

    def ask(request: ChatRequest) -> object:
        short = replace(request, sampling=replace(request.sampling, max_tokens=1))
        return list(backend.stream(short, 60.0))

    asked = ChatRequest(model=model, messages=_ASKED)
    found = {Ability.HEALTH, *_not_refused(ask, asked)}
    if model in {card.name for card in backend.models()}:
        found.add(Ability.MODEL_LIST)
    with suppress(AndonError):
        if backend.measure(asked) is not None:
            found.add(Ability.TOKEN_COUNT)
    return frozenset(found)


def _not_refused(ask: Callable[[ChatRequest], object], asked: ChatRequest) -> Iterator[Ability]:
    for ability, options in _OPTIONS.items():
        try:
            ask(replace(asked, **options))
        except UnsupportedParameterError:
            continue
        except AndonError:
            # It is not refused for what it asks; the tests will show what it is.
            pass
        yield ability


def _told(dialect: Dialect, provider: Provider) -> Iterator[Ability]:
    """Give what shows in replies only."""
    if "reasoning" in provider.abilities:
        answer = SampleAnswer(reasoning=("Let me think…",))
        if any(delta.reasoning for delta in _decoded(dialect, provider, answer)):
            yield Ability.REASONING
    details = {"cached_usage", "cache_write_usage", "reasoning_usage"} & provider.abilities
    answer = SampleAnswer(usage=Usage(30, 20, 7, 0, 5))
    usages = [delta.usage for delta in _decoded(dialect, provider, answer) if delta.usage]
    if details and any(one.cached_input_tokens or one.reasoning_tokens for one in usages):
        yield Ability.USAGE_DETAILS


def _decoded(dialect: Dialect, provider: Provider, answer: SampleAnswer) -> list[ChatDelta]:
    try:
        return list(dialect.decode(provider.whole(answer)))
    except AndonError:
        return []


def _readable(dialect: Dialect, provider: Provider) -> bool:
    """Whether the dialect reads what this provider answers to its questions."""
    asked = ChatRequest(model="m", messages=_ASKED)
    told = (
        (dialect.list_models(), provider.models(["a"])),
        (dialect.count_tokens(asked, _UNKNOWN), provider.tokens(37)),
    )
    return all(query is None or _reads(query, reply) for query, reply in told)


def _reads(query: Query[Any], reply: Any) -> bool:
    try:
        return reply is not None and bool(query.read(reply))
    except (AndonError, ValueError, TypeError, KeyError, AttributeError, IndexError):
        return False


def _openai_chat() -> Iterator[Provider]:
    from andon.testing.providers.openai_chat import OpenAIChatProvider

    for bare in (False, True):
        for count in (None, "count", "tokens", "input_tokens"):
            yield OpenAIChatProvider(bare_models=bare, token_count=count)


def _completions() -> Iterator[Provider]:
    from andon.testing.providers.completions import CompletionsProvider

    for count in (None, "count", "tokens"):
        yield CompletionsProvider(token_count=count)


def _only(module: str, name: str) -> Callable[[], Iterator[Provider]]:
    def find() -> Iterator[Provider]:
        from importlib import import_module

        yield getattr(import_module(f"andon.testing.providers.{module}"), name)()

    return find


#: What plays the servers of each dialect, by its class; the special ones before the general.
_PROVIDERS: tuple[tuple[str, Callable[[], Iterator[Provider]]], ...] = (
    ("TGIGenerate", _only("tgi", "TGIProvider")),
    ("LlamaServerCompletion", _only("llama_server", "LlamaServerProvider")),
    ("Completions", _completions),
    ("OpenAIChat", _openai_chat),
    ("OpenAIResponses", _only("openai_responses", "OpenAIResponsesProvider")),
    ("AnthropicMessages", _only("anthropic", "AnthropicProvider")),
    ("BedrockConverse", _only("bedrock", "BedrockProvider")),
    ("GeminiGenerateContent", _only("gemini", "GeminiProvider")),
    ("OllamaChat", _only("ollama", "OllamaProvider")),
)
