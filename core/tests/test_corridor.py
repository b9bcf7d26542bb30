"""The corridor: its gates, what happens when a backend fails, and who is told."""

import warnings
from collections.abc import Callable
from decimal import Decimal
from types import ModuleType
from typing import Any

import pytest

from andon import (
    AuthenticationError,
    BackendSpec,
    BadRequestError,
    Client,
    ContextOverflowError,
    DailyBudgetExceeded,
    Locality,
    ModelCard,
    ObserverSpec,
    PluginWarning,
    Price,
    PrivacyViolation,
    RequestTimeout,
    RequestTooExpensive,
    RoutingError,
    SeamMismatch,
    ServerError,
    StreamInterrupted,
    UnknownPriceError,
    hookimpl,
)
from andon.testing import ScriptedBackend, plugin_with

DOLLAR = Price(input=Decimal(1_000_000), output=Decimal(1_000_000))  # one dollar a token


# -- The gates along the way ---------------------------------------------------------------------


def test_the_privacy_tier_refuses_a_public_backend(both: Any) -> None:
    backend = ScriptedBackend()
    plugin = plugin_with(locality=Locality.PUBLIC, cloud=backend)
    with pytest.raises(PrivacyViolation, match=r"sovereign.*'cloud'.*public"):
        both(plugin, privacy="sovereign").chat("cloud:m")
    assert not backend.requests


def test_the_privacy_tier_goes_by_where_the_settings_send_the_data(both: Any) -> None:
    spec = BackendSpec(
        name="one",
        create=lambda context: ScriptedBackend(),
        locality=Locality.LOCAL,
        locate=lambda context: Locality(context.options["where"]),
    )
    module = ModuleType("located")
    vars(module)["andon_register_backends"] = hookimpl(lambda: [spec])
    near = both(module, privacy="sovereign", endpoints={"one": {"where": "in-process"}})
    assert near.chat("one:m").text == "Hello world"
    far = both(module, privacy="sovereign", endpoints={"one": {"where": "public"}})
    with pytest.raises(PrivacyViolation, match="public"):
        far.chat("one:m")


def test_no_fallback_leaves_the_privacy_tier(both: Any) -> None:
    near, far = ScriptedBackend([ServerError("down")]), ScriptedBackend()
    plugins = plugin_with(near=near), plugin_with(locality=Locality.PUBLIC, far=far)
    with pytest.raises(RoutingError, match="down"):
        both(*plugins, privacy="sovereign").chat(["near:m", "far:m"])
    assert not far.requests


def test_a_prompt_that_does_not_fit_is_refused_before_it_is_sent(both: Any) -> None:
    backend = ScriptedBackend(card=ModelCard(name="m", context_window=3))
    with pytest.raises(ContextOverflowError, match="4 tokens") as caught:
        both(plugin_with(one=backend)).chat("one:m", "a b c d")
    assert (caught.value.input_tokens, caught.value.window) == (4, 3)
    assert not backend.requests


def test_a_prompt_that_does_not_fit_goes_to_a_larger_window(both: Any) -> None:
    small = ScriptedBackend(card=ModelCard(name="m", context_window=3))
    reply = both(plugin_with(small=small, large=ScriptedBackend())).chat(
        ["small:m", "large:m"], "a b c d"
    )
    assert reply.backend == "large"


def test_what_cannot_be_paid_is_not_sent(both: Any) -> None:
    backend = ScriptedBackend()
    plugin = plugin_with(locality=Locality.PUBLIC, paid=backend)
    asked = both(plugin, prices={"paid:m": DOLLAR}, daily_budget_usd=5)
    with pytest.raises(DailyBudgetExceeded):
        asked.chat("paid:m", "a b", max_tokens=4)
    asked = both(plugin, prices={"paid:m": DOLLAR}, max_request_cost_usd=5)
    with pytest.raises(RequestTooExpensive):
        asked.chat("paid:m", "a b", max_tokens=4)
    assert not backend.requests


def test_an_unknown_price_is_refused(both: Any) -> None:
    backend = ScriptedBackend()
    with pytest.raises(UnknownPriceError):
        both(plugin_with(locality=Locality.PUBLIC, paid=backend)).chat("paid:m")
    assert not backend.requests


def test_a_paid_answer_is_billed_exactly_and_capped_where_the_caller_set_no_cap() -> None:
    backend = ScriptedBackend(["x"])
    price = Price(input=Decimal("0.1"), output=Decimal("0.3"))
    client = Client(
        discover=False,
        plugins=[plugin_with(locality=Locality.PUBLIC, paid=backend)],
        prices={"paid:m": price},
    )
    reply = client.chat("paid:m", "a b c")
    assert reply.cost_usd == client.spent_today_usd == Decimal("0.0000006")
    assert backend.requests[0].sampling.max_tokens == 4096


def test_a_prompt_that_cannot_be_measured_is_bounded_by_its_bytes(both: Any) -> None:
    backend = ScriptedBackend(["x"], measured=False)
    plugin = plugin_with(locality=Locality.PUBLIC, paid=backend)
    asked = both(plugin, prices={"paid:m": DOLLAR}, daily_budget_usd=100)
    with pytest.raises(DailyBudgetExceeded):
        asked.chat("paid:m", "x" * 90, max_tokens=1)
    assert both(plugin, prices={"paid:m": DOLLAR}).chat("paid:m", "x", max_tokens=1).text == "x"


# -- When a backend fails ------------------------------------------------------------------------


def test_before_the_first_token_the_next_model_answers(both: Any) -> None:
    broken = ScriptedBackend([ServerError("down")])
    asked = both(plugin_with(broken=broken, sound=ScriptedBackend(["ok"])))
    assert [piece.text for piece in asked.stream(["broken:m", "sound:m"])] == ["ok", ""]
    reply = asked.chat(["broken:m", "sound:m"])
    assert [(a.backend, str(a.error)) for a in reply.attempts] == [
        ("broken", "down"),
        ("sound", "None"),
    ]


def test_an_answer_that_nobody_saw_is_started_again_elsewhere(both: Any) -> None:
    broken = ScriptedBackend(["half", ServerError("cut")])
    asked = both(plugin_with(broken=broken, sound=ScriptedBackend(["whole"])))
    assert asked.chat(["broken:m", "sound:m"]).text == "whole"


def test_an_answer_that_somebody_saw_is_interrupted_with_what_had_arrived(both: Any) -> None:
    broken = ScriptedBackend(["half", ServerError("cut")])
    asked = both(plugin_with(broken=broken, sound=ScriptedBackend(["whole"])))
    with pytest.raises(StreamInterrupted, match="after 4 characters: cut") as caught:
        asked.stream(["broken:m", "sound:m"])
    assert caught.value.partial == "half"
    assert isinstance(caught.value.__cause__, ServerError)
    # "whole" does not begin with "half", and the first one breaks off again in the same place.
    attempts = [(attempt.backend, type(attempt.error)) for attempt in caught.value.attempts]
    assert attempts == [("broken", ServerError), ("sound", SeamMismatch), ("broken", ServerError)]


def test_an_answer_without_its_end_is_no_answer(both: Any) -> None:
    with pytest.raises(StreamInterrupted) as caught:
        both(plugin_with(one=ScriptedBackend(["half"], finishes=False))).stream("one:m")
    assert caught.value.partial == "half"


def test_a_bad_request_goes_nowhere_else(both: Any) -> None:
    sound = ScriptedBackend()
    asked = both(plugin_with(bad=ScriptedBackend([BadRequestError("no")]), sound=sound))
    with pytest.raises(BadRequestError, match="no"):
        asked.chat(["bad:m", "sound:m"])
    assert not sound.requests


def test_one_failed_model_gives_its_own_error_and_several_all_of_them(both: Any) -> None:
    first, second = (
        ScriptedBackend([AuthenticationError("key")]),
        ScriptedBackend([ServerError("x")]),
    )
    asked = both(plugin_with(first=first, second=second))
    with pytest.raises(AuthenticationError) as one:
        asked.chat("first:m")
    assert (one.value.backend, one.value.model) == ("first", "m")
    with pytest.raises(RoutingError, match=r"first:m: key; second:m: x") as all_of_them:
        asked.chat(["first:m", "second:m"])
    assert len(all_of_them.value.attempts) == 2


def test_an_error_keeps_its_own_cause(both: Any) -> None:
    cause = OSError("the disk is gone")
    error = BadRequestError("no")
    error.__cause__ = cause
    with pytest.raises(BadRequestError) as caught:
        both(plugin_with(one=ScriptedBackend([error]))).chat("one:m")
    assert caught.value.__cause__ is cause


def test_a_failed_attempt_gives_its_reservation_back() -> None:
    plugin = plugin_with(locality=Locality.PUBLIC, paid=ScriptedBackend([ServerError("down")]))
    client = Client(discover=False, plugins=[plugin], prices={"paid:m": DOLLAR}, daily_budget_usd=9)
    for _ in range(3):
        with pytest.raises(ServerError):
            client.chat("paid:m", "hi", max_tokens=5)
    assert client.spent_today_usd == 0


def test_one_deadline_holds_for_all_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("andon.workplace.time.monotonic", lambda: now[0])

    class Slow(ScriptedBackend):
        def stream(self, request: Any, timeout: Any) -> Any:
            now[0] += 4
            yield from ScriptedBackend.stream(self, request, timeout)

    slow = Slow([ServerError("slow")])
    second, third = ScriptedBackend([ServerError("down")]), Slow([RequestTimeout("late")])
    last = ScriptedBackend()
    client = Client(
        discover=False, plugins=[plugin_with(slow=slow, second=second, third=third, last=last)]
    )
    with pytest.raises(RequestTimeout, match="late"):
        client.chat(["slow:m", "second:m", "third:m", "last:m"], "hi", timeout=7)
    assert (slow.timeouts, second.timeouts, third.timeouts) == ([7], [3], [3])
    assert not last.requests


# -- Observers -----------------------------------------------------------------------------------


def _observer(observe: Callable[[Any], None]) -> ModuleType:
    module = ModuleType("watcher")
    specs = [ObserverSpec(name="watcher", observe=observe)]
    vars(module)["andon_register_observers"] = hookimpl(lambda: specs)
    return module


def test_observers_are_told_what_happens() -> None:
    events: list[Any] = []
    broken = ScriptedBackend([ServerError("down")])
    client = Client(
        discover=False,
        plugins=[plugin_with(broken=broken, sound=ScriptedBackend()), _observer(events.append)],
    )
    client.chat(["broken:m", "sound:m"], "hi there")
    stream = client.stream("sound:m", "hi")
    next(stream)
    stream.close()
    told = [(type(event).__name__, event.request_id, event) for event in events]
    assert [(kind, getattr(event, "backend", None), number) for kind, number, event in told] == [
        ("RequestReceived", None, 1),
        ("RequestAdmitted", None, 1),
        ("AttemptStarted", "broken", 1),
        ("AttemptEnded", "broken", 1),
        ("AttemptFailed", "broken", 1),
        ("AttemptStarted", "sound", 1),
        ("AnswerStarted", "sound", 1),
        ("AttemptEnded", "sound", 1),
        ("AnswerFinished", "sound", 1),
        ("RequestReceived", None, 2),
        ("RequestAdmitted", None, 2),
        ("AttemptStarted", "sound", 2),
        ("AnswerStarted", "sound", 2),
        ("AttemptEnded", "sound", 2),
        ("AnswerAbandoned", "sound", 2),
    ]


def test_an_observer_that_raises_is_reported_once_and_harms_nobody() -> None:
    def observe(event: Any) -> None:
        raise ValueError("blind")

    client = Client(
        discover=False, plugins=[plugin_with(one=ScriptedBackend()), _observer(observe)]
    )
    with pytest.warns(PluginWarning, match="blind"):
        assert client.chat("one:m", "hi").text == "Hello world"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        client.chat("one:m", "hi")
