"""What a caller sees of an answer that breaks off, through both clients."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from andon import (
    Attempt,
    ChatDelta,
    Client,
    ContentFilterError,
    FailoverPolicy,
    FinishReason,
    Locality,
    ModelCard,
    Price,
    SeamMismatch,
    ServerError,
    StreamInterrupted,
    ToolCallDelta,
    TransportError,
    Usage,
)
from andon.errors import BadRequestError, BudgetExceeded
from andon.events import AnswerContinued
from andon.testing.scripted import ScriptedBackend, plugin_with

WORDS = ["The", " capital", " of", " Fr", "ance", " is", " Paris", "."]
TEXT = "".join(WORDS)
CUT = TransportError("the cable was pulled")


def broken(at: int, words: list[str] = WORDS, **options: Any) -> ScriptedBackend:
    """Return a backend that breaks off after so many pieces."""
    return ScriptedBackend([*words[:at], CUT], continues=True, **options)


def sound(words: list[str] = WORDS, *, continues: bool = True, **options: Any) -> ScriptedBackend:
    """Return a backend that answers to the end."""
    return ScriptedBackend(words, continues=continues, **options)


def text_of(deltas: list[ChatDelta]) -> str:
    """Return the text that a caller would print."""
    return "".join(delta.text for delta in deltas)


@pytest.mark.parametrize("continues", [True, False])
@pytest.mark.parametrize("at", range(1, len(WORDS) + 1))
def test_the_answer_goes_on_wherever_it_breaks(both: Any, at: int, continues: bool) -> None:
    asked = both(plugin_with(one=broken(at), two=sound(continues=continues)))
    deltas = asked.stream(["one:m", "two:m"])
    assert text_of(deltas) == TEXT
    [failover] = [delta.failover for delta in deltas if delta.failover is not None]
    assert (failover.from_backend, failover.backend) == ("one", "two")
    # The first word has nothing before it to go on from.
    assert failover.mode == ("continue" if continues and at > 1 else "replay")
    assert failover.delivered == len("".join(WORDS[:at]))
    assert "cable" in failover.reason
    assert deltas[-1].finish_reason is FinishReason.STOP


@settings(max_examples=60)
@given(
    st.lists(st.text("abc .\né漢🚀", min_size=1, max_size=4), min_size=1, max_size=12),
    st.lists(st.text("abc .\né漢🚀", min_size=1, max_size=4), min_size=1, max_size=12),
    st.data(),
)
def test_another_way_of_cutting_the_same_text_changes_nothing(
    words: list[str], more: list[str], data: st.DataObject
) -> None:
    text = "".join(words + more)
    step = data.draw(st.integers(1, 5))
    others = [text[at : at + step] for at in range(0, len(text), step)]
    plugin = plugin_with(one=broken(len(words), words + more), two=sound(others))
    with Client(discover=False, plugins=[plugin]) as client:
        stream = client.stream(["one:m", "two:m"], "hi")
        assert "".join(delta.text for delta in stream) == text
        assert stream.response.text == text


def test_the_whole_answer_says_who_gave_it(both: Any) -> None:
    with Client(discover=False, plugins=[plugin_with(one=broken(5), two=sound())]) as client:
        stream = client.stream(["one:m", "two:m"], "four words are asked")
        list(stream)
    response = stream.response
    assert (response.text, response.backend) == (TEXT, "two")
    # "The capital of" stands in the second prompt; it counts for the answer all the same.
    assert response.usage.output_tokens == len(WORDS)
    assert response.usage.input_tokens == 4
    first, second = response.attempts
    assert (first.backend, first.error) == ("one", CUT)
    assert second == Attempt("two", "m", None, Usage(7, 5))


def test_two_failures_in_a_row(both: Any) -> None:
    asked = both(plugin_with(one=broken(3), two=broken(6), three=sound(continues=False)))
    deltas = asked.stream(["one:m", "two:m", "three:m"])
    assert text_of(deltas) == TEXT
    assert [delta.failover.backend for delta in deltas if delta.failover] == ["two", "three"]


def test_a_failure_while_going_on(both: Any) -> None:
    down = ScriptedBackend([ServerError("down", status=503)], continues=True)
    asked = both(plugin_with(one=broken(3), two=down, three=sound()))
    assert text_of(asked.stream(["one:m", "two:m", "three:m"])) == TEXT


def test_the_only_backend_goes_on_itself(both: Any) -> None:
    class Flapping(ScriptedBackend):
        def stream(self, request: Any, timeout: Any) -> Any:
            self.script = [*WORDS[:5], CUT] if not self.requests else WORDS
            return super().stream(request, timeout)

    for colour in range(2):
        one = Flapping(continues=True)
        with Client(discover=False, plugins=[plugin_with(one=one)]) as client:
            assert text_of(list(client.stream("one:m", "hi"))) == TEXT, colour
        assert [r.continue_final_message for r in one.requests] == [False, True]


def test_a_target_that_cannot_continue_is_never_asked_to(both: Any) -> None:
    two = sound(continues=False)
    asked = both(plugin_with(one=broken(5), two=two))
    assert text_of(asked.stream(["one:m", "two:m"])) == TEXT
    assert not any(request.continue_final_message for request in two.requests)


def test_a_refusal_to_continue_never_hides_why_the_answer_broke_off(both: Any) -> None:
    refusing = ScriptedBackend([BadRequestError("no prefill", status=400)], continues=True)
    with pytest.raises(StreamInterrupted, match="the cable was pulled") as caught:
        both(plugin_with(one=broken(5), two=refusing)).stream(["one:m", "two:m"])
    assert caught.value.partial == "".join(WORDS[:5])
    assert caught.value.__cause__ is CUT
    assert (caught.value.backend, caught.value.model) == ("one", "m")
    assert {attempt.backend for attempt in caught.value.attempts} == {"one", "two"}


def test_an_answer_of_another_opinion_is_not_glued_on(both: Any) -> None:
    two = sound(["Lyon", " is", " nice"], continues=False)
    with pytest.raises(StreamInterrupted) as caught:
        both(plugin_with(one=broken(5), two=two)).stream(["one:m", "two:m"])
    assert caught.value.partial == "".join(WORDS[:5])
    assert SeamMismatch in {type(attempt.error) for attempt in caught.value.attempts}


def test_a_content_filter_ends_it(both: Any) -> None:
    filtered = ScriptedBackend([ContentFilterError("no", status=400)], continues=True)
    three = sound()
    with pytest.raises(StreamInterrupted):
        both(plugin_with(one=broken(5), two=filtered, three=three)).stream(
            ["one:m", "two:m", "three:m"]
        )
    assert three.requests == []


def test_failover_can_be_left_off(both: Any) -> None:
    two = sound()
    with pytest.raises(StreamInterrupted):
        both(plugin_with(one=broken(5), two=two)).stream(["one:m", "two:m"], failover="stop")
    assert two.requests == []


def test_held_back_pieces_are_those_of_the_answer_that_was_complete(both: Any) -> None:
    other = ["Lyon", " is", " nice"]
    asked = both(plugin_with(one=broken(5), two=sound(other, continues=False)))
    deltas = asked.stream(["one:m", "two:m"], failover="hold")
    assert [delta.text for delta in deltas] == [*other, ""]
    assert not any(delta.failover for delta in deltas)


def test_a_caller_can_ask_not_to_see_it(both: Any) -> None:
    policy = FailoverPolicy(announce=False)
    asked = both(plugin_with(one=broken(5), two=sound()), failover=policy)
    deltas = asked.stream(["one:m", "two:m"])
    assert text_of(deltas) == TEXT
    assert not any(delta.failover for delta in deltas)


def test_an_answer_that_lacks_only_its_end_is_complete(both: Any) -> None:
    two = sound()
    asked = both(plugin_with(one=broken(5), two=two))
    deltas = asked.stream(["one:m", "two:m"], max_tokens=5)
    assert text_of(deltas) == "".join(WORDS[:5])
    assert deltas[-1].finish_reason is FinishReason.LENGTH
    assert two.requests == []


def test_max_tokens_counts_over_the_seam(both: Any) -> None:
    two = sound()
    both(plugin_with(one=broken(5), two=two)).stream(["one:m", "two:m"], max_tokens=20)
    # "The capital of" was three of them.
    assert {request.sampling.max_tokens for request in two.requests} == {17}


def test_a_stop_text_over_the_seam(both: Any) -> None:
    words = ["one", " E", "N", "D", " two"]
    asked = both(plugin_with(one=broken(2, words), two=sound(words)))
    # The script does not look for stop texts, so what stops it is the seam.
    deltas = asked.stream(["one:m", "two:m"], stop="END", temperature=1)
    assert text_of(deltas) == "one E"
    assert deltas[-1].finish_reason is FinishReason.STOP


# -- Structure ------------------------------------------------------------------------------------


JSON = ['{"city"', ': "Par', 'is"}']
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}


def test_json_is_replayed_and_never_glued(both: Any) -> None:
    two = sound(JSON)
    asked = both(plugin_with(one=broken(2, JSON), two=two))
    deltas = asked.stream(["one:m", "two:m"], response_format=SCHEMA)
    assert text_of(deltas) == "".join(JSON)
    assert not any(request.continue_final_message for request in two.requests)
    other = both(plugin_with(one=broken(2, JSON), two=sound(['{"town": 1}'])))
    with pytest.raises(StreamInterrupted) as caught:
        other.stream(["one:m", "two:m"], response_format=SCHEMA)
    assert caught.value.partial == '{"city": "Par'


def call(id: str, *arguments: str) -> list[ChatDelta]:  # noqa: A002
    """Return a tool call in pieces."""
    first, *rest = arguments
    begin = ToolCallDelta(0, id, "add", first)
    return [
        ChatDelta(tool_calls=(begin,)),
        *(ChatDelta(tool_calls=(ToolCallDelta(0, arguments=more),)) for more in rest),
    ]


def test_no_tool_call_is_delivered_twice() -> None:
    one = ScriptedBackend([*call("a", '{"x"', ": 1"), CUT])
    two = ScriptedBackend([*call("b", '{"x": 1', ', "y": 2}')])
    with Client(discover=False, plugins=[plugin_with(one=one, two=two)]) as client:
        tool = {"type": "function", "function": {"name": "add"}}
        stream = client.stream(["one:m", "two:m"], "hi", tools=[tool])
        pieces = [piece for delta in stream for piece in delta.tool_calls]
    assert [piece.id for piece in pieces if piece.id] == ["a"]
    [made] = stream.response.tool_calls
    assert (made.id, made.arguments) == ("a", '{"x": 1, "y": 2}')


def test_thoughts_are_replayed(both: Any) -> None:
    thought = [ChatDelta(reasoning="hm, "), ChatDelta(reasoning="well."), "Paris"]
    one = ScriptedBackend([*thought[:1], CUT])
    asked = both(plugin_with(one=one, two=ScriptedBackend(thought)))
    deltas = asked.stream(["one:m", "two:m"])
    assert "".join(delta.reasoning for delta in deltas) == "hm, well."
    assert text_of(deltas) == "Paris"


# -- Money, privacy, health -----------------------------------------------------------------------


PAID = {
    "one:m": Price(input=Decimal(1_000_000), output=Decimal(1_000_000)),
    "two:m": Price(input=Decimal(2_000_000), output=Decimal(2_000_000)),
}


def paid(two: ScriptedBackend, **arguments: Any) -> Client:
    """Return a client of two paid backends, whose tokens cost 1 and 2 dollars each."""
    one = broken(5)
    plugin = plugin_with(locality=Locality.PUBLIC, one=one, two=two)
    return Client(discover=False, plugins=[plugin], prices=PAID, **arguments)


def test_every_attempt_is_paid_and_reported() -> None:
    with paid(sound()) as client:
        stream = client.stream(["one:m", "two:m"], "a b", max_tokens=20)
        list(stream)
        first, second = stream.response.attempts
        assert first.usage.estimated
        assert first.cost_usd > 0
        assert second.cost_usd == Decimal(2) * second.usage.total_tokens
        assert stream.response.cost_usd == first.cost_usd + second.cost_usd
        assert client.spent_today_usd == stream.response.cost_usd


def test_no_failover_leaves_the_budget() -> None:
    two = sound()
    with paid(two, daily_budget_usd=Decimal(60)) as client:
        stream = client.stream(["one:m", "two:m"], "a b", max_tokens=20)
        with pytest.raises(StreamInterrupted) as caught:
            list(stream)
    assert any(isinstance(attempt.error, BudgetExceeded) for attempt in caught.value.attempts)
    assert caught.value.partial == "".join(WORDS[:5])
    assert two.requests == []


def test_no_failover_leaves_the_privacy_tier(both: Any) -> None:
    far = sound()
    near = plugin_with(locality=Locality.IN_PROCESS, one=broken(5))
    asked = both(near, plugin_with(locality=Locality.PUBLIC, two=far), privacy="private")
    with pytest.raises(StreamInterrupted):
        asked.stream(["one:m", "two:m"])
    assert far.requests == []


def test_a_backend_that_fails_again_and_again_rests() -> None:
    down = ScriptedBackend([ServerError("down", status=503)])
    with Client(discover=False, plugins=[plugin_with(one=down, two=sound())]) as client:
        for _ in range(10):
            assert client.chat(["one:m", "two:m"], "hi").backend == "two"
        assert len(down.requests) == 3
        # It is all there is, and better asked in its rest than not at all.
        with pytest.raises(ServerError, match="down"):
            client.chat("one:m", "hi")


def test_most_attempts_are_kept_to(both: Any) -> None:
    backends = {f"b{n}": ScriptedBackend([ServerError("down", status=500)]) for n in range(9)}
    policy = FailoverPolicy(max_attempts=4)
    asked = both(plugin_with(**backends), failover=policy)
    with pytest.raises(ServerError):
        asked.chat([f"b{n}:m" for n in range(9)])
    assert [len(backend.requests) for backend in backends.values()] == [2] * 4 + [0] * 5


# -- Routes ---------------------------------------------------------------------------------------


def test_a_route_is_a_name_for_several_models(both: Any) -> None:
    routes = {"assistant": {"models": ["one:m", "two:m"], "mode": "hold"}}
    asked = both(plugin_with(one=broken(5), two=sound()), routes=routes)
    assert asked.chat("assistant").backend == "two"
    deltas = asked.stream("assistant")
    assert not any(delta.failover for delta in deltas)
    assert text_of(deltas) == TEXT


def test_an_unknown_route_is_named_with_those_that_there_are() -> None:
    routes = {"assistant": {"models": ["one:m"]}}
    with (
        Client(discover=False, plugins=[plugin_with(one=sound())], routes=routes) as client,
        pytest.raises(Exception, match="neither a model, as in backend:model, nor a route"),
    ):
        client.chat("assistent", "hi")


def test_observers_are_told() -> None:
    told: list[Any] = []
    from andon import ObserverSpec, hookimpl

    class Watcher:
        @hookimpl
        def andon_register_observers(self) -> list[ObserverSpec]:
            return [ObserverSpec(name="watcher", observe=told.append)]

    plugins = [plugin_with(one=broken(5), two=sound()), Watcher()]
    with Client(discover=False, plugins=plugins) as client:
        list(client.stream(["one:m", "two:m"], "hi"))
    [event] = [event for event in told if isinstance(event, AnswerContinued)]
    assert event.failover.delivered == len("".join(WORDS[:5]))


def test_the_larger_window_is_asked_for_what_did_not_fit(both: Any) -> None:
    small = ScriptedBackend(card=ModelCard(name="m", context_window=2))
    same = ScriptedBackend(card=ModelCard(name="m", context_window=2))
    large = sound()
    asked = both(plugin_with(small=small, same=same, large=large))
    response = asked.chat(["small:m", "same:m", "large:m"], "one two three")
    assert response.backend == "large"


def test_each_way_that_was_tried_is_paid_and_reported() -> None:
    class Changes(ScriptedBackend):
        """Goes on with another word when it is asked for the first time."""

        def stream(self, request: Any, timeout: Any) -> Any:
            self.script = WORDS if self.requests else [*WORDS[:3], " Spain"]
            return super().stream(request, timeout)

    with paid(Changes(continues=True)) as client:
        stream = client.stream(["one:m", "two:m"], "a b", max_tokens=20)
        assert text_of(list(stream)) == TEXT
        kinds = [type(attempt.error) for attempt in stream.response.attempts]
        assert kinds == [TransportError, SeamMismatch, type(None)]
        assert client.spent_today_usd == stream.response.cost_usd


def test_an_answer_without_usage_does_not_pass_what_was_held() -> None:
    silent = ScriptedBackend(
        ["a", " very", " long", " answer", ChatDelta(finish_reason=FinishReason.STOP)],
        finishes=False,
    )
    plugin = plugin_with(locality=Locality.PUBLIC, one=silent)
    with Client(discover=False, plugins=[plugin], prices=PAID, daily_budget_usd=100) as client:
        response = client.chat("one:m", "a b", max_tokens=4)
        assert response.usage.estimated
        # Sixteen bytes cannot have been more than the four tokens that were allowed.
        assert client.spent_today_usd == response.usage.input_tokens + 4


def test_the_name_of_a_tool_costs_as_well() -> None:
    begun = ScriptedBackend([*call("a", ""), CUT])
    plugin = plugin_with(locality=Locality.PUBLIC, one=begun)
    tool = {"type": "function", "function": {"name": "add"}}
    with Client(discover=False, plugins=[plugin], prices=PAID) as client:
        with pytest.raises(StreamInterrupted) as caught:
            list(client.stream("one:m", "hi", tools=[tool], max_tokens=20, failover="stop"))
        [attempt] = caught.value.attempts
        assert attempt.usage.output_tokens == len("add")
