"""Connections that break, at servers that keep the stream: nothing is lost, nothing twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from andon.chat import ChatDelta, ChatRequest, Patience, Reconnected
from andon.errors import (
    BackendError,
    NotFoundError,
    RequestTimeout,
    StreamInterrupted,
    TransportError,
)
from andon.messages import ChatMessage
from andon.testing.keeping import KeptBytes
from andon.testing.provider import SampleAnswer
from andon.testing.providers.openai_responses import OpenAIResponsesProvider
from andon.testing.server import (
    LAST_CHUNK,
    Peer,
    ReceivedRequest,
    Script,
    ScriptedServer,
    chunk,
    cut,
    hold,
    reset,
    respond,
    stream_head,
)
from andon.wire.resumable import OVERLAP

HELLO = ChatRequest(model="m", messages=(ChatMessage.user("Hello"),), stream=True)

#: What the fixtures ``kept`` and ``asking`` give.
Kept = Any
Asking = Callable[..., Any]


def pieces(deltas: Sequence[ChatDelta]) -> list[ChatDelta]:
    return [delta for delta in deltas if not isinstance(delta, Reconnected)]


def told(deltas: Sequence[ChatDelta]) -> list[Reconnected]:
    return [delta for delta in deltas if isinstance(delta, Reconnected)]


def sent(server: ScriptedServer) -> list[str]:
    return [f"{one.method} {one.target.partition('?')[0]}" for one in server.requests]


def uncut(kept: Kept, asking: Asking) -> list[ChatDelta]:
    with ScriptedServer(kept.keeper()) as server:
        deltas: list[ChatDelta] = asking(kept, server).ask()
    assert "".join(delta.text for delta in deltas).startswith("The capital")
    assert not told(deltas)
    return deltas


# -- Exactly -----------------------------------------------------------------------------------------


def test_a_connection_may_break_at_any_byte(kept: Kept, asking: Asking) -> None:
    wanted = uncut(kept, asking)
    keeping = kept.keeper()
    with ScriptedServer(keeping) as server:
        one = asking(kept, server)
        places = range(kept.first, kept.end)
        for place in places:
            keeping.breaks = [place]
            assert pieces(one.ask()) == wanted, place
    assert (keeping.asked, keeping.rejoined, keeping.stopped) == (len(places), len(places), 0)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_many_connections_may_break(kept: Kept, asking: Asking, data: st.DataObject) -> None:
    wanted = uncut(kept, asking)
    # Each gets further, by an event at least where these are counted, or it would be given up.
    sizes = st.lists(st.integers(kept.least, 1500), max_size=8)
    how = data.draw(st.sampled_from([cut, reset]))
    keeping = kept.keeper(data.draw(sizes), how)
    with ScriptedServer(keeping) as server:
        assert pieces(asking(kept, server).ask()) == wanted
    assert keeping.asked == 1


def test_what_is_told_of_it(kept: Kept, asking: Asking) -> None:
    with ScriptedServer(kept.keeper([kept.amid])) as server:
        deltas = asking(kept, server).ask()
    [found] = told(deltas)
    at = deltas.index(found)
    # It stands before what came over the new connection, and is no piece itself.
    assert "".join(delta.text for delta in deltas[:at]) == "The"
    assert "broke off" in found.reason
    assert (found.tries, found.text, found.finish_reason) == (1, "", None)
    assert 0 <= found.seconds < 30


def test_a_stream_that_ends_in_order_but_too_early(kept: Kept, asking: Asking) -> None:
    wanted = uncut(kept, asking)
    keeping = kept.keeper()

    def answer(request: ReceivedRequest) -> Script:
        whole = keeping(request)
        if keeping.rejoined:
            return whole
        part = chunk(kept.body[: kept.amid])
        return [stream_head({"content-type": "text/event-stream"}), part, LAST_CHUNK]

    with ScriptedServer(answer) as server:
        assert pieces(asking(kept, server).ask()) == wanted
    assert keeping.rejoined == 1


def test_a_connection_that_falls_silent(kept: Kept, asking: Asking) -> None:
    wanted = uncut(kept, asking)
    keeping = kept.keeper([kept.amid], hold)
    with ScriptedServer(keeping) as server:
        deltas = asking(kept, server, stall_timeout=0.2).ask()
        assert server.sees_client_leave()
    assert pieces(deltas) == wanted
    assert "nothing came for 0.2 s" in told(deltas)[0].reason


def test_a_server_that_comes_back_is_waited_for(kept: Kept, asking: Asking) -> None:
    wanted = uncut(kept, asking)
    keeping = kept.keeper([kept.amid])
    refusals = [[respond(503, b"{}")], [reset]]

    def answer(request: ReceivedRequest) -> Script:
        again = request.method == "GET" and refusals
        return refusals.pop() if again else keeping(request)

    with ScriptedServer(answer) as server:
        deltas = asking(kept, server).ask()
    assert pieces(deltas) == wanted
    assert told(deltas)[0].tries == 3


# -- Given up ----------------------------------------------------------------------------------------


def broken(one: Any, **options: Any) -> BackendError:
    with pytest.raises(BackendError) as caught:
        one.ask(**options)
    return caught.value


@pytest.mark.parametrize("status", [400, 404])
def test_a_stream_that_nobody_knows_any_more(kept: Kept, status: int, asking: Asking) -> None:
    keeping = kept.keeper([kept.amid])

    def answer(request: ReceivedRequest) -> Script:
        return [respond(status, b"{}")] if request.method == "GET" else keeping(request)

    with ScriptedServer(answer) as server:
        error = broken(asking(kept, server))
        assert [line.split()[0] for line in sent(server)][:2] == ["POST", "GET"]
    assert isinstance(error, StreamInterrupted)
    assert error.partial.startswith("The")
    assert isinstance(error.__cause__, TransportError)
    assert "does not go on with it" in str(error)
    assert error.backend == "some"
    # It may still be generating, and nobody reads it.
    assert keeping.stopped == 1


def test_what_the_server_has_dropped(kept_bytes: Kept, asking: Asking) -> None:
    keeping = KeptBytes(kept_bytes.body, [900], oldest=1500)
    with ScriptedServer(keeping) as server:
        error = broken(asking(kept_bytes, server))
    assert isinstance(error, StreamInterrupted)
    assert "Stream offset lost" in str(error)
    assert keeping.rejoined == 1


def test_a_server_that_stays_away(kept: Kept, asking: Asking) -> None:
    keeping = kept.keeper([kept.amid])

    def answer(request: ReceivedRequest) -> Script:
        return [reset] if request.method == "GET" else keeping(request)

    with ScriptedServer(answer) as server:
        error = broken(asking(kept, server))
        tries = [line for line in sent(server) if line.startswith("GET")]
    assert isinstance(error, StreamInterrupted)
    assert error.partial.startswith("The")
    # At once, and then as often as max_retries says.
    assert len(tries) == 3


def test_a_caller_who_wants_no_retries_gets_one_connection(kept: Kept, asking: Asking) -> None:
    keeping = kept.keeper([kept.amid])
    request = replace(HELLO, patience=Patience(retries=0))

    def answer(request: ReceivedRequest) -> Script:
        return [reset] if request.method == "GET" else keeping(request)

    with ScriptedServer(answer) as server:
        assert isinstance(broken(asking(kept, server), request=request), StreamInterrupted)
        assert len([line for line in sent(server) if line.startswith("GET")]) == 1


def test_a_server_that_is_gone(kept: Kept, asking: Asking) -> None:
    with ScriptedServer(kept.keeper([kept.amid], how=leave_for_good)) as server:
        error = broken(asking(kept, server, connect_timeout=1))
    assert isinstance(error, StreamInterrupted)
    assert error.partial.startswith("The")


def leave_for_good(peer: Peer) -> None:
    peer.server.socket.close()
    cut(peer)


def test_a_stream_that_never_gets_further_is_given_up(kept: Kept, asking: Asking) -> None:
    keeping = kept.keeper([kept.amid, *[0] * 50])
    with ScriptedServer(keeping) as server:
        assert isinstance(broken(asking(kept, server)), StreamInterrupted)
    assert keeping.rejoined == 3


def test_it_does_not_outlast_the_callers_patience(kept: Kept, asking: Asking) -> None:
    keeping = kept.keeper([kept.amid, 0], hold)
    request = replace(HELLO, patience=Patience(stall=0.2))
    with ScriptedServer(keeping) as server:
        error = broken(asking(kept, server), request=request)
    assert isinstance(error, RequestTimeout)
    # Once more and no longer: a backend that is silent stays silent.
    assert keeping.rejoined == 1


def test_another_connection_has_no_time_of_its_own_for_the_first_token(
    kept_events: Kept, asking: Asking
) -> None:
    for first_token, rejoined in ((0.2, 0), (60.0, 1)):
        # It tells its id, and then thinks.
        keeping = kept_events.keeper([kept_events.first], hold)
        request = replace(HELLO, patience=Patience(first_token=first_token, stall=0.3))
        with ScriptedServer(keeping) as server:
            one = asking(kept_events, server)
            if rejoined:
                assert pieces(one.ask(request=request))
            else:
                assert isinstance(broken(one, request=request), RequestTimeout)
        assert keeping.rejoined == rejoined


def test_it_does_not_outlast_the_deadline(kept: Kept, asking: Asking) -> None:
    keeping = kept.keeper([kept.amid], hold)
    with ScriptedServer(keeping) as server:
        error = broken(asking(kept, server), timeout=0.3)
    assert isinstance(error, RequestTimeout)
    assert (keeping.rejoined, keeping.stopped) == (0, 1)


def test_a_whole_answer_is_not_added_to_a_part(kept: Kept, asking: Asking) -> None:
    keeping = kept.keeper([kept.amid])
    whole = OpenAIResponsesProvider().whole(SampleAnswer())

    def answer(request: ReceivedRequest) -> Script:
        return [respond(200, whole.body)] if request.method == "GET" else keeping(request)

    with ScriptedServer(answer) as server:
        assert isinstance(broken(asking(kept, server)), StreamInterrupted)


def test_an_error_of_the_server_itself_is_told(kept: Kept, asking: Asking) -> None:
    """What the stream says over the new connection is the server's word, and not the break."""
    keeping = kept.keeper([kept.amid])
    error = b'data: {"type":"error","error":{"message":"out of memory","code":"server_error"}}\n\n'

    def answer(request: ReceivedRequest) -> Script:
        if request.method != "GET":
            return keeping(request)
        data = error
        if kept.counts_bytes:
            start, end = kept.amid - OVERLAP, kept.body.index(b"\n\n", kept.amid) + 2
            data = kept.body[start:end] + error
        return [stream_head({"content-type": "text/event-stream"}), chunk(data), LAST_CHUNK]

    with ScriptedServer(answer) as server:
        found = broken(asking(kept, server))
    assert "out of memory" in str(found)
    assert not isinstance(found, StreamInterrupted)


def test_a_refusal_has_nothing_to_stop(kept: Kept, asking: Asking) -> None:
    with ScriptedServer(lambda request: [respond(404, b'{"error":{"message":"no"}}')]) as server:
        assert isinstance(broken(asking(kept, server)), NotFoundError)
        assert len(sent(server)) == 1


def test_before_the_head_it_is_asked_again_where_that_replaces_the_first(
    kept_bytes: Kept, asking: Asking
) -> None:
    wanted = uncut(kept_bytes, asking)
    with ScriptedServer(kept_bytes.keeper()) as server:
        server.says([reset])
        assert asking(kept_bytes, server).ask() == wanted
        ids = [request.headers["x-conversation-id"] for request in server.requests]
    # The server ends the first stream of an id when it begins the second.
    assert len(ids) == 2
    assert ids[0] == ids[1]


def test_before_the_head_it_is_not_asked_again_where_both_would_cost(
    kept_events: Kept, asking: Asking
) -> None:
    keeping = kept_events.keeper()
    with ScriptedServer(keeping) as server:
        server.says([reset])
        assert isinstance(broken(asking(kept_events, server)), TransportError)
    assert keeping.asked == 0
