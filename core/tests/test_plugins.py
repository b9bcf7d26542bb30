"""Plugins: found lazily, isolated from each other, every failure explained."""

import sys
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from types import ModuleType

import pytest

import andon
from andon import (
    BackendSpec,
    DuplicateNameError,
    Locality,
    ModelCard,
    PluginLoadError,
    Plugins,
    PluginWarning,
    Price,
    UnknownBackendError,
    hookimpl,
)

Install = Callable[..., None]

BACKEND = """
from andon import BackendSpec, Locality, hookimpl

@hookimpl
def andon_register_backends():
    return [BackendSpec(name={name!r}, create=lambda context: None, locality=Locality.PUBLIC)]
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Return a function that installs a distribution with one module and its entry points."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def install(distribution: str, source: str, *names: str) -> None:
        module = distribution.replace("-", "_")
        (tmp_path / f"{module}.py").write_text(source, encoding="utf-8")
        info = tmp_path / f"{module}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n", encoding="utf-8"
        )
        lines = [f"{name} = {module}" for name in names]
        (info / "entry_points.txt").write_text("\n".join(["[andon]", *lines]), encoding="utf-8")
        monkeypatch.delitem(sys.modules, module, raising=False)

    return install


def _states(plugins: Plugins) -> dict[str, str]:
    return {info.name: str(info.state) for info in plugins}


def test_asking_for_one_backend_imports_one_plugin(install: Install) -> None:
    install("andon-first", BACKEND.format(name="first"), "first")
    install("andon-second", BACKEND.format(name="second"), "second")
    assert Plugins().backend("first").name == "first"
    assert "andon_first" in sys.modules
    assert "andon_second" not in sys.modules


def test_a_backend_that_is_not_its_entry_points_name_is_found_too(install: Install) -> None:
    install("andon-pack", BACKEND.format(name="inside"), "pack")
    assert Plugins().backend("inside").name == "inside"


def test_an_unknown_backend_says_what_to_install(install: Install) -> None:
    install("andon-first", BACKEND.format(name="first"), "first")
    plugins = Plugins()
    with pytest.raises(UnknownBackendError, match=r"did you mean 'first'\? Otherwise try: pip"):
        plugins.backend("frist")
    # What is not installed may be meant as well.
    with pytest.raises(UnknownBackendError, match="did you mean 'anthropic'"):
        plugins.backend("antropic")
    with pytest.raises(UnknownBackendError, match=r"first.*; try: pip install andon-nope$"):
        plugins.backend("nope")


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ("import no_such_module", "ModuleNotFoundError"),
        (
            "from andon import hookimpl\n@hookimpl\ndef andon_register_backends():\n    1 / 0",
            "ZeroDivisionError",
        ),
        (
            "from andon import hookimpl\n@hookimpl\ndef andon_register_backend():\n    return []",
            "no hook 'andon_register_backend'",
        ),
        (
            "from andon import hookimpl\n@hookimpl\ndef andon_price(backend, modell):\n    pass",
            "modell",
        ),
        (
            "from andon import hookimpl\n@hookimpl\ndef andon_register_backends():\n    return 5",
            "TypeError",
        ),
    ],
)
def test_a_broken_plugin_is_explained_and_harms_nobody_else(
    install: Install, source: str, cause: str
) -> None:
    install("andon-broken", source, "broken")
    install("andon-sound", BACKEND.format(name="sound"), "sound")
    plugins = Plugins()
    with pytest.warns(PluginWarning, match=r"andon-broken 1\.2"):
        states = _states(plugins)
    assert (states["broken"], states["sound"]) == ("failed", "loaded")
    assert plugins.backend("sound").name == "sound"
    with pytest.raises(
        PluginLoadError, match=rf"(?s)'broken' of andon-broken 1.2.*{cause}"
    ) as caught:
        plugins.backend("broken")
    assert caught.value.__cause__ is not None


def test_a_name_claimed_by_two_distributions_is_refused_with_both(install: Install) -> None:
    install("andon-one", BACKEND.format(name="same"), "same")
    install("andon-two", BACKEND.format(name="same"), "same")
    with pytest.warns(PluginWarning):
        plugins = Plugins()
    with pytest.raises(DuplicateNameError, match=r"andon-one 1\.2 and andon-two 1.2"):
        plugins.backend("same")
    assert "andon_one" not in sys.modules


def test_a_record_that_another_plugin_offers_already_breaks_the_later_one(
    install: Install,
) -> None:
    install("andon-honest", BACKEND.format(name="honest"), "honest")
    install("andon-thief", BACKEND.format(name="honest"), "thief")
    plugins = Plugins()
    plugins.backend("honest")
    with pytest.warns(PluginWarning, match="andon-thief"):
        assert _states(plugins)["thief"] == "failed"
    assert plugins.backend("honest").name == "honest"


def test_one_plugin_may_answer_to_two_names(install: Install) -> None:
    source = BACKEND.format(name="long").replace(
        "Locality.PUBLIC", "Locality.PUBLIC, aliases=('l',)"
    )
    install("andon-long", source, "long", "l")
    plugins = Plugins()
    assert plugins.backend("l") is plugins.backend("long")
    assert list(plugins.backends()).count("long") == 1
    assert "failed" not in _states(plugins).values()


def test_plugins_can_be_disabled(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("andon-first", BACKEND.format(name="first"), "first")
    monkeypatch.setenv("ANDON_DISABLE_PLUGINS", "other, first")
    with pytest.raises(UnknownBackendError, match="disabled"):
        Plugins().backend("first")
    assert _states(Plugins())["first"] == "disabled"
    assert _states(Plugins(discover=False, disabled=["first"])) == {}


def _module(name: str, **functions: Callable[..., object]) -> ModuleType:
    module = ModuleType(name)
    for function_name, function in functions.items():
        setattr(module, function_name, hookimpl(function))
    return module


def test_an_embedders_broken_plugin_is_raised_at_once() -> None:
    with pytest.raises(PluginLoadError, match=r"'mine'.*no hook"):
        Plugins(discover=False, plugins=[_module("mine", andon_nonsense=lambda: None)])


def test_prices_of_embedders_go_first_and_a_raising_plugin_is_passed_over(install: Install) -> None:
    install(
        "andon-priced",
        "from andon import Price, hookimpl\n@hookimpl\ndef andon_price(backend, model):\n"
        "    return Price(input=2, output=2)",
        "priced",
    )
    mine = Price(input=Decimal(1), output=Decimal(1))
    ours = _module("ours", andon_price=lambda backend, model: mine if model == "m" else None)
    raising = _module("raising", andon_price=lambda backend, model: 1 / 0)
    plugins = Plugins(plugins=[raising, ours])
    with pytest.warns(PluginWarning, match="raising"):
        assert plugins.price("x", "m") == replace(mine, source="a plugin handed over in code")
    with pytest.warns(PluginWarning, match="raising"):
        other = plugins.price("x", "other")
    assert other is not None
    assert other.input == 2


def test_a_hook_may_leave_out_arguments() -> None:
    plugin = _module("short", andon_price=lambda model: Price(input=Decimal(1), output=Decimal(1)))
    assert Plugins(discover=False, plugins=[plugin]).price("x", "m") is not None


def test_model_cards_are_found_by_name() -> None:
    plugin = _module("cards", andon_register_model_cards=lambda: [ModelCard(name="tiny")])
    plugins = Plugins(discover=False, plugins=[plugin])
    card = plugins.model_card("tiny")
    assert card is not None
    assert card.name == "tiny"
    assert plugins.model_card("huge") is None


def test_two_clients_do_not_share_plugins() -> None:
    spec = BackendSpec(name="mine", create=lambda context: None, locality=Locality.LOCAL)  # type: ignore[arg-type,return-value]
    first = andon.Client(
        discover=False, plugins=[_module("p", andon_register_backends=lambda: [spec])]
    )
    second = andon.Client(discover=False)
    assert first.plugins.backends() and not second.plugins.backends()
