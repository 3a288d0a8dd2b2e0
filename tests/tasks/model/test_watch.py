"""Watches: a final fit in short time is hurried, by the clock once, and by what is recorded of that ever after."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from tasks.model import OutOfTimeError, Paced, Until, _watch, rounds_left, unwatched

PLANNED = 100


def grown(watch: Paced, monkeypatch: pytest.MonkeyPatch, *, seconds: float, slower_from: int = PLANNED) -> int:
    """After how many rounds a fit ends that looks at its time every other; a round takes so many seconds, and three
    times that from some round on."""
    now, last, n_rounds = 0.0, PLANNED, 0
    monkeypatch.setattr(_watch, "time", SimpleNamespace(time=lambda: now))
    while n_rounds < last:
        n_rounds += 1
        now += seconds * (3 if n_rounds > slower_from else 1)
        try:
            watch(())
        except OutOfTimeError:
            return n_rounds
        if n_rounds % 2 == 0:
            last = n_rounds + rounds_left(watch, last - n_rounds)
    return n_rounds


def test_a_fit_with_time_for_all_its_rounds_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Paced(100.5)
    assert grown(watch, monkeypatch, seconds=1.0) == watch.ends(PLANNED) == PLANNED
    assert not watch.hurried


@pytest.mark.parametrize("slower_from", [PLANNED, 45])
def test_a_fit_without_time_for_all_its_rounds_has_as_many_as_it_has_time_for(
    slower_from: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = Paced(60.0)
    n_rounds = grown(watch, monkeypatch, seconds=1.0, slower_from=slower_from)
    assert not watch.is_over
    assert n_rounds == watch.ends(PLANNED)
    paid = 60 if slower_from == PLANNED else 45 + (60 - 45) / 3
    assert 0.85 * paid <= n_rounds <= paid


def test_what_was_hurried_goes_the_same_way_again_without_a_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    first = Paced(60.0)
    n_rounds = grown(first, monkeypatch, seconds=1.0, slower_from=45)
    again = Paced(None, hurried=dict(first.hurried))
    assert len(first.hurried) > 1
    assert grown(again, monkeypatch, seconds=0.0) == n_rounds
    assert again.hurried == first.hurried


def test_watches_that_tell_no_time_leave_all_rounds() -> None:
    assert rounds_left(unwatched, 7) == rounds_left(Until(0.0), 7) == 7
