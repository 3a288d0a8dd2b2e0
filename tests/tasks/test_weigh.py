"""Settings are ranked by what their models were counted to cost, coarsely, and never by a clock."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tasks.folds import write_folds
from tasks.loss.mse import MSE
from tasks.records import FoldScore, Footprint, Problem, Proposal, TrialResult
from tasks.weigh import comes_to, ranks, simplest_of
from tasks.workspace import Experiment


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    pd.DataFrame({"target": range(8)}).to_parquet(tmp_path / "train_roles.parquet")
    write_folds(tmp_path, [(np.arange(4), np.arange(4, 8)), (np.arange(4, 8), np.arange(4))])
    return Experiment(
        digest=str(tmp_path), folder=str(tmp_path), split=str(tmp_path), problem=Problem("regression", "y", ()),
        families={}, loss=MSE(), metric="rmse", base=None, seed=0, n_folds=2, growth=2.0, n_threads=1,
        keep_models=False, takes_simplest=True,
    )  # fmt: skip


def trial(
    number: int, values: tuple[float, float], megabytes: float, milliseconds: float, seconds: float = 1.0
) -> TrialResult:
    folds = (
        FoldScore(fold, value, 0.0, None, seconds, Footprint(megabytes + fold, milliseconds + fold))
        for fold, value in enumerate(values)
    )
    return TrialResult(Proposal(number, "some", {"x": number}), tuple(folds))


def test_the_first_fold_of_every_trial_says_what_it_comes_to(experiment: Experiment) -> None:
    first = experiment.order[0]
    assert comes_to(experiment, trial(0, (1.0, 1.0), 2.0, 3.0)) == Footprint(2.0 + first, 3.0 + first)


def test_time_goes_before_size_and_equals_to_two_digits_before_the_better_score(experiment: Experiment) -> None:
    slow, small = trial(0, (1.0, 1.0), 0.1, 9.0), trial(1, (1.0, 1.0), 0.2, 3.0)
    worse, better = trial(2, (1.2, 1.2), 0.501, 2.0), trial(3, (1.1, 1.1), 0.504, 2.001)
    assert ranks(experiment, [slow, small, worse, better]) == [3, 2, 1, 0]


def test_the_simplest_is_taken_among_those_as_good_as_the_best_whatever_they_took(experiment: Experiment) -> None:
    best, tied = trial(0, (1.0, 2.0), 1.0, 9.0), trial(1, (1.1, 2.05), 1.0, 5.0, seconds=99.0)
    worse = trial(2, (3.0001, 4.0), 1.0, 1.0)
    assert simplest_of(experiment, [best, tied, worse]) is tied
    assert simplest_of(experiment, [best, worse]) is best
