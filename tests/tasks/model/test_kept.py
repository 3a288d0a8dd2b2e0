"""What is kept for all trials: made once, bounded, and never waited for by who asks for something else."""

from __future__ import annotations

import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest

from tasks.model import _kept
from tasks.model._kept import Kept


class Thing:
    """Of 60 bytes."""


def test_threads_that_ask_at_the_same_time_get_one_thing_made_once() -> None:
    made: list[int] = []
    kept: Kept[object] = Kept(lambda _: 1)

    def make() -> object:
        made.append(1)
        return object()

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: kept.get("fold", make), range(32)))
    assert len(made) == 1
    assert all(one is found[0] for one in found)


def test_what_was_used_least_recently_goes_but_two_always_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_kept, "BYTES", 100)
    made: list[int] = []
    kept: Kept[int] = Kept(lambda size: size)

    def get(key: int, size: int) -> None:
        kept.get(key, lambda: made.append(key) or size)  # type: ignore[func-returns-value]

    for key in (0, 1, 2):
        get(key, 30)
    get(0, 30)  # used again, so that 1 is the one to go
    get(3, 30)
    assert made == [0, 1, 2, 3]
    get(1, 30)
    assert made == [0, 1, 2, 3, 1]
    get(4, 1_000)
    assert len(kept) == 2


def test_making_one_does_not_keep_another_waiting() -> None:
    kept: Kept[int] = Kept(lambda _: 1)
    began, other_was_made = threading.Event(), threading.Event()

    def slow() -> int:
        began.set()
        assert other_was_made.wait(10)
        return 1

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(kept.get, "slow", slow)
        assert began.wait(10)
        assert kept.get("quick", lambda: 2) == 2
        other_was_made.set()
        assert first.result() == 1


def test_what_is_in_use_is_not_made_again_though_there_was_no_room_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_kept, "BYTES", 100)
    kept: Kept[Thing] = Kept(lambda _: 60, n_least=0)
    first = kept.get("first", Thing)
    kept.get("second", Thing)
    assert len(kept) == 0  # what is in use counts: there is no room for one more
    assert kept.get("first", Thing) is first


def test_room_is_made_before_the_next_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_kept, "BYTES", 100)
    kept: Kept[Thing] = Kept(lambda _: 60, n_least=0)
    first = weakref.ref(kept.get("first", Thing))
    assert first() is not None

    def make() -> Thing:
        assert first() is None
        return Thing()

    kept.get("second", make)
    assert len(kept) == 1
