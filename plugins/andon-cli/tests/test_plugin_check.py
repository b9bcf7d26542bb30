"""``andon plugins check``: the kit on an installed plugin, and its report."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Install = Callable[..., None]

SOUND = """
from decimal import Decimal

from andon import ChatTemplateSpec, LedgerSpec, Price, RouterSpec, SettingsError, hookimpl


def render(messages, prompt):
    turns = "".join(f"<|{m.role.value}|>{m.text}<|end|>" for m in messages)
    return turns + "<|assistant|>" * prompt


@hookimpl
def andon_register_chat_templates():
    tokens = tuple(f"<|{name}|>" for name in ("system", "user", "assistant", "tool", "end"))
    return [
        ChatTemplateSpec(name="near", render=render, control_tokens=tokens, stop=("<|end|>",))
    ]


@hookimpl
def andon_price(backend, model):
    price = Price(input=Decimal(1), output=Decimal(2))
    return price if (backend, model) == ("near", "small") else None


@hookimpl
def andon_register_ledgers():
    from andon.budget import MemoryLedger

    return [LedgerSpec(scheme="near", create=lambda url: MemoryLedger())]


@hookimpl
def andon_register_routers():
    def create(options):
        from andon.routing import InOrder

        if options != {"way": 1}:
            raise SettingsError(f"routing: way must be 1, and there is no more: {options}")
        return InOrder()

    return [RouterSpec(name="near", create=create)]
"""
SERVER = """
from andon import Locality, hookimpl
from andon.backends.http_backend import http_backend_spec
from andon.wire.endpoint import EndpointSpec
from andon.wire.openai_chat import Quirks, openai_dialect

ENDPOINT = EndpointSpec(
    base_url="https://near.example/v1", locality=Locality.PUBLIC, key_variables=("NEAR_KEY",)
)


@hookimpl
def andon_register_backends():
    return [http_backend_spec("near", ENDPOINT, openai_dialect(Quirks(seed=False)))]
"""


@pytest.fixture
def install(environment: dict[str, str], tmp_path: Path) -> Install:
    """Return a function that installs a plugin beside the others."""

    def install(source: str, *, name: str = "near", needs: str = "andon>=0.1,<0.2") -> None:
        site = tmp_path / "site"
        (site / f"andon_{name}.py").write_text(source, encoding="utf-8")
        info = site / f"andon_{name}-0.3.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: andon-{name}\nVersion: 0.3\nRequires-Dist: {needs}\n"
        )
        (info / "entry_points.txt").write_text(f"[andon]\n{name} = andon_{name}\n")

    return install


def parts(report: dict[str, Any]) -> dict[str, Any]:
    return {part["offer"]: part for part in report["parts"]}


def test_a_sound_plugin(install: Install, run: Any) -> None:
    install(SOUND)
    done = run("plugins", "check", "near", "--model", "near:small")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("## Conformance of `near`\n\nandon-near 0.3, held to")
    assert "all passed." in done.stdout
    rows = [line for line in done.stdout.splitlines() if line.startswith("| ")]
    assert [row.split(" | ")[:2] for row in rows[2:]] == [
        ["| plugin near", "`PluginConformance`"],
        ["| chat template near", "`TemplateConformance`"],
        ["| ledger near", "–"],
        ["| router near", "–"],
        ["| prices", "`PriceConformance`"],
    ]
    unchecked = done.stdout.partition("### What was not checked")[2]
    assert "- ledger near: it needs an empty ledger: --ledger near:" in unchecked
    assert "- router near: it needs settings, --set NAME=VALUE: routing: way must be 1" in unchecked


def test_what_the_author_adds_is_checked_too(install: Install, run: Any, tmp_path: Path) -> None:
    install(SOUND)
    own = tmp_path / "test_own.py"
    own.write_text("def test_it():\n    pass\n\ndef test_that():\n    assert 1 == 2\n")
    options = ["--ledger", "near://{}", "--set", "way=1", "--json"]
    done = run("plugins", "check", "near", *options, str(own))
    report = json.loads(done.stdout)
    assert (done.returncode, report["sound"]) == (1, False)
    found = parts(report)
    assert found["ledger near"]["passed"] == 7 and not found["ledger near"]["failed"]
    assert found["router near"]["kit"] == "RouterConformance"
    own_tests = found["tests of its own"]
    assert (own_tests["passed"], [test for test, _ in own_tests["failed"]]) == (1, ["test_that"])


def test_a_faulty_plugin(install: Install, run: Any) -> None:
    install(SOUND.replace("m.text", "m.text[:3]"), needs="andon")
    done = run("plugins", "check", "near")
    assert done.returncode == 1
    assert "### What failed" in done.stdout
    assert "- chat template near: `test_every_message_is_written[a chat]`" in done.stdout
    assert "The contract, andon.specs.ChatTemplateSpec: render writes every message" in done.stdout
    assert "- plugin near: `test_its_need_of_andon_is_bounded`" in done.stdout
    assert "andon-near needs 'andon'" in done.stdout


def test_a_price_that_is_missed(install: Install, run: Any) -> None:
    install(SOUND)
    done = run("plugins", "check", "near", "--model", "near:large")
    assert done.returncode == 1
    assert "['near:large'] have no price" in done.stdout


def test_a_broken_plugin_and_an_unknown_one(run: Any) -> None:
    done = run("plugins", "check", "wreck")
    assert done.returncode == 1
    assert "the wreck's engine is missing" in done.stdout
    done = run("plugins", "check", "nowhere")
    assert done.returncode == 2
    assert "no plugin 'nowhere' is installed; there are" in done.stderr


def test_a_backend_is_held_to_what_it_does_not_refuse(install: Install, run: Any) -> None:
    install(SERVER)
    done = run("plugins", "check", "near", "--json")
    assert done.returncode == 0, done.stdout
    backend = parts(json.loads(done.stdout))["backend near"]
    assert (backend["kit"], backend["failed"]) == ("BackendConformance", [])
    assert backend["passed"] > 200
    assert {"seed", "continuation", "token_count"} <= set(backend["refused"])
    assert {"tools", "images", "stop", "raw_prompt"} <= set(backend["abilities"])
    assert backend["note"] == "a server of OpenAIChat is played by OpenAIChatProvider"


def test_the_list_is_still_a_list(run: Any) -> None:
    assert run("plugins").stdout.startswith("PLUGIN")
    assert "check" in run("plugins", "--help").stdout
