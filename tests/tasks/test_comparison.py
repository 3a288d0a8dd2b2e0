"""Intervals over folds: as wide as the correction says, paired by fold, and none where there can be none."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from sklearn.model_selection import RepeatedKFold

from tasks.comparison import best_among, difference, difference_to, interval, of_metric
from tasks.records import FoldScore, Proposal, TrialResult

VALUES = [0.81, 0.84, 0.79, 0.86, 0.83]


def winner(values: list[float], n_rows: int | None = None, n_folds: int | None = None) -> TrialResult:
    folds = tuple(FoldScore(fold, value, 0.0, None, 0.1) for fold, value in enumerate(values))
    return TrialResult(Proposal(0, "lightgbm", {}, n_rows, n_folds), folds)


def test_without_correction_the_interval_is_students() -> None:
    found = interval(VALUES, 0.0)
    low, high = stats.t.interval(0.95, len(VALUES) - 1, np.mean(VALUES), stats.sem(VALUES))
    assert (found.value, found.low, found.high) == pytest.approx((np.mean(VALUES), low, high))


def test_the_correction_widens_it_by_the_share_of_validation_rows() -> None:
    plain, corrected = interval(VALUES, 0.0), interval(VALUES, 0.25)
    assert (corrected.high - corrected.low) / (plain.high - plain.low) == pytest.approx(math.sqrt((1 / 5 + 1 / 4) * 5))


def test_the_interval_of_a_metric_ends_where_the_metric_does() -> None:
    few = [0.4, 0.98, 0.7]
    assert interval(few, 0.5).low < 0
    assert (of_metric("roc_auc", few, 0.5).low, of_metric("roc_auc", few, 0.5).high) == (0, 1)
    assert of_metric("rmse", few, 0.5) == replace(interval(few, 0.5), low=0.0)
    assert of_metric("r2", few, 0.5) == replace(interval(few, 0.5), high=1.0)
    assert np.isnan(of_metric("rmse", few[:1], 0.5).low)


def test_one_fold_gives_no_interval_and_tells_no_difference() -> None:
    found = interval([0.8], 0.25)
    assert found.value == 0.8
    assert math.isnan(found.low)
    assert found.holds_zero


def test_differences_are_paired_by_fold_not_by_place() -> None:
    found = difference({1: 0.5, 0: 0.9}, {0: 0.8, 1: 0.4}, 0.25)
    assert (found.value, found.low, found.high) == pytest.approx((0.1, 0.1, 0.1))
    assert not found.holds_zero


def test_equals_are_told_apart_as_seldom_as_promised_where_folds_are_repeated() -> None:
    """Two regressions, each on one of two columns that are worth the same, on 5 folds drawn 3 times over."""
    random = np.random.default_rng(0)
    told = {0.0: 0, 0.25: 0}
    n_samples = 150
    for _ in range(n_samples):
        X = random.normal(size=(60, 2))
        y = X.sum(axis=1) + random.normal(size=60)
        errors: list[dict[int, float]] = [{}, {}]
        folds = RepeatedKFold(n_splits=5, n_repeats=3, random_state=0).split(X)
        for fold, (train, valid) in enumerate(folds):
            for column in (0, 1):
                line = np.polyfit(X[train, column], y[train], 1)
                errors[column][fold] = float(np.mean((y[valid] - np.polyval(line, X[valid, column])) ** 2))
        for rho in told:
            told[rho] += not difference(*errors, rho).holds_zero
    assert told[0.25] / n_samples < 0.1 < 0.2 < told[0.0] / n_samples


def test_the_best_is_by_the_metric_and_the_first_of_equals() -> None:
    winners = {"a": winner([0.8, 0.9]), "b": winner([0.9, 0.8]), "c": winner([0.7, 0.7])}
    assert best_among(winners, "roc_auc") == "a"
    assert best_among(winners, "rmse") == "c"
    assert best_among({}, "rmse") is None


def test_what_was_judged_on_a_sample_is_neither_the_best_nor_paired_with_it() -> None:
    whole, sampled = winner([0.8, 0.8]), winner([0.9], n_rows=100, n_folds=1)
    assert best_among({"sampled": sampled, "whole": whole}, "roc_auc") == "whole"
    assert difference_to(whole, sampled, 0.25) is None
