"""What a model has learned of its training rows alone is told, and fails it where it is most of what it gains."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from judged import CLASSES, NUMBER, PROPOSAL, Sums, case

from tasks.check.overfitting import Overfitting
from tasks.records import Member
from tasks.study import fold_file

CHECK = Overfitting(most_lost_out_of_fold=0.75, most_lost_on_holdout=0.5, rows=1000, resamples=200)
N = 80


def table(error: float, n: int = N) -> pd.DataFrame:
    """Predicted by x with that error, up and down in turns; the target has the mean 0 and the mean deviation 4."""
    y = np.tile([-4.0, -4.0, 4.0, 4.0], n // 4)
    return pd.DataFrame({"x": y + np.tile([error, -error], n // 2), "y": y})


def test_the_scores_their_gaps_and_what_is_lost_are_those_by_hand(tmp_path: Path) -> None:
    train = table(0.5)
    off = np.where(np.arange(N) < N // 2, 1.0, 3.0)  # of the two folds: their mean is 2
    it = case(tmp_path, NUMBER, "mae", train, table(2.5), Sums(), out_of_fold=train["y"] + off)
    found = CHECK.measure(it)
    value = {name: number.value for name, number in found.numbers.items()}
    assert value == pytest.approx({
        "training": 0.5, "out_of_fold": 2.0, "holdout": 2.5, "worse_out_of_fold": 1.5, "worse_on_holdout": 0.5,
        "lost_out_of_fold": 1 - (4 - 2) / (4 - 0.5), "lost_on_holdout": 1 - (4 - 2.5) / (4 - 2),
    })  # fmt: skip
    assert (found.state, found.reason) == ("passed", "")


def test_the_interval_of_a_gap_is_that_of_pairs(tmp_path: Path) -> None:
    """Errors are larger by the same in every row: the gap is sure, however unsure the scores are."""
    random = np.random.default_rng(0)
    train = table(0.0).assign(x=lambda rows: rows["y"] + random.exponential(size=N))
    it = case(tmp_path, NUMBER, "mae", train, table(1.0), Sums(), out_of_fold=train["x"] + 0.5)
    numbers = CHECK.measure(it).numbers
    assert numbers["training"].high - numbers["training"].low > 0.3
    assert (numbers["worse_out_of_fold"].low, numbers["worse_out_of_fold"].high) == pytest.approx((0.5, 0.5), abs=0.05)


def test_a_model_that_knows_its_rows_by_heart_and_nothing_else_fails(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    train = table(0.0)
    it = case(tmp_path, NUMBER, "mae", train, table(3.9), Sums(), out_of_fold=random.permutation(train["y"]) * 0.1)
    found = CHECK.measure(it)
    assert found.state == "failed"
    assert "check.overfitting.most_lost_out_of_fold=0.75" in found.reason


def test_a_model_whose_gain_out_of_fold_is_not_there_on_the_holdout_fails(tmp_path: Path) -> None:
    train = table(1.0)
    it = case(tmp_path, NUMBER, "mae", train, table(3.5), Sums(), out_of_fold=train["y"] + 1)
    found = CHECK.measure(it)
    assert found.state == "failed"
    assert "check.overfitting.most_lost_on_holdout=0.5" in found.reason
    assert Overfitting(None, None, 1000, 200).measure(it).state == "passed"


def test_a_gap_that_may_be_luck_fails_nothing(tmp_path: Path) -> None:
    train, held = table(1.0), table(0.0, 8).assign(x=[-4, -4, 4, 4, -4, -4, 4, -30])
    found = CHECK.measure(case(tmp_path, NUMBER, "mae", train, held, Sums(), out_of_fold=train["y"] + 1))
    assert found.numbers["lost_on_holdout"].value > 0.5
    assert found.numbers["worse_on_holdout"].low <= 0
    assert found.state == "passed"


def test_a_metric_that_is_better_when_higher_has_the_same_gaps(tmp_path: Path) -> None:
    y = np.tile([0.0, 1.0], N // 2)
    train = pd.DataFrame({"x": np.abs(y - 0.2), "y": y})  # all right in training
    off = np.where(np.arange(N) % 10 == 0, 1 - train["x"], train["x"])  # a tenth wrong out of fold
    it = case(tmp_path, CLASSES, "accuracy", train, train, Sums(is_classes=True), out_of_fold=off)
    value = {name: number.value for name, number in CHECK.measure(it).numbers.items()}
    assert (value["training"], value["out_of_fold"]) == (1.0, pytest.approx(0.9))
    assert value["worse_out_of_fold"] == pytest.approx(0.1)
    assert value["worse_on_holdout"] == pytest.approx(-0.1)
    assert value["lost_out_of_fold"] == pytest.approx(0.2)  # of .5 over the constant
    assert value["lost_on_holdout"] == 0


def test_of_folds_of_one_row_the_score_is_that_of_all_rows_together_with_its_spread(tmp_path: Path) -> None:
    """The mean of the RMSEs of single rows would be 2, the mean absolute error, in every resample."""
    train = table(0.0, 8)
    off = np.tile([1.0, 3.0], 4)
    it = case(tmp_path, NUMBER, "rmse", train, table(1.0, 8), Sums(), out_of_fold=train["y"] + off, n_folds=8)
    found = CHECK.measure(it).numbers["out_of_fold"]
    assert found.value == pytest.approx(5**0.5)
    assert found.low < 2 < found.high


def test_an_ensemble_of_one_fold_is_judged_in_training_by_rows_that_its_members_learned_from(tmp_path: Path) -> None:
    off = np.where(np.arange(N) < N // 2, 0.5, 2.0)  # of the first fold, whose model has not seen its rows, .5
    train = table(0.0).assign(x=lambda rows: rows["y"] + off)
    it = case(tmp_path, NUMBER, "mae", train, table(1.0), Sums(), out_of_fold=train["y"] + 1)
    fold_file(tmp_path / "study", PROPOSAL, 1).unlink()
    two = replace(it, members=(Member(PROPOSAL, 0.5), Member(PROPOSAL, 0.5)))
    assert CHECK.measure(it).numbers["training"].value == pytest.approx(0.5)
    assert CHECK.measure(two).numbers["training"].value == pytest.approx(2.0)
    assert CHECK.measure(two).numbers["out_of_fold"].value == pytest.approx(1.0)


def test_without_a_stored_prediction_nothing_is_measurable(tmp_path: Path) -> None:
    found = CHECK.measure(case(tmp_path, NUMBER, "mae", table(1.0), table(1.0), Sums()))
    assert found.state == "not_measurable"
