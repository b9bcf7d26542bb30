"""Which conformance class each part of a plugin is held to, and how it is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from andon.backends import Backend
from andon.backends.http_backend import HTTPBackend
from andon.errors import AndonError, ConfigurationError, MissingKeyError
from andon.plugins import Plugins
from andon.specs import BackendContext, BackendSpec, LedgerSpec, Locality, ModelCard, RouterSpec
from andon.testing import (
    ALL,
    BackendConformance,
    CommandConformance,
    InProcessConformance,
    LedgerConformance,
    ObserverConformance,
    PluginConformance,
    PriceConformance,
    RouterConformance,
    TemplateConformance,
    TokenizerConformance,
)
from andon.testing.checkup import Part, card_plugin
from andon.testing.claims import abilities_over, abilities_within, provider_of
from andon.testing.conformance.records import REGISTERS

if TYPE_CHECKING:
    from andon.testing.checkup import Checkup

#: A part, and the class that it is held to; None where there is no way.
Held: TypeAlias = "tuple[Part, type[Any] | None]"

_KEY = "sk-conformance-0123456789abcdef"
#: Nobody is asked there: the backends that are made with it are only looked at.
_NOWHERE = "http://127.0.0.1:9"


def classes_for(checkup: Checkup) -> Iterator[Held]:
    """Give each part of a plugin, with the class that it is held to.

    :param checkup: the plugin, and its author's wishes.
    """
    yield _class(f"plugin {checkup.name}", PluginConformance, entry_point=checkup.name)
    for hook, record in checkup.offered():
        offer = f"{_word(hook)} {getattr(record, REGISTERS[hook][1], '?')}"
        if hook not in _WAYS:
            continue
        try:
            yield _WAYS[hook](checkup, record, offer)
        except Exception as error:  # noqa: BLE001  told as what it is
            yield Part(offer=offer, failed=[("creating it", f"it raised {error!r}")]), None
    if hasattr(checkup.plugin, "andon_price"):
        yield _prices(checkup)


def _class(offer: str, kit: type[Any], note: str = "", **facts: Any) -> Held:
    return Part(offer=offer, kit=kit.__name__, note=note), type(kit.__name__, (kit,), facts)


def _unchecked(offer: str, why: str) -> Held:
    return Part(offer=offer, note=why), None


def _word(hook: str) -> str:
    return hook.removeprefix("andon_register_").removesuffix("s").replace("_", " ")


# -- Records that can be held to their contract as they are ------------------------------------


def _record(kit: type[Any], checkup: Checkup, record: Any, offer: str) -> Held:
    return _class(offer, kit, plugin=checkup.plugin, name=record.name)


def _tokenizer(checkup: Checkup, record: Any, offer: str) -> Held:
    try:
        record.create()
    except ConfigurationError as error:
        return _unchecked(offer, f"it cannot be made here: {error}")
    return _record(TokenizerConformance, checkup, record, offer)


def _router(checkup: Checkup, record: RouterSpec, offer: str) -> Held:
    try:
        made = record.create(checkup.wishes.settings)
    except AndonError as error:
        return _unchecked(offer, f"it needs settings, --set NAME=VALUE: {error}")
    if made.waits:
        why = "it shares its counts through a server, where each test needs a place of its own"
        return _unchecked(offer, f"{why}; give its own tests")
    options, name = checkup.wishes.settings, record.name
    return _class(offer, RouterConformance, plugin=checkup.plugin, name=name, options=options)


def _ledger(checkup: Checkup, record: LedgerSpec, offer: str) -> Held:
    urls = [u for u in checkup.wishes.ledgers if u.partition(":")[0] == record.scheme]
    if not urls:
        why = f"it needs an empty ledger: --ledger {record.scheme}:…, with {{}} for each test"
        return _unchecked(offer, why)
    numbers = iter(range(10**6))

    def ledger(self: object) -> Iterator[Any]:
        """Return an empty ledger."""
        made = record.create(urls[0].replace("{}", f"check{next(numbers)}"))
        yield made
        made.close()

    return _class(offer, LedgerConformance, ledger=pytest.fixture(ledger))


def _prices(checkup: Checkup) -> Held:
    named = [tuple(model.split(":", 1)) for model in checkup.wishes.models if ":" in model]
    asked = [*named, *_sold(checkup)]
    known = [pair for pair in dict.fromkeys(asked) if _priced(checkup, *pair)]
    missing = [":".join(pair) for pair in named if pair not in known]
    if missing:
        return Part(offer="prices", failed=[("asking", f"{missing} have no price")]), None
    some = ", ".join(":".join(pair) for pair in known[:3]) or "no model that is known here"
    note = f"asked for {some}; more with --model BACKEND:MODEL"
    return _class("prices", PriceConformance, note, plugin=checkup.plugin, known=known[:20])


def _sold(checkup: Checkup) -> Iterator[tuple[str, str]]:
    """Give models that a plugin may know a price of."""
    from andon.pricing.built_in import BUILT_IN

    for name in BUILT_IN:
        backend, _, model = name.partition(":")
        yield backend, model
    for hook, record in checkup.offered():
        if hook == "andon_register_backends":
            yield from ((record.name, model) for model in record.models)


def _priced(checkup: Checkup, backend: str, model: str) -> bool:
    try:
        return checkup.plugin.andon_price(backend=backend, model=model) is not None
    except Exception:  # noqa: BLE001  the tests tell it
        return True


# -- Backends ----------------------------------------------------------------------------------


def _backend(checkup: Checkup, record: BackendSpec, offer: str) -> Held:
    made = _made(checkup, record)
    try:
        if isinstance(made, HTTPBackend):
            return _served(checkup, record, made, offer)
        return _within(checkup, record, made, offer)
    finally:
        made.close()


def _made(checkup: Checkup, record: BackendSpec) -> Backend:
    """Return a backend to look at; one with two faces is itself where it needs no server."""
    settings = {"base_url": _NOWHERE, "api_key": _KEY, **checkup.wishes.settings}
    if record.locality is not Locality.IN_PROCESS:
        with suppress(ConfigurationError):
            return record.create(BackendContext(options=settings, no_relay=False))
    # What is no server takes no address.
    return record.create(_context(checkup))


def _served(checkup: Checkup, record: BackendSpec, made: HTTPBackend, offer: str) -> Held:
    dialect, provider = type(made.dialect).__name__, provider_of(made.dialect)
    if provider is None:
        why = (
            f"nothing here plays a server of its protocol, {dialect}; give your own tests, "
            "which have a Provider: andon plugins check … TESTS"
        )
        return _unchecked(offer, why)
    model = "sample-model"
    abilities = abilities_over(made.dialect, provider, model)
    part, kit = _class(
        offer,
        BackendConformance,
        f"a server of {dialect} is played by {type(provider).__name__}",
        plugin=checkup.plugin,
        backend=record.name,
        provider=provider,
        abilities=abilities,
        model=model,
        key_is_needed=_needs_key(record, checkup.wishes.settings),
        options=checkup.wishes.settings,
    )
    return _with_abilities(part, abilities), kit


def _needs_key(record: BackendSpec, settings: Mapping[str, Any]) -> bool:
    try:
        record.create(BackendContext(options={"base_url": _NOWHERE, **settings})).close()
    except MissingKeyError:
        return True
    return False


def _within(checkup: Checkup, record: BackendSpec, made: Backend, offer: str) -> Held:
    found = _model_for(checkup, record, made)
    if found is None:
        why = f"it needs a model: --model {record.name}:MODEL, of a plugin that is installed"
        return _unchecked(offer, why)
    model, companions = found
    asking = record.create(_context(checkup))
    try:
        abilities = abilities_within(asking, model)
    finally:
        asking.close()
    part, kit = _class(
        offer,
        InProcessConformance,
        f"asked with its model {model!r}",
        plugin=checkup.plugin,
        backend=record.name,
        model=model,
        companions=companions,
        abilities=abilities,
        options=checkup.wishes.settings,
    )
    return _with_abilities(part, abilities), kit


def _model_for(
    checkup: Checkup, record: BackendSpec, made: Backend
) -> tuple[str, tuple[object, ...]] | None:
    """Return a model of an engine, and what makes it known to a client."""
    cards: Mapping[str, ModelCard] = {card.name: card for card in Plugins().model_cards()}
    own = {card.name for hook, card in checkup.offered() if hook == "andon_register_model_cards"}
    wished = [m.partition(":")[2] for m in checkup.wishes.models if m.startswith(f"{record.name}:")]
    fitting = [card.name for card in cards.values() if record.name in card.backends]
    for model in (*wished, *(card.name for card in made.models()), *fitting):
        card = cards.get(model)
        foreign = card is not None and model not in own
        return model, ((card_plugin(card),) if foreign else ())
    return None


def _context(checkup: Checkup) -> BackendContext:
    plugins = Plugins()
    return BackendContext(
        options=checkup.wishes.settings,
        find_card=plugins.model_card,
        cards=plugins.model_cards,
        chat_templates=plugins.chat_templates,
    )


def _with_abilities(part: Part, abilities: frozenset[Any]) -> Part:
    part.abilities = tuple(sorted(ability.value for ability in abilities))
    part.refused = tuple(sorted(ability.value for ability in ALL - abilities))
    return part


_WAYS: Mapping[str, Callable[[Checkup, Any, str], Held]] = MappingProxyType(
    {
        "andon_register_backends": _backend,
        "andon_register_chat_templates": partial(_record, TemplateConformance),
        "andon_register_tokenizers": _tokenizer,
        "andon_register_ledgers": _ledger,
        "andon_register_routers": _router,
        "andon_register_observers": partial(_record, ObserverConformance),
        "andon_register_commands": partial(_record, CommandConformance),
    }
)
