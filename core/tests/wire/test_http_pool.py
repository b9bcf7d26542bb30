"""Which idle connection is used, and which has to go."""

from __future__ import annotations

from andon.wire.http_parser import read_url
from andon.wire.http_pool import KEEP_ALIVE, IdlePool

HERE, THERE = read_url("http://here/a"), read_url("https://here/a")


def test_the_last_one_is_used_first() -> None:
    pool: IdlePool[str] = IdlePool(9)
    assert pool.take(HERE, 0) == (None, 0, [])
    for now, name in enumerate("abc"):
        assert pool.put(HERE, name, now) == []
    assert pool.take(read_url("http://here/b"), 5) == ("c", 3, [])
    assert pool.take(THERE, 5)[0] is None
    assert pool.clear() == ["a", "b"]
    assert pool.take(HERE, 5)[0] is None


def test_old_ones_go() -> None:
    pool: IdlePool[str] = IdlePool(9)
    pool.put(HERE, "a", 0)
    pool.put(HERE, "b", 20)
    assert pool.take(HERE, KEEP_ALIVE + 10) == ("b", 20, ["a"])
    pool.put(HERE, "c", 100)
    pool.put(THERE, "d", 101)
    assert pool.take(HERE, 999) == (None, 0, ["c", "d"])
    assert pool.clear() == []


def test_what_grew_old_since_the_last_sweep_is_not_used() -> None:
    pool: IdlePool[str] = IdlePool(9)
    pool.take(HERE, 1000)
    pool.put(HERE, "a", 999)
    pool.put(HERE, "b", 999.5)
    assert pool.take(HERE, 999.6 + KEEP_ALIVE) == (None, 0, ["b"])
    assert pool.take(HERE, 999.6 + KEEP_ALIVE) == (None, 0, ["a"])


def test_there_is_room_for_some() -> None:
    pool: IdlePool[str] = IdlePool(2)
    assert [pool.put(HERE, "a", 0), pool.put(THERE, "b", 1)] == [[], []]
    assert pool.put(THERE, "c", 2) == ["a"]
    assert pool.put(THERE, "d", 3) == ["b"]
    assert pool.take(THERE, 3)[0] == "d"
    assert pool.put(HERE, "e", 4) == []
    assert IdlePool[str](0).put(HERE, "a", 0) == ["a"]
