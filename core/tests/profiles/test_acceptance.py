"""What a model does not take is refused before anything is sent, or left out on request."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon import (
    ChatMessage,
    ChatRequest,
    Client,
    ImagePart,
    Locality,
    ModelProfile,
    ObserverSpec,
    ResponseFormat,
    Sampling,
    Tool,
    UnsupportedParameterError,
    hookimpl,
)
from andon.events import Event, ParameterDropped
from andon.profiles import check_accepted, without
from andon.testing import ScriptedBackend, plugin_with

HELLO = ChatRequest(model="m", messages=(ChatMessage.user("Hello"),))
TOOL = Tool("look")
IMAGE = ChatMessage.user([ImagePart("data:image/png;base64,AA==")])
SCHEMA = ResponseFormat("json_schema", {"type": "object"})
PREFIX = ChatMessage.assistant("He")

CASES = [
    (ModelProfile(sampling=False), {"sampling": Sampling(temperature=0)}, "temperature"),
    (ModelProfile(sampling=False), {"sampling": Sampling(top_p=0.5)}, "top_p"),
    (ModelProfile(tools=False), {"tools": (TOOL,)}, "tools"),
    (
        ModelProfile(forced_tool_choice=False),
        {"tools": (TOOL,), "tool_choice": "look"},
        "tool_choice",
    ),
    (ModelProfile(json_schema=False), {"response_format": SCHEMA}, "response_format"),
    (ModelProfile(reasoning_efforts=("low",)), {"reasoning_effort": "high"}, "reasoning_effort"),
    (ModelProfile(reasoning_efforts=()), {"reasoning_effort": "low"}, "reasoning_effort"),
    (ModelProfile(max_output_tokens=10), {"sampling": Sampling(11)}, "max_tokens"),
    (ModelProfile(images=False), {"messages": (IMAGE,)}, None),
    (
        ModelProfile(prefill=False),
        {"messages": (*HELLO.messages, PREFIX), "continue_final_message": True},
        None,
    ),
]


@pytest.mark.parametrize(("profile", "changes", "parameter"), CASES)
def test_what_a_model_does_not_take_is_refused_with_its_name(
    profile: ModelProfile, changes: dict[str, object], parameter: str | None
) -> None:
    request = replace(HELLO, **changes)
    check_accepted(request, ModelProfile())
    with pytest.raises(UnsupportedParameterError, match="'m'") as raised:
        check_accepted(request, replace(profile, source="the maker", as_of="2026-01-02"))
    assert raised.value.parameter == parameter
    assert "the maker, 2026-01-02" in str(raised.value)
    lesser = without(request, parameter)
    if parameter is None:
        assert lesser is None
    else:
        assert lesser is not None
        check_accepted(lesser, profile)


def test_sampling_is_taken_by_a_model_that_is_told_not_to_reason() -> None:
    request = replace(HELLO, sampling=Sampling(temperature=0), reasoning_effort="none")
    check_accepted(request, ModelProfile(sampling=False, sampling_without_reasoning=True))
    with pytest.raises(UnsupportedParameterError):
        check_accepted(request, ModelProfile(sampling=False))


@given(st.sampled_from([None, "temperature", "seed", "tools", "top_logprobs", "nonsense"]))
def test_leaving_out_what_is_not_there_changes_nothing(parameter: str | None) -> None:
    assert without(HELLO, parameter) is None


@pytest.fixture
def backend() -> ScriptedBackend:
    return ScriptedBackend()


class Pack:
    """A plugin that knows a model, and one that listens."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    @hookimpl
    def andon_model_profile(self, backend: str, model: str) -> ModelProfile | None:
        return ModelProfile(sampling=False, tools=False) if model == "strict" else None

    @hookimpl
    def andon_register_observers(self) -> list[ObserverSpec]:
        return [ObserverSpec(name="ear", observe=self.events.append)]


def client(pack: Pack, backend: ScriptedBackend, **arguments: object) -> Client:
    plugins = [plugin_with(locality=Locality.LOCAL, one=backend), pack]
    return Client(discover=False, plugins=plugins, **arguments)  # type: ignore[arg-type]


def test_nothing_is_sent_where_the_model_refuses(backend: ScriptedBackend) -> None:
    pack = Pack()
    with pytest.raises(UnsupportedParameterError, match="temperature"):
        client(pack, backend).chat("one:strict", "Hello", temperature=0)
    assert backend.requests == []


def test_leniency_leaves_out_all_that_is_refused_and_tells(backend: ScriptedBackend) -> None:
    pack = Pack()
    reply = client(pack, backend).chat(
        "one:strict", "Hello", temperature=0, top_p=0.5, tools=[TOOL], drop_unsupported=True
    )
    assert reply.text == "Hello world"
    [sent] = backend.requests
    assert (sent.sampling, sent.tools) == (Sampling(), ())
    dropped = [event.parameter for event in pack.events if isinstance(event, ParameterDropped)]
    assert dropped == ["temperature", "top_p", "tools"]


def test_leniency_as_a_setting_and_the_call_goes_before_it(backend: ScriptedBackend) -> None:
    lenient = client(Pack(), backend, drop_unsupported=True)
    assert lenient.chat("one:strict", "Hello", temperature=0).text == "Hello world"
    with pytest.raises(UnsupportedParameterError):
        lenient.chat("one:strict", "Hello", temperature=0, drop_unsupported=False)


def test_the_next_model_is_asked_where_the_first_refuses(backend: ScriptedBackend) -> None:
    reply = client(Pack(), backend).chat(["one:strict", "one:other"], "Hello", temperature=0)
    assert reply.model == "other"
    assert [type(attempt.error) for attempt in reply.attempts] == [
        UnsupportedParameterError,
        type(None),
    ]


def test_leniency_covers_what_a_protocol_cannot_say() -> None:
    class Fussy(ScriptedBackend):
        def stream(self, request, timeout):  # type: ignore[no-untyped-def]
            if request.sampling.seed is not None:
                raise UnsupportedParameterError("no seeds here", parameter="seed")
            return super().stream(request, timeout)

    plugin = plugin_with(one=Fussy())
    reply = Client(discover=False, plugins=[plugin]).chat(
        "one:m", "Hello", seed=1, drop_unsupported=True
    )
    assert reply.text == "Hello world"
