"""Conditional spaces: a hyperparameter that is searched only where another one has a given value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from optuna.trial import FrozenTrial, TrialState, create_trial

from flows.config import compose
from flows.decide import settle
from flows.plan import Plan, plan
from tasks.refusal import Refusal

SEARCHES = ("bayesian", "genetic", "random", "grid")


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def planned(*overrides: str) -> Plan:
    return plan(compose(["model=forest", *overrides]))


def walk(plan: Plan, n: int) -> list[FrozenTrial]:
    told: list[FrozenTrial] = []
    while len(told) < n and (trial := settle(plan.search, 4).ask(plan.space, told, 0, is_higher_better=True)):
        value = float("max_samples" in trial.params)
        told.append(create_trial(state=TrialState.COMPLETE, params=trial.params, distributions=trial.distributions,
                                 system_attrs=trial.system_attrs, value=value))  # fmt: skip
    return told


def hyperparameters(plan: Plan, told: list[FrozenTrial]) -> list[dict[str, Any]]:
    return [plan.space.proposal(trial).hyperparameters for trial in told]


@pytest.mark.parametrize("search", SEARCHES)
def test_where_the_condition_does_not_hold_the_start_is_taken(search: str) -> None:
    points = ["search.sampler.points=3", "search.trials=200"] if search == "grid" else []
    it = planned(f"search={search}", *points)
    told = walk(it, 54 if points else 30)
    found = hyperparameters(it, told)
    assert {p["max_samples"] for p in found if p["kind"] == "extra"} == {1.0}
    assert len({p["max_samples"] for p in found if p["kind"] == "random"}) > 2
    assert all(("max_samples" in trial.params) == (trial.params["kind"] == "random") for trial in told)


@pytest.mark.parametrize("search", SEARCHES)
def test_settings_that_differ_in_nothing_that_counts_are_tried_once(search: str) -> None:
    lists = ("max_features=[0.3]", "min_samples_leaf=[1,3]", "max_samples={values: [0.5,1.0], when: {kind: [random]}}")
    it = planned(f"search={search}", *(f"model.forest.space.{entry}" for entry in lists), "model.forest.portfolio=[]")
    found = [(p["kind"], p["min_samples_leaf"], p["max_samples"]) for p in hyperparameters(it, walk(it, 20))]
    assert sorted(found) == [
        ("extra", 1, 1.0), ("extra", 3, 1.0),
        ("random", 1, 0.5), ("random", 1, 1.0), ("random", 3, 0.5), ("random", 3, 1.0),
    ]  # fmt: skip


@pytest.mark.parametrize(("kind", "is_searched"), [("random", True), ("extra", False)])
def test_a_condition_on_what_the_user_fixed_is_decided_by_it(kind: str, is_searched: bool) -> None:
    it = planned("search=random", f"model.forest.hyperparameters.kind={kind}")
    assert (len({p["max_samples"] for p in hyperparameters(it, walk(it, 8))}) > 1) == is_searched


@pytest.mark.parametrize(
    ("when", "said"),
    [
        ("{knid: random}", "there is no hyperparameter 'knid'; did you mean 'kind'?"),
        ("{}", "write {KEY: VALUE}"),
        ("{max_samples: 1.0}", "max_samples is itself searched only under a condition"),
    ],
)
def test_a_condition_that_can_not_be_is_refused(when: str, said: str) -> None:
    with pytest.raises(Refusal) as refused:
        planned(f"model.forest.space.max_features={{low: 0.1, high: 1.0, when: {when}}}")
    assert said in str(refused.value)
    assert "model.forest.space.max_features.when=" in str(refused.value)
