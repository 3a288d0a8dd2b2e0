"""Warm starts: what is taken from an earlier study, and which ones are refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

from flows.config import compose
from flows.pipeline import run
from flows.plan import Plan, plan
from flows.server import Server
from flows.warm_start import FAMILIES
from tasks.evidence import Rung, on_rung, proposal_of
from tasks.records import FoldScore, TrialResult
from tasks.refusal import Refusal
from tasks.search import Space
from tasks.study import opened

DIGEST = "0123456789abcdef"


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def earlier(
    space: Space, trials: Sequence[tuple[Mapping[str, Any], float | None, int]], *, is_higher_better: bool = True,
    exceeding: Mapping[int, dict[str, float]] | None = None,
) -> None:
    """A study of these parameters, each with its mean (None failed) over so many folds of three; exceeding: by how much
    a trial does each limit."""
    with opened(Path("data/studies"), DIGEST, is_higher_better=is_higher_better) as study:
        study.remember(FAMILIES, list(space.families))
        for params, value, n_folds in trials:
            trial = study.add(space.trial(params))
            folds = tuple(FoldScore(k, value or 0.0, 0.0, None, 0.1) for k in range(n_folds))
            result = TrialResult(space.proposal(trial), folds, None if value is not None else "failed", False)
            result = replace(result, excess=(exceeding or {}).get(result.proposal.number, {}))
            assert study.tell(result).state in (TrialState.COMPLETE, TrialState.FAIL)


def linear(*overrides: str) -> Plan:
    return plan(compose(["model=linear", "model.linear.portfolio=[]", *overrides]))


def penalties(planned: Plan) -> list[float]:
    return [params["penalty"] for params in planned.space.firsts()]


@pytest.mark.parametrize("asked", [f"{DIGEST}-1", f"data/studies/{DIGEST}/1"])
def test_the_best_complete_trials_follow_the_start_best_first_and_none_twice(asked: str) -> None:
    told = [(0.5, 0.7, 3), (2.0, 0.9, 3), (2.0, 0.9, 3), (3.0, None, 1), (4.0, 0.99, 2), (5.0, 0.8, 3)]
    earlier(linear().space, [({"penalty": penalty}, value, n) for penalty, value, n in told])
    assert penalties(linear(f"search.warm_start={asked}")) == [1.0, 2.0, 5.0, 0.5]


def test_of_trials_on_samples_alone_those_of_the_largest_are_taken() -> None:
    space = linear().space
    with opened(Path("data/studies"), DIGEST, is_higher_better=True) as study:
        study.remember(FAMILIES, list(space.families))
        for penalty, n_rows, score in ((2.0, 2_000, 0.9), (3.0, 8_000, 0.8), (4.0, 8_000, 0.7)):
            trial = study.add(on_rung(space.trial({"penalty": penalty}), Rung(n_rows, 1)))
            study.tell(TrialResult(proposal_of(space, trial), (FoldScore(0, score, 0.0, None, 0.1),), None, False))
    assert penalties(linear(f"search.warm_start={DIGEST}-1")) == [1.0, 3.0, 4.0]


def test_at_most_five_are_taken_and_lower_is_better_where_the_earlier_study_said_so() -> None:
    earlier(linear().space, [({"penalty": 2.0 + k}, float(k), 3) for k in range(9)], is_higher_better=False)
    assert penalties(linear(f"search.warm_start={DIGEST}-1")) == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]


def test_trials_within_their_limits_come_before_better_ones_that_exceed_them() -> None:
    told = [({"penalty": 2.0 + k}, 0.5 + k / 10, 3) for k in range(3)]
    earlier(linear().space, told, exceeding={2: {"megabytes": 0.5}, 1: {"megabytes": -0.5}})
    assert penalties(linear(f"search.warm_start={DIGEST}-1")) == [1.0, 3.0, 2.0, 4.0]


def test_settings_are_moved_inside_the_new_space() -> None:
    earlier(linear().space, [({"penalty": 900.0}, 0.9, 3)])
    narrow = "model.linear.space.penalty={low: 0.1, high: 30.0}"
    assert penalties(linear(f"search.warm_start={DIGEST}-1", narrow)) == [1.0, 30.0]


def test_of_several_families_those_are_taken_that_are_searched_again() -> None:
    both = plan(compose(["model=[linear,forest]"])).space
    trials = [({"model": "linear", "linear.penalty": 7.0}, 0.8, 3), (both.firsts()[1], 0.9, 3)]
    earlier(both, trials)
    assert penalties(linear(f"search.warm_start={DIGEST}-1")) == [1.0, 7.0]


def test_a_family_that_was_judged_on_one_fold_beside_one_that_was_on_all_has_its_best_there() -> None:
    both = plan(compose(["model=[linear,forest]", "model.linear.portfolio=[]"])).space
    on_all = (both.firsts()[1], 0.9, 3)
    trials = [({"model": "linear", "linear.penalty": penalty}, value, 1) for penalty, value in ((7.0, 0.7), (3.0, 0.8))]
    earlier(both, [*trials, on_all])
    assert penalties(linear(f"search.warm_start={DIGEST}-1")) == [1.0, 3.0, 7.0]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("fedcba9876543210-1", "there is no study at data/studies/fedcba9876543210/1; name a folder such as"),
        ("nowhere", "there is no study at nowhere"),
        (f"{DIGEST}-1", "none of that study's trials is complete"),
        ("0" * 32, "there is no such run in sqlite:"),
    ],
)
def test_what_can_not_be_begun_from_is_refused(asked: str, said: str) -> None:
    earlier(linear().space, [({"penalty": 2.0}, None, 0)])
    with pytest.raises(Refusal, match=rf"search\.warm_start={asked}: {said}"):
        linear(f"search.warm_start={asked}")


def test_other_families_are_refused_by_name() -> None:
    earlier(linear().space, [({"penalty": 2.0}, 0.9, 3)])
    with pytest.raises(Refusal, match="that study searched linear, this one searches forest"):
        plan(compose(["model=forest", f"search.warm_start={DIGEST}-1"]))


@pytest.mark.parametrize("search", ["grid", "none"])
def test_a_search_of_given_points_refuses_a_warm_start(search: str) -> None:
    with pytest.raises(Refusal, match="begins with none of an earlier study"):
        linear(f"search={search}", "search.warm_start=some")


@pytest.mark.slow
def test_a_run_may_be_named_by_its_mlflow_id_and_is_another_study_then(prefect_server: Server) -> None:
    small = ["model=linear", "search=random", "folds.n_splits=3", "model.linear.portfolio=[]"]
    first = run([*small, "search.trials=4"])
    second = run([*small, "search.trials=2", f"search.warm_start={first.run_id}"])
    assert second.trials.reused == 0
    assert second.cv["mean"] >= first.cv["mean"]
    assert second.best["hyperparameters"] == first.best["hyperparameters"]
