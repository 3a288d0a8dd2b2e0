"""What a table decides of a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.config import compose
from flows.decide import Job, decide, job_of
from flows.plan import plan
from tasks.prepare import prepare
from tasks.split import split


@pytest.mark.parametrize(("name", "is_searched"), [("diabetes", True), ("iris", False)])
def test_the_target_decides_whether_the_link_of_trees_is_searched(
    name: str, is_searched: bool, place: Path
) -> None:
    job = job_for("source=sklearn", f"source.name={name}")
    of_trees = job.plan.space.families["lightgbm"]
    assert ("link" in of_trees.free) is is_searched
    tried = [job.plan.space.setting(params)[1].get("link") for params in job.plan.space.firsts()]
    assert ("log" in tried) is is_searched
    assert of_trees.complete({})["link"] == "identity"


def test_a_budget_for_few_rounds_makes_every_trial_take_larger_steps(place: Path) -> None:
    given = ["source=sklearn", "source.name=digits", "search.trials=100"]
    few, many = job_for(*given, "search.seconds=2"), job_for(*given, "search.seconds=3600")
    rates = [job.plan.space.families["lightgbm"].complete({})["learning_rate"] for job in (few, many)]
    assert rates == [0.2, 0.1]
    searched = job_for(*given, "search.seconds=2", "+model.lightgbm.space.learning_rate={low: 0.01, high: 0.5}")
    assert searched.plan.space.firsts()[0]["learning_rate"] == 0.2
    fixed = job_for(*given, "search.seconds=2", "model.lightgbm.hyperparameters.learning_rate=0.05")
    assert fixed.plan.space.families["lightgbm"].complete({})["learning_rate"] == 0.05


def test_a_search_that_visits_all_points_has_room_for_those_that_go_on_to_better_evidence(place: Path) -> None:
    given = ["source=sklearn", "source.name=digits", "search=grid"]
    whole, short = job_for(*given), job_for(*given, "search.seconds=2")
    assert len(whole.ladder.rungs) == 1 < len(short.ladder.rungs)
    assert short.plan.n_trials == len(short.ladder.rungs) * whole.plan.n_trials
    assert short.plan.search.size(short.plan.space) == whole.plan.n_trials  # type: ignore[attr-defined]  # of a Grid


def job_for(*overrides: str) -> Job:
    composed = compose(list(overrides))
    planned = plan(composed)
    prepared = prepare.fn(planned.source, planned.roles, "auto", None, 0, None)
    decided = decide(composed, prepared)
    divided = split.fn(prepared, decided.splitter, decided.composed.choices["folds"], 0.2)
    return job_of(planned, decided, prepared, divided, 0.0)
