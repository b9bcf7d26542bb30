"""The contract between andon and its plugins, in the order of a request's way through andon.

A plugin is a module, or any object, with functions of these names, each marked with
``@andon.hookimpl``, and an entry point in the group ``andon``. The entry point has the name of
what the plugin offers: ``groq = "andon_groq"`` is found, and imported, when somebody asks for
``groq:…``, and not before.

Two laws hold for every hook. What has a name is **registered**: all answers are collected, and
a name can be taken only once. A question about a model is **answered**: the first answer that
is not None counts. Hooks may gain arguments, which an implementation is free to leave out;
they never lose or rename one within a major version (below 1.0: a minor version), to which a
plugin's distribution bounds its need of ``andon``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from collections.abc import Iterable

    from andon.specs import (
        BackendSpec,
        BatchEngineSpec,
        ChatTemplateSpec,
        CommandSpec,
        LedgerSpec,
        ModelCard,
        ModelProfile,
        ObserverSpec,
        Price,
        RouterSpec,
        TokenizerSpec,
    )

hookspec = pluggy.HookspecMarker("andon")
#: Marks a function of a plugin as its implementation of the hook of the same name.
hookimpl = pluggy.HookimplMarker("andon")


# --- Select: which backends are there, and what can their models do? --------------------------


@hookspec
def andon_register_backends() -> Iterable[BackendSpec]:  # type: ignore[empty-body]
    """Offer backends.

    Called once, when the plugin is loaded; never opens a connection or imports an engine.

    :return: one record for each backend. One of them has the entry point's name.
    """


@hookspec
def andon_register_model_cards() -> Iterable[ModelCard]:  # type: ignore[empty-body]
    """Say what is known of models: context window, capabilities, where the weights lie.

    Called once, when the plugin is loaded.

    :return: one record for each model.
    """


@hookspec(firstresult=True)
def andon_model_profile(backend: str, model: str) -> ModelProfile | None:
    """Say what a model accepts: sampling parameters, tools, images, its context window.

    Called once for each model of a client that is reached over a network; never blocks. What the
    answer leaves None stays as andon knows it; the settings go before the answer.
    Asked are the plugins that the embedder handed over, and then the one that brings the backend;
    no other is imported for it. Stops at the first answer that is not None.

    :param backend: the backend's name.
    :param model: the model's name there.
    :return: what is known of it, or None if the plugin knows nothing.
    """


# --- Fit: how do messages become a prompt, and how large is it? --------------------------------


@hookspec
def andon_register_chat_templates() -> Iterable[ChatTemplateSpec]:  # type: ignore[empty-body]
    """Offer chat templates.

    Called once, when the plugin is loaded. A model's own template goes before these; these go
    before the formats that andon guesses from a model's name.

    :return: one record for each template.
    """


@hookspec
def andon_register_tokenizers() -> Iterable[TokenizerSpec]:  # type: ignore[empty-body]
    """Offer tokenizers.

    Called once, when the plugin is loaded; their files are read at the first count.

    :return: one record for each tokenizer.
    """


# --- Price and reserve: what can it cost at most, and is there budget for it? ------------------


@hookspec(firstresult=True)
def andon_price(backend: str, model: str) -> Price | None:
    """Say what a model costs.

    Called for each request where a plugin was handed over by the embedder, before the
    settings are asked; an installed one for each request to a model that is not on one's own
    hardware and whose price nobody nearer knows. Stops at the first answer that is not None.

    :param backend: the backend's name.
    :param model: the model's name there.
    :return: its price, or None if the plugin does not know it.
    """


@hookspec
def andon_register_ledgers() -> Iterable[LedgerSpec]:  # type: ignore[empty-body]
    """Offer places where spending is kept.

    Called once, when the plugin is loaded.

    :return: one record for each scheme of ledger URLs.
    """


# --- Route: whose turn is it? -------------------------------------------------------------------


@hookspec
def andon_register_routers() -> Iterable[RouterSpec]:  # type: ignore[empty-body]
    """Offer routing strategies.

    Called once, when the plugin is loaded.

    :return: one record for each strategy.
    """


# --- Beside the way: who is told, and what else can be typed? -----------------------------------


@hookspec
def andon_register_observers() -> Iterable[ObserverSpec]:  # type: ignore[empty-body]
    """Offer observers of events.

    Called once, when the plugin is loaded: at once for one handed over in code, and for an
    installed one when the settings name it in ``observers``. An observer that raises is
    reported and told no more.

    :return: one record for each observer.
    """


@hookspec
def andon_register_commands() -> Iterable[CommandSpec]:  # type: ignore[empty-body]
    """Offer commands of the command line.

    Called once, when the plugin is loaded, and only by the command line.

    :return: one record for each command.
    """


@hookspec
def andon_register_batch_engines() -> Iterable[BatchEngineSpec]:  # type: ignore[empty-body]
    """Offer engines that ask the requests of a batch, on many machines say.

    Called once, when the plugin is loaded.

    :return: one record for each engine.
    """
