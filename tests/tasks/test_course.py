"""Courses: what was reached by when, on every fold."""

from __future__ import annotations

import numpy as np

from tasks.course import of_fit, of_search, shown_by, watched_by
from tasks.records import FoldScore, Proposal, TrialResult
from tasks.study import FoldRecord


def result(number: int, values: list[float], *, estimate: float | None = None, error: str | None = None,
           n_rows: int | None = None) -> TrialResult:  # fmt: skip
    folds = tuple(FoldScore(fold, value, 1.0, None, 0.5) for fold, value in enumerate(values))
    return TrialResult(Proposal(number, "lightgbm", {}, n_rows), folds, error, False, estimate, 2.0)


def record(
    curve: list[tuple[int, float]], value: float, costs: list[tuple[int, float]] | None = None, cost: float = 9.0
) -> FoldRecord:
    chosen = max(curve, key=lambda point: point[1])[0] if curve else None
    return FoldRecord(FoldScore(0, value, cost, chosen, 0.1), tuple(curve), np.zeros(1, np.float32), tuple(costs or ()))


def test_a_search_has_the_folds_of_its_best_trial_so_far() -> None:
    course = of_search("a", [result(0, [0.5, 0.7]), result(1, [0.4, 0.6]), result(2, [0.9, 0.5])], 2, "roc_auc",
                       in_seconds=False)  # fmt: skip
    assert course.spent.tolist() == [2, 4, 6]
    assert course.scores.tolist() == [[0.5, 0.7], [0.5, 0.7], [0.9, 0.5]]


def test_a_trial_that_ended_early_failed_or_saw_a_sample_is_paid_for_and_never_the_best() -> None:
    trials = [
        result(0, [0.9, 0.9], n_rows=50),
        result(1, [0.5, 0.7]),
        result(2, [0.9], estimate=0.9),
        result(3, [], error="no"),
        result(4, [0.6, 0.7]),
    ]
    course = of_search("a", trials, 4, "roc_auc", in_seconds=False)
    assert course.spent.tolist() == [4, 7]
    assert course.scores.tolist() == [[0.5, 0.7], [0.6, 0.7]]
    assert of_search("a", trials, 4, "roc_auc", in_seconds=True).spent.tolist() == [4, 10]


def test_a_fit_keeps_the_best_round_of_each_fold_and_goes_on_flat_where_a_fold_has_stopped() -> None:
    records = [record([(10, 0.6), (20, 0.5)], 0.6), record([(10, 0.5), (20, 0.6), (30, 0.8)], 0.8)]
    course = of_fit("a", records, "metric", "roc_auc")
    assert course.spent.tolist() == [10, 20, 30]
    assert course.scores.tolist() == [[0.6, 0.5], [0.6, 0.6], [0.6, 0.8]]


def test_a_cost_is_best_where_it_is_lowest_whatever_the_metric() -> None:
    records = [record([(1, 0.7), (2, 0.8), (3, 0.9)], 0.9, [(1, 0.6), (2, 0.5), (3, 0.7)])]
    course = of_fit("a", records, "cost", "roc_auc")
    assert course.scores.ravel().tolist() == [0.6, 0.5, 0.5]


def test_a_family_without_rounds_is_flat_at_what_is_shown() -> None:
    records = [record([], 0.6, cost=0.3), record([], 0.8, cost=0.2)]
    assert of_fit("a", records, "metric", "roc_auc").scores.tolist() == [[0.6, 0.8]]
    course = of_fit("a", records, "cost", "roc_auc")
    assert (course.is_flat, course.scores.tolist()) == (True, [[0.3, 0.2]])


def test_a_curve_of_something_else_than_the_metric_is_not_taken_for_it() -> None:
    assert of_fit("a", [record([(1, 0.6), (2, 0.7)], 0.9)], "metric", "roc_auc").is_flat


GROWN = record([(1, 0.6), (2, 0.7)], 0.7, [(1, 0.9), (2, 0.8)])
COSTLESS = record([(1, 0.6), (2, 0.7)], 0.7)
OF_SOMETHING_ELSE = record([(1, 0.6), (2, 0.7)], 0.9)
WITHOUT_ROUNDS = record([], 0.9)


def test_the_cost_is_shown_where_all_train_on_one_loss_and_have_it() -> None:
    assert shown_by([[GROWN], [GROWN]], is_one_loss=True) == "cost"
    assert shown_by([[GROWN], [WITHOUT_ROUNDS]], is_one_loss=True) == "cost"


def test_else_the_metric_is_shown_that_all_watched() -> None:
    assert shown_by([[GROWN], [GROWN]], is_one_loss=False) == "metric"
    assert shown_by([[GROWN], [COSTLESS]], is_one_loss=True) == "metric"
    assert shown_by([[GROWN], [OF_SOMETHING_ELSE]], is_one_loss=False) is None
    assert shown_by([[WITHOUT_ROUNDS], [WITHOUT_ROUNDS]], is_one_loss=True) is None


def test_the_chosen_round_tells_whether_a_curve_shows_the_metric_or_the_cost() -> None:
    assert watched_by([GROWN]) == "metric"
    assert watched_by([record([(1, 0.6), (2, 0.7)], 0.9, cost=0.7)]) == "cost"
    assert watched_by([OF_SOMETHING_ELSE]) is None
    assert watched_by([record([], 0.9)]) is None
