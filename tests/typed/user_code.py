"""What users write, and the types that they see. Checked by mypy and pyright, never run."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import assert_type

import andon
from andon.testing.scripted import ScriptedBackend, plugin_with


def whole() -> None:
    client = andon.Client(privacy="sovereign", daily_budget_usd=10, max_request_cost_usd="0.5")
    reply = client.chat("llama-cpp:demo", "hi", max_tokens=5, temperature=0, stop=["x"])
    assert_type(reply, andon.ChatResponse)
    assert_type(reply.text, str)
    assert_type(reply.usage.total_tokens, int)
    assert_type(reply.cost_usd, Decimal)
    assert_type(reply.finish_reason, andon.FinishReason)
    assert_type(reply.attempts, tuple[andon.Attempt, ...])
    client.chat(["a:b", "c:d"], [{"role": "user", "content": "hi"}], labels={"user": "ada"})
    client.chat("a:b", [andon.ChatMessage.user("hi")], tools=[andon.Tool("add")])


def pieces() -> None:
    with andon.Client() as client:
        stream = client.stream("a:b", "hi", failover="hold", first_token_timeout=3)
        for delta in stream:
            assert_type(delta, andon.ChatDelta)
            assert_type(delta.text, str)
            if delta.failover is not None:
                assert_type(delta.failover.backend, str)
        assert_type(stream.response, andon.ChatResponse)


async def awaited() -> None:
    async with andon.AsyncClient(routes={"r": {"models": ["a:b"]}}) as client:
        assert_type(await client.chat("r", "hi"), andon.ChatResponse)
        async for delta in client.stream("r", "hi"):
            assert_type(delta, andon.ChatDelta)
        assert_type(await client.list_models("a"), Sequence[andon.ModelCard])


def rooms() -> None:
    breaker = andon.CostCircuitBreaker(andon.CircuitBreakerConfig(daily_budget_usd=10.0))
    breaker.check(0.5)
    breaker.record(0.5)
    selector = andon.BackendSelector().with_privacy(andon.PrivacyTier.SOVEREIGN)
    assert_type(selector.recommend(), list[andon.ServingBackend])
    engine = andon.ChatTemplateEngine.from_model("llama-2-7b-chat")
    assert_type(engine.apply([andon.ChatMessage.user("hi")]), str)
    manager = andon.FailoverManager.with_defaults()
    manager.start_tracking("a", "hi")
    manager.append_tokens("a", "x")
    assert_type(manager.should_failover("a"), bool)
    andon.Price(input=Decimal("0.1"), output=Decimal("0.2"))


def errors() -> None:
    try:
        andon.Client().chat("a:b", "hi")
    except andon.StreamInterrupted as error:
        assert_type(error.partial, str)
        assert_type(error.attempts, tuple[andon.Attempt, ...])
    except andon.RateLimitError as error:
        assert_type(error.retry_after, float | None)


class Observer:
    """A plugin."""

    @andon.hookimpl
    def andon_register_observers(self) -> Sequence[andon.ObserverSpec]:
        return [andon.ObserverSpec(name="o", observe=print)]


def own_plugins() -> None:
    andon.Client(discover=False, plugins=[Observer(), plugin_with(one=ScriptedBackend(["x"]))])
