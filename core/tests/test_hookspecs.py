"""The hooks: each is documented with its arguments, and each is exercised here."""

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from andon import (
    BatchEngineSpec,
    ChatTemplateSpec,
    Client,
    CommandSpec,
    LedgerSpec,
    Locality,
    ModelCard,
    ModelProfile,
    ObserverSpec,
    Plugins,
    Price,
    RouterSpec,
    SettingsError,
    TokenizerSpec,
    UnsupportedParameterError,
    hookimpl,
    hookspecs,
    testing,
)
from andon.batch import LocalEngine
from andon.budget import MemoryLedger
from andon.routing import Admission, Ask, Candidate, InOrder
from andon.testing import ScriptedBackend, plugin_with

HOOKS = {
    name: list(inspect.signature(function).parameters)
    for name, function in inspect.getmembers(hookspecs, inspect.isfunction)
    if name.startswith("andon_")
}
DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "reference" / "hooks.md"
LIFE = DOCS / "plugins" / "life-of-a-request.md"
TEMPLATE = Path(__file__).parents[2] / "cookiecutter-plugin"
#: Hooks of which the template for plugins shows no example, each with its reason.
NO_EXAMPLE = {
    "andon_model_profile": "andon's own table of profiles says what most models accept",
    "andon_register_batch_engines": "andon-ray is the example; few will write another",
}


def _plugin(**hooks: Callable[..., Any]) -> ModuleType:
    module = ModuleType("plugin")
    for name, function in hooks.items():
        setattr(module, name, hookimpl(function))
    return module


def _plugins(**hooks: Callable[..., Any]) -> Plugins:
    return Plugins(discover=False, plugins=[_plugin(**hooks)])


def test_every_hook_is_documented_with_its_arguments() -> None:
    headings = re.findall(
        r"^## `(\w+)\(([^)]*)\)`$", PAGE.read_text(encoding="utf-8"), re.MULTILINE
    )
    documented = {name: [a for a in arguments.split(", ") if a] for name, arguments in headings}
    assert documented == HOOKS


def _section(hook: str) -> str:
    text = PAGE.read_text(encoding="utf-8")
    return text.partition(f"## `{hook}(")[2].partition("\n## ")[0]


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_says_when_by_whom_and_what_stays(hook: str) -> None:
    labels = re.findall(r"^- \*\*([\w ]+):\*\* \S", _section(hook), re.MULTILINE)
    assert labels == ["When", "By whom", "Promise", "Held to it by"]


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_held_to_its_contract_by_a_kit(hook: str) -> None:
    [line] = re.findall(r"^- \*\*Held to it by:\*\* (.+)$", _section(hook), re.MULTILINE)
    kits = re.findall(r"`(\w+)`", line)
    assert kits
    for kit in kits:
        tests = [name for name in dir(getattr(testing, kit)) if name.startswith("test_")]
        assert tests or kit == "LedgerMachine"


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_has_its_place_in_the_life_of_a_request(hook: str) -> None:
    drawing = LIFE.read_text(encoding="utf-8").partition("```text")[2].partition("```")[0]
    assert drawing.count(f"{hook} ") == 1


@pytest.mark.skipif(not TEMPLATE.is_dir(), reason="an archive of the core has no template")
@pytest.mark.parametrize("hook", [hook for hook in HOOKS if hook not in NO_EXAMPLE])
def test_the_template_shows_every_hook(hook: str) -> None:
    sources = [path.read_text(encoding="utf-8") for path in TEMPLATE.glob("*/_kinds/*/src/*.py")]
    assert any(f"@hookimpl\ndef {hook}(" in source for source in sources)


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_has_a_test(hook: str) -> None:
    assert f"test_{hook}" in globals()


@pytest.mark.parametrize("hook", HOOKS)
def test_every_docstring_has_the_fixed_form(hook: str) -> None:
    text = inspect.getdoc(getattr(hookspecs, hook)) or ""
    assert "Called " in text
    assert ":return:" in text
    assert re.findall(r":param (\w+):", text) == HOOKS[hook]


def test_andon_register_backends() -> None:
    plugins = Plugins(discover=False, plugins=[plugin_with(one=ScriptedBackend())])
    assert list(plugins.backends()) == ["one"]


def test_andon_register_model_cards() -> None:
    plugins = _plugins(andon_register_model_cards=lambda: [ModelCard(name="tiny")])
    assert [card.name for card in plugins.model_cards()] == ["tiny"]


def test_andon_register_chat_templates() -> None:
    spec = ChatTemplateSpec(name="shout", render=lambda messages, prompt: "HELLO")
    assert _plugins(andon_register_chat_templates=lambda: [spec]).chat_templates() == [spec]


def test_andon_register_tokenizers() -> None:
    spec = TokenizerSpec(name="bytes", create=lambda: None, models=("*",), exact=False)  # type: ignore[arg-type,return-value]
    assert _plugins(andon_register_tokenizers=lambda: [spec]).tokenizers() == [spec]


def test_andon_price() -> None:
    price = Price(input=Decimal(1), output=Decimal(1))
    plugin = _plugin(andon_price=lambda backend, model: price if backend == "paid" else None)
    paid = plugin_with(locality=Locality.PUBLIC, paid=ScriptedBackend(["a", "b"]))
    reply = Client(discover=False, plugins=[paid, plugin]).chat("paid:m", "x")
    assert reply.cost_usd == Decimal("0.000003")


def test_andon_model_profile() -> None:
    profile = ModelProfile(sampling=False)
    plugin = _plugin(andon_model_profile=lambda backend, model: profile if model == "m" else None)
    one = plugin_with(locality=Locality.LOCAL, one=ScriptedBackend())
    client = Client(discover=False, plugins=[one, plugin])
    with pytest.raises(UnsupportedParameterError, match="temperature"):
        client.chat("one:m", "x", temperature=0)
    assert client.chat("one:other", "x", temperature=0).text == "Hello world"


def test_andon_register_ledgers() -> None:
    opened: list[str] = []

    def create(url: str) -> MemoryLedger:
        opened.append(url)
        return MemoryLedger()

    plugin = _plugin(andon_register_ledgers=lambda: [LedgerSpec(scheme="mem", create=create)])
    Client(discover=False, plugins=[plugin], ledger="mem://here")
    assert opened == ["mem://here"]
    with pytest.raises(SettingsError, match="unknown scheme 'redis'"):
        Client(discover=False, plugins=[plugin], ledger="redis://here")


class _Reversed(InOrder):
    def __init__(self, options: Mapping[str, Any]) -> None:
        self.options = options

    def admit(self, candidates: Sequence[Candidate], ask: Ask, now: float) -> Admission:
        return super().admit(list(reversed(candidates))[: self.options["most"]], ask, now)


def test_andon_register_routers() -> None:
    spec = RouterSpec(name="reversed", create=_Reversed)
    plugin = _plugin(andon_register_routers=lambda: [spec])
    backends = plugin_with(one=ScriptedBackend(), two=ScriptedBackend())
    routing = {"strategy": "reversed", "most": 1}
    client = Client(discover=False, plugins=[plugin, backends], routing=routing)
    assert client.chat(["one:m", "two:m"], "hi").backend == "two"
    with pytest.raises(SettingsError, match="'random'; andon has in_order, spillover"):
        Client(discover=False, routing={"strategy": "random"})
    with pytest.raises(SettingsError, match="no such option"):
        Client(discover=False, routing={"strategy": "spillover", "depth": 3})


def test_andon_register_observers() -> None:
    spec = ObserverSpec(name="watcher", observe=print)
    assert _plugins(andon_register_observers=lambda: [spec]).observers() == [spec]


def test_andon_register_commands() -> None:
    spec = CommandSpec(name="dance", summary="dances", run=len)
    assert _plugins(andon_register_commands=lambda: [spec]).commands() == {"dance": spec}


def test_andon_register_batch_engines() -> None:
    spec = BatchEngineSpec(name="oxen", create=LocalEngine)
    plugins = _plugins(andon_register_batch_engines=lambda: [spec])
    assert plugins.batch_engine("oxen") is spec
    assert plugins.batch_engine("horses") is None
