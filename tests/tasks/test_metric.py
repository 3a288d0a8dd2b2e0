"""Metrics agree with scikit-learn and know which way is better."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scored import sample
from sklearn import metrics as reference

from tasks import metric
from tasks.refusal import Refusal

Floats = NDArray[np.float64]
PROBLEMS = ("binary", "multiclass", "regression")
BINARY = {
    "roc_auc": lambda y, p, w: reference.roc_auc_score(y, p[:, 1], sample_weight=w),
    "average_precision": lambda y, p, w: reference.average_precision_score(y, p[:, 1], sample_weight=w),
    "f1": lambda y, p, w: reference.f1_score(y, p.argmax(1), sample_weight=w),
}
MULTICLASS = {
    "roc_auc": lambda y, p, w: np.mean(
        [reference.roc_auc_score(y == c, p[:, c], sample_weight=w) for c in range(p.shape[1])]
    ),
    "average_precision": lambda y, p, w: reference.average_precision_score(y, p, average="macro", sample_weight=w),
}
CLASSES = {
    "log_loss": lambda y, p, w: reference.log_loss(y, p, sample_weight=w),
    "accuracy": lambda y, p, w: reference.accuracy_score(y, p.argmax(1), sample_weight=w),
    "balanced_accuracy": lambda y, p, w: reference.balanced_accuracy_score(y, p.argmax(1), sample_weight=w),
    "f1_macro": lambda y, p, w: reference.f1_score(y, p.argmax(1), average="macro", sample_weight=w),
}
REGRESSION = {
    "rmse": lambda y, p, w: reference.root_mean_squared_error(y, p, sample_weight=w),
    "mae": lambda y, p, w: reference.mean_absolute_error(y, p, sample_weight=w),
    "r2": lambda y, p, w: reference.r2_score(y, p, sample_weight=w),
    "mape": lambda y, p, w: reference.mean_absolute_percentage_error(y, p, sample_weight=w),
    "pinball_0.9": lambda y, p, w: reference.mean_pinball_loss(y, p, sample_weight=w, alpha=0.9),
}
REFERENCES = {"binary": BINARY | CLASSES, "multiclass": MULTICLASS | CLASSES, "regression": REGRESSION}
CASES = [(problem, name) for problem in PROBLEMS for name in metric.for_problem(problem)]
CASES += [("regression", "pinball_0.9")]


@pytest.mark.parametrize("is_weighted", [False, True])
@pytest.mark.parametrize("has_ties", [False, True])
@pytest.mark.parametrize(("problem", "name"), CASES)
def test_a_value_is_that_of_scikit_learn(problem: str, name: str, has_ties: bool, is_weighted: bool) -> None:
    y, prediction = sample(problem, has_ties=has_ties)
    weight = np.random.default_rng(1).integers(0, 4, len(y)) * 0.7 if is_weighted else None
    expected = REFERENCES[problem][name](y, prediction, weight)
    assert metric.value(name, y, prediction, weight) == pytest.approx(expected, rel=1e-10, abs=1e-10)


@pytest.mark.parametrize(("problem", "name"), CASES)
def test_a_resample_is_worth_the_same_as_its_rows_repeated(problem: str, name: str) -> None:
    y, prediction = sample(problem, 60, has_ties=True)
    counts = np.random.default_rng(2).integers(0, 3, len(y))
    repeated = metric.value(name, np.repeat(y, counts), np.repeat(prediction, counts, axis=0))
    assert metric.value(name, y, prediction, counts.astype(np.float64)) == pytest.approx(repeated, rel=1e-12)


def test_scores_that_are_all_equal_give_an_auc_of_a_half() -> None:
    assert metric.value("roc_auc", np.array([0.0, 1, 1, 0, 1]), np.full((5, 2), 0.5)) == 0.5


def test_a_probability_of_zero_for_the_truth_costs_as_in_scikit_learn() -> None:
    y, prediction = np.array([0.0, 1.0]), np.array([[0.0, 1.0], [0.0, 1.0]])
    assert metric.value("log_loss", y, prediction) == pytest.approx(reference.log_loss(y, prediction), rel=1e-12)


def test_of_equal_probabilities_the_lowest_class_is_predicted() -> None:
    assert metric.label_predictions(np.array([[0.5, 0.5], [0.2, 0.8]])).tolist() == [0, 1]


def test_a_class_that_the_sample_lacks_leaves_the_mean_to_the_others() -> None:
    y, prediction = sample("multiclass")
    rows = y != 2
    y, prediction = y[rows], prediction[rows]
    expected = np.mean([reference.roc_auc_score(y == code, prediction[:, code]) for code in (0, 1, 3)])
    assert metric.value("roc_auc", y, prediction) == pytest.approx(expected, rel=1e-12)


UNDEFINED: dict[str, tuple[str, Floats, Floats]] = {
    "one class": ("roc_auc", np.ones(3), np.full((3, 2), 0.5)),
    "one class of many": ("roc_auc", np.ones(3), np.full((3, 4), 0.25)),
    "no positive row": ("average_precision", np.zeros(3), np.full((3, 2), 0.5)),
    "no positive row or label": ("f1", np.zeros(3), np.tile([0.9, 0.1], (3, 1))),
    "one row": ("r2", np.ones(1), np.zeros(1)),
    "constant target": ("r2", np.full(7, 0.1), np.arange(7.0)),
    "no rows": ("rmse", np.empty(0), np.empty(0)),
    "prediction that is NaN": ("accuracy", np.array([0.0, 1.0]), np.array([[np.nan, np.nan], [0.0, 1.0]])),
    "infinite prediction": ("mae", np.zeros(2), np.array([0.0, np.inf])),
}


@pytest.mark.parametrize("case", UNDEFINED)
def test_what_is_not_defined_is_nan(case: str) -> None:
    name, y, prediction = UNDEFINED[case]
    assert math.isnan(metric.value(name, y, prediction))


def test_weights_of_zero_throughout_define_nothing() -> None:
    assert math.isnan(metric.value("accuracy", np.zeros(2), np.full((2, 2), 0.5), np.zeros(2)))


@pytest.mark.parametrize("name", metric.METRICS)
def test_predictions_of_the_wrong_shape_are_an_error_of_the_caller(name: str) -> None:
    is_regression = metric.METRICS[name].problems == metric.REGRESSION
    with pytest.raises(ValueError, match="predictions"):
        metric.value(name, np.zeros(3), np.zeros((3, 1)) if is_regression else np.zeros(3))


@pytest.mark.parametrize(("problem", "name"), CASES)
def test_better_predictions_are_better_and_nan_is_the_worst(problem: str, name: str) -> None:
    y, prediction = sample(problem)
    perfect = y if problem == "regression" else np.eye(prediction.shape[1])[y.astype(int)]
    good, poor = metric.value(name, y, perfect), metric.value(name, y, prediction)
    assert metric.better(name, good, poor)
    assert not metric.better(name, poor, good)
    assert not metric.better(name, good, good)
    assert metric.better(name, poor, math.nan)
    assert not metric.better(name, math.nan, poor)
    assert not metric.better(name, math.nan, math.nan)
    assert metric.METRICS[name].sign * good > metric.METRICS[name].sign * poor


def test_the_default_comes_first_in_a_report() -> None:
    assert [metric.for_problem(problem)[0] for problem in PROBLEMS] == ["roc_auc", "log_loss", "rmse"]
    assert [metric.default(problem) for problem in PROBLEMS] == ["roc_auc", "log_loss", "rmse"]


def test_every_metric_is_reported_where_it_fits() -> None:
    assert set().union(*(metric.for_problem(problem) for problem in (*PROBLEMS, "generation"))) == set(metric.METRICS)
    assert "f1" not in metric.for_problem("multiclass")


def refused(call: Callable[[], None]) -> str:
    with pytest.raises(Refusal) as caught:
        call()
    return str(caught.value)


def test_a_metric_of_another_problem_is_refused_with_those_that_fit() -> None:
    message = refused(lambda: metric.check("rmse", "binary"))
    assert message.startswith("metric=rmse is for regression; this is a binary problem; choose one of roc_auc, ")
    assert "mae" not in message


def test_a_misspelt_metric_is_refused_with_the_nearest_name() -> None:
    message = refused(lambda: metric.check("roc_acu", "binary"))
    assert message.startswith("metric=roc_acu: no such metric; did you mean 'roc_auc'? Choices: auto, roc_auc, ")
    assert "no such metric. Choices: auto" in refused(lambda: metric.check("zzz", "binary"))


def test_a_metric_that_fits_is_not_refused() -> None:
    for problem, name in CASES:
        metric.check(name, problem)


@pytest.mark.parametrize("name", ["pinball_.05", "pinball_0.9", "pinball_0.999"])
def test_a_pinball_is_there_for_every_level_and_for_regressions_alone(name: str) -> None:
    metric.check(name, "regression")
    assert not metric.METRICS[name].is_higher_better
    assert f"metric={name} is for regression" in refused(lambda: metric.check(name, "binary"))


@pytest.mark.parametrize("name", ["pinball", "pinball_1", "pinball_0.0", "pinball_1.5", "pinball_x", "pinbal_0.9"])
def test_a_pinball_of_no_level_is_no_metric(name: str) -> None:
    message = refused(lambda: metric.check(name, "regression"))
    assert "no such metric" in message
    assert "pinball_0.9 (of any level)" in message
