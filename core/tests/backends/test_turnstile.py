from __future__ import annotations

import gc
import threading

from hypothesis import given
from hypothesis import strategies as st

from andon.backends.turnstile import Ticket, Turnstile


def test_the_first_goes_in_at_once_and_the_others_in_the_order_of_joining():
    turnstile = Turnstile()
    tickets = [turnstile.join() for _ in range(4)]
    order = []
    for ticket in tickets:
        assert ticket.wait(0)
        order.append(turnstile.holder)
        ticket.leave()
    assert order == tickets
    assert turnstile.holder is None


def test_waiting_ends_with_the_timeout():
    turnstile = Turnstile()
    turnstile.join()
    late = turnstile.join()
    assert not late.wait(0)
    assert not turnstile.join().wait(-1)


def test_withdrawing_wakes_the_waiter_and_does_not_end_a_turn():
    turnstile = Turnstile()
    first, second = turnstile.join(), turnstile.join()
    second.withdraw()
    assert not second.wait()
    first.withdraw()
    assert first.wait()
    assert turnstile.holder is first


def test_leaving_twice_does_not_end_the_turn_of_the_next():
    turnstile = Turnstile()
    first, second, third = (turnstile.join() for _ in range(3))
    first.leave()
    first.leave()
    assert turnstile.holder is second
    third.leave()
    second.leave()
    assert turnstile.holder is None


def test_clear_sends_away_who_waits_but_not_who_is_in():
    turnstile = Turnstile()
    first, *others = (turnstile.join() for _ in range(3))
    turnstile.clear()
    assert [ticket.wait() for ticket in others] == [False, False]
    assert turnstile.holder is first


def test_held_by_knows_the_thread_of_the_turn():
    turnstile = Turnstile()
    me = threading.get_ident()
    assert not turnstile.held_by(me)
    turnstile.join().thread = me
    assert turnstile.held_by(me)
    assert not turnstile.held_by(me + 1)


def test_waiting_threads_go_in_the_order_of_joining():
    turnstile = Turnstile()
    gate = turnstile.join()
    order: list[int] = []

    def pass_through(number: int, ticket: Ticket) -> None:
        assert ticket.wait()
        order.append(number)
        ticket.leave()

    tickets = [turnstile.join() for _ in range(20)]
    threads = [
        threading.Thread(target=pass_through, args=(n, t))
        for n, t in reversed(list(enumerate(tickets)))
    ]
    for thread in threads:
        thread.start()
    gate.leave()
    for thread in threads:
        thread.join()
    assert order == list(range(20))


def test_garbage_that_leaves_while_its_own_thread_waits_lets_it_in():
    turnstile = Turnstile()

    class Answer:
        def __init__(self) -> None:
            self.ticket = turnstile.join()
            self.cycle = self

        def __del__(self) -> None:
            self.ticket.leave()

    Answer()
    mine = turnstile.join()
    gc.collect()
    assert mine.wait(0)


@given(st.lists(st.tuples(st.sampled_from(["join", "leave", "withdraw"]), st.integers(0, 20))))
def test_any_order_of_calls_keeps_one_inside_and_the_queue_in_order(steps):
    turnstile = Turnstile()
    tickets: list[Ticket] = []
    expected: list[Ticket] = []
    for action, index in steps:
        if action == "join":
            tickets.append(turnstile.join())
            expected.append(tickets[-1])
        elif tickets:
            ticket = tickets[index % len(tickets)]
            getattr(ticket, action)()
            inside = bool(expected) and expected[0] is ticket
            if ticket in expected and (action == "leave" or not inside):
                expected.remove(ticket)
        assert turnstile.holder is (expected[0] if expected else None)
