"""The grid: the user's lists and ranges rule it."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.config import compose
from flows.plan import Plan, plan
from tasks.refusal import Refusal
from tasks.search.grid import Grid


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def leaves(*overrides: str) -> set[int]:
    """The numbers of leaves that the grid tries."""
    planned: Plan = plan(compose(["search=grid", "search.trials=500", *overrides]))
    assert isinstance(planned.search, Grid)
    return {params["num_leaves"] for _, params in planned.search._points(planned.space)}


def test_a_list_is_taken_as_it_is() -> None:
    assert leaves("model.lightgbm.space.num_leaves=[8,9]") == {8, 9}


def test_the_familys_own_values_outside_the_users_range_are_left_out() -> None:
    assert leaves("model.lightgbm.space.num_leaves={low: 20, high: 255}") == {31, 63}


def test_a_range_that_none_of_them_lies_in_is_spread_over() -> None:
    assert leaves("model.lightgbm.space.num_leaves={low: 100, high: 300}") == {100, 200, 300}


def test_points_spread_over_every_range() -> None:
    planned = plan(compose(["search=grid", "search.trials=300", "search.sampler.points=2"]))
    assert planned.n_trials == 2**7


def test_a_too_large_grid_is_refused_with_its_size() -> None:
    with pytest.raises(Refusal, match="the grid has 16,384 points"):
        plan(compose(["search=grid", "search.sampler.points=4"]))
