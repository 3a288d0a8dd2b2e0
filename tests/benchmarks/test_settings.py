"""The fixed list of settings that throughput is measured on."""

from __future__ import annotations

from benchmarks.settings import RANGES, Listed, drawn
from tasks.search import Space


def test_a_longer_list_begins_with_the_shorter_one() -> None:
    assert drawn(20, 3)[:5] == drawn(5, 3)
    assert drawn(5, 3) != drawn(5, 4)


def test_the_search_proposes_the_list_and_ends() -> None:
    search, asked = Listed(n=3, seed=0), []
    while trial := search.ask(Space({}), asked, seed=9, is_higher_better=True):
        asked.append(trial)
    assert [trial.params for trial in asked] == drawn(3, 0)
    assert all(RANGES[name]._contains(RANGES[name].to_internal_repr(value)) for name, value in asked[0].params.items())
