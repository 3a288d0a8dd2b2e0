"""The grid: the user's lists and ranges rule it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from optuna.trial import FrozenTrial

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
    assert planned.n_trials == 2**6


def test_a_too_large_grid_is_refused_with_its_size() -> None:
    with pytest.raises(Refusal, match="the grid has 4,096 points"):
        plan(compose(["search=grid", "search.sampler.points=4"]))


def visited(*overrides: str) -> list[dict[str, Any]]:
    """The hyperparameters of all points in the order in which they are visited."""
    planned: Plan = plan(compose(["search=grid", "search.trials=500", *overrides]))
    told: list[FrozenTrial] = []
    while (trial := planned.search.ask(planned.space, told, 0, is_higher_better=True)) is not None:
        told.append(trial)
    return [planned.space.proposal(trial).hyperparameters for trial in told]


OTHERS = [
    f"model.lightgbm.space.{key}=null" for key in ("bagging_fraction", "lambda_l1", "lambda_l2")
]


@pytest.mark.parametrize("points", [(), ("search.sampler.points=3", *OTHERS)], ids=["own", "spread"])
def test_points_that_are_cheap_to_train_come_first(points: tuple[str, ...]) -> None:
    found = [(p["num_leaves"], p["feature_fraction"], -p["min_data_in_leaf"]) for p in visited(*points)]
    assert found[0] == tuple(min(column) for column in zip(*found, strict=True))
    assert found[-1] == tuple(max(column) for column in zip(*found, strict=True))


def test_families_take_turns_in_a_grid() -> None:
    planned: Plan = plan(compose(["search=grid", "model=[linear,forest]", "search.trials=100"]))
    told: list[FrozenTrial] = []
    for _ in range(4):
        trial = planned.search.ask(planned.space, told, 0, is_higher_better=True)
        assert trial is not None
        told.append(trial)
    assert [trial.params["model"] for trial in told] == ["linear", "forest", "linear", "forest"]
