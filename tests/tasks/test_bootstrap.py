"""A bootstrap interval says how sure a metric is, whatever the sample."""

from __future__ import annotations

import math
import tracemalloc
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from scored import sample

from tasks import metric
from tasks.bootstrap import intervals, resamples_for

Floats = NDArray[np.float64]
PROBLEMS = ("binary", "multiclass", "regression")
CASES = [(problem, name) for problem in PROBLEMS for name in metric.for_problem(problem)]


def interval(name: str, *of: Any, n_resamples: int = 1_000, **asked: Any) -> tuple[float, float]:
    return intervals([name], *of, n_resamples=n_resamples, **asked)[name]


def test_one_row_or_one_group_has_no_interval() -> None:
    assert all(map(math.isnan, interval("rmse", np.ones(1), np.zeros(1), seed=0)))
    assert all(map(math.isnan, interval("rmse", np.ones(9), np.zeros(9), groups=np.zeros(9), seed=0)))


@pytest.mark.parametrize(("problem", "name"), CASES)
def test_the_interval_is_that_of_a_bootstrap_by_hand(problem: str, name: str) -> None:
    y, prediction = sample(problem, 300, has_ties=True)
    generator = np.random.default_rng(5)
    values = []
    for _ in range(600):
        rows = generator.choice(len(y), len(y))
        values.append(metric.value(name, y[rows], prediction[rows]))
    low, high = interval(name, y, prediction, n_resamples=2000, seed=0)
    np.testing.assert_allclose([low, high], np.percentile(values, [2.5, 97.5]), atol=0.6 * float(np.std(values)))
    assert low < metric.value(name, y, prediction) < high


def test_the_share_of_a_rare_class_is_in_doubt_too() -> None:
    certain = np.tile([0.9, 0.1], (200, 1))
    low, high = interval("accuracy", (np.arange(200) < 9).astype(float), certain, seed=0)
    assert high - low == pytest.approx(2 * 1.96 * math.sqrt(0.045 * 0.955 / 200), rel=0.2)


@pytest.mark.parametrize("has_groups", [False, True])
def test_the_interval_is_scipy_s_bca_less_the_widening_for_few_units(has_groups: bool) -> None:
    n_units = 60
    units = np.random.default_rng(3).gamma(0.4, size=n_units)  # skewed, so that the plain percentiles lie elsewhere
    mean = np.repeat(units, 3) if has_groups else units
    groups = np.repeat(np.arange(n_units), 3) if has_groups else None
    found = interval("mae", mean, np.zeros(len(mean)), groups=groups, n_resamples=20_000, seed=0)
    student = math.sqrt(n_units / (n_units - 1)) * stats.t.ppf(0.975, n_units - 1)
    level = 2 * stats.norm.cdf(student) - 1
    by_scipy = stats.bootstrap((units,), np.mean, confidence_level=level, n_resamples=20_000, rng=0).confidence_interval
    np.testing.assert_allclose(found, by_scipy, atol=0.03 * (by_scipy.high - by_scipy.low))


def test_the_interval_of_a_mean_is_that_of_the_central_limit_theorem() -> None:
    error = np.random.default_rng(0).gamma(3.0, size=2000)
    low, high = interval("mae", error, np.zeros(2000), n_resamples=4000, seed=0)
    half = 1.96 * error.std() / np.sqrt(len(error))
    np.testing.assert_allclose([low, high], [error.mean() - half, error.mean() + half], atol=0.1 * half)


def test_the_same_seed_gives_the_same_interval_and_another_seed_another() -> None:
    y, prediction = sample("binary")
    first, again, other = (interval("roc_auc", y, prediction, seed=seed) for seed in (3, 3, 4))
    assert first == again != other


def test_rows_that_repeat_within_groups_widen_the_interval() -> None:
    y, prediction = sample("regression", 100)
    y, prediction, groups = (np.repeat(column, 10) for column in (y, prediction, np.arange(100)))
    once = np.subtract(*interval("rmse", y[::10], prediction[::10], seed=0))
    by_group = np.subtract(*interval("rmse", y, prediction, groups=groups, seed=0))
    by_row = np.subtract(*interval("rmse", y, prediction, seed=0))
    assert by_group == pytest.approx(once)
    assert abs(by_row) < abs(by_group) / 2


def test_groups_may_be_text() -> None:
    y, prediction = sample("binary", 40)
    groups = np.array([f"patient {row // 4}" for row in range(40)])
    by_name = interval("accuracy", y, prediction, groups=groups, seed=0)
    assert by_name[0] < by_name[1]


def test_an_interval_counts_rows_by_their_weight() -> None:
    y, prediction = sample("regression", 200)
    weight = np.where(np.arange(200) < 100, 1.0, 0.0)
    low, high = interval("mae", y, prediction, weight, seed=0)
    assert low < metric.value("mae", y[:100], prediction[:100]) < high
    wider = interval("mae", y, prediction, seed=0)
    assert high - low > wider[1] - wider[0]


def test_memory_does_not_grow_with_the_number_of_resamples() -> None:
    y, prediction = sample("binary", 20_000)
    tracemalloc.start()
    interval("roc_auc", y, prediction, n_resamples=300, seed=0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 300 * 20_000 * 8 / 4  # a quarter of one matrix of all resamples


@pytest.mark.parametrize("problem", PROBLEMS)
def test_metrics_that_are_asked_together_have_the_intervals_that_each_has_alone(problem: str) -> None:
    y, prediction = sample(problem, 80)
    names = metric.for_problem(problem)
    together = intervals(names, y, prediction, n_resamples=50, seed=0)
    assert together == {name: interval(name, y, prediction, n_resamples=50, seed=0) for name in names}


def test_a_metric_that_is_not_defined_has_no_interval_and_leaves_the_others_theirs() -> None:
    y, prediction = np.full(50, 0.1), np.random.default_rng(0).random(50)
    found = intervals(["r2", "mae"], y, prediction, n_resamples=20, seed=0)
    assert all(map(math.isnan, found["r2"]))
    assert found["mae"][0] < metric.value("mae", y, prediction) < found["mae"][1]


def test_large_samples_get_fewer_resamples_but_never_few() -> None:
    assert [resamples_for(n, 1_000) for n in (0, 100, 100_000, 200_000, 1_000_000, 10**9)] == [
        *[1_000] * 3, 500, 200, 200,
    ]  # fmt: skip
    assert resamples_for(10**9, 10) == 10
