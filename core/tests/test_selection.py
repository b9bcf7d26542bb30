"""Which backends are recommended, which are out and why."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon import (
    BackendSelector,
    ConfigurationError,
    CostTier,
    LatencyTier,
    Locality,
    PrivacyTier,
    PrivacyViolation,
    ServingBackend,
    ThroughputTier,
)
from andon.specs import BackendContext, BackendSpec


def spec(name: str, locality: Locality) -> BackendSpec:
    def create(context: BackendContext) -> None:
        raise AssertionError

    return BackendSpec(name=name, create=create, locality=locality)  # type: ignore[arg-type]


def test_the_documented_order() -> None:
    selector = BackendSelector().with_privacy(PrivacyTier.SOVEREIGN)
    assert selector.with_latency(LatencyTier.INTERACTIVE).recommend() == [
        ServingBackend.REALIZAR,
        ServingBackend.OLLAMA,
        ServingBackend.LLAMA_CPP,
    ]


def test_each_is_a_plain_string_as_well() -> None:
    assert BackendSelector().recommend()[0] == "realizar"
    assert ServingBackend("aws-bedrock") is ServingBackend.AWS_BEDROCK


def test_what_is_far_comes_after_what_is_near() -> None:
    everything = BackendSelector().recommend()
    assert set(everything) == set(ServingBackend)
    assert everything.index(ServingBackend.LOCALAI) < everything.index(ServingBackend.AZURE_OPENAI)
    assert everything.index(ServingBackend.GOOGLE_VERTEX) < everything.index(ServingBackend.GROQ)


@pytest.mark.parametrize(
    ("selector", "found"),
    [
        (
            BackendSelector().with_latency("real_time"),
            [ServingBackend.REALIZAR, ServingBackend.LLAMA_CPP, ServingBackend.GROQ],
        ),
        (
            BackendSelector().with_throughput(ThroughputTier.HIGH).with_cost(CostTier.FREE),
            [ServingBackend.VLLM, ServingBackend.TGI],
        ),
        (
            BackendSelector().with_privacy("private").with_latency("interactive").with_cost("free"),
            [ServingBackend.REALIZAR, ServingBackend.OLLAMA, ServingBackend.LLAMA_CPP],
        ),
    ],
)
def test_tiers(selector: BackendSelector, found: list[ServingBackend]) -> None:
    assert selector.recommend() == found


def test_preferred_ones_first_and_disabled_ones_not_at_all() -> None:
    selector = BackendSelector().with_latency("real_time").prefer("groq", "llama-cpp")
    assert selector.recommend() == ["groq", "llama-cpp", "realizar"]
    assert selector.disable("groq").recommend() == ["llama-cpp", "realizar"]
    with pytest.raises(ConfigurationError, match="disabled"):
        selector.disable("groq").validate(spec("groq", Locality.PUBLIC))


def test_only_what_is_installed() -> None:
    selector = BackendSelector()
    assert selector.recommend(installed_only=True, installed=["groq", "mine"]) == ["groq"]
    assert set(selector.recommend(installed_only=True)) <= set(ServingBackend)


def test_a_refusal_says_who_and_why_and_what_would_be_allowed() -> None:
    selector = BackendSelector().with_privacy("private")
    selector.validate(spec("azure-openai", Locality.PRIVATE))
    with pytest.raises(PrivacyViolation) as raised:
        selector.validate(spec("groq", Locality.PUBLIC))
    for word in ("private", "'groq'", "public", "in-process, local, private"):
        assert word in str(raised.value)


def test_a_name_stands_for_where_a_backend_usually_runs() -> None:
    selector = BackendSelector().with_privacy("sovereign")
    selector.validate(ServingBackend.OLLAMA)
    selector.validate("llama-cpp")
    with pytest.raises(PrivacyViolation, match="'azure-openai', which is private"):
        selector.validate(ServingBackend.AZURE_OPENAI)
    with pytest.raises(ConfigurationError, match="'mine' usually runs"):
        selector.validate("mine")


@given(
    st.sampled_from(PrivacyTier),
    st.sampled_from(LatencyTier),
    st.sampled_from(ThroughputTier),
    st.sampled_from(CostTier),
)
def test_every_backend_is_either_recommended_or_explained(
    privacy: PrivacyTier, latency: LatencyTier, throughput: ThroughputTier, cost: CostTier
) -> None:
    selector = BackendSelector(privacy, latency, throughput, cost)
    reasons = selector.explain()
    assert set(reasons) == set(ServingBackend)
    assert selector.recommend() == [
        name for name in BackendSelector().recommend() if not reasons[name]
    ]
