"""Whose word counts for a model: settings, then plugins, then andon's own dated table."""

from __future__ import annotations

import re
from datetime import date

import pytest

from andon import ModelProfile
from andon.profiles import ProfileTable
from andon.profiles.families import FAMILIES


@pytest.mark.parametrize(
    ("backend", "model", "sampling", "prefill"),
    [
        ("openai", "gpt-5.6-sol", False, False),
        ("openai", "gpt-4o-mini", None, False),
        ("anthropic", "claude-opus-5-5", False, False),
        ("anthropic", "claude-sonnet-4-6", True, False),
        ("anthropic", "claude-haiku-4-5", True, True),
        ("aws-bedrock", "us.anthropic.claude-haiku-4-5-20251001-v1:0", True, True),
        ("google-vertex", "gemini-3.8-flash", False, False),
        ("google-vertex", "gemini-3.5-flash", None, None),
        ("google-vertex", "gemini-3.5-flash-lite", False, False),
        ("groq", "openai/gpt-oss-120b", None, None),
        ("vllm", "my-own-model", None, None),
    ],
)
def test_families(backend: str, model: str, sampling: bool | None, prefill: bool | None) -> None:
    profile = ProfileTable().find(backend, model)
    assert (profile.sampling, profile.prefill) == (sampling, prefill)


def test_a_precise_pattern_adds_to_a_broad_one() -> None:
    profile = ProfileTable().find("openai", "gpt-5.4-mini")
    assert profile.system_role == "developer"
    assert profile.context_window == 400_000


def test_a_setting_replaces_only_what_it_says() -> None:
    table = ProfileTable({"claude-opus-5*": ModelProfile(sampling=True)})
    profile = table.find("anthropic", "claude-opus-5-5")
    assert (profile.sampling, profile.prefill) == (True, False)
    assert profile.source == 'settings: profiles."claude-opus-5*"'


def test_a_setting_may_hold_for_one_backend_only() -> None:
    table = ProfileTable({"vllm:Llama*": ModelProfile(images=True)})
    assert table.find("vllm", "Llama-9").images is True
    assert table.find("groq", "Llama-9").images is None


def test_plugins_go_between() -> None:
    def ask(backend: str, model: str) -> ModelProfile | None:
        return ModelProfile(sampling=True, prefill=True, context_window=5)

    table = ProfileTable({"*": ModelProfile(context_window=7)}, ask)
    profile = table.find("anthropic", "claude-opus-5-5")
    assert (profile.sampling, profile.prefill, profile.context_window) == (True, True, 7)


def test_every_fact_is_dated_and_has_a_source() -> None:
    for profile in FAMILIES:
        assert date.fromisoformat(profile.as_of) <= date(2026, 12, 31)
        assert profile.source
        assert profile.models
        assert all(re.fullmatch(r"[a-z0-9.*\-]+", pattern) for pattern in profile.models)
