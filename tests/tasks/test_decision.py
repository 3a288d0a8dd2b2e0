"""A class is taken by what each mistake costs, and a threshold is tuned for a metric."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tasks import metric as metrics
from tasks.decision import FILE, Decision, cross_tuned, labels_of, read, tuned

RNG = np.random.default_rng(0)
N = 600
CHANCE = RNG.beta(1, 4, N).round(3)
Y = (RNG.random(N) < CHANCE).astype(np.float64)
PREDICTION = np.column_stack([1 - CHANCE, CHANCE])
WEIGHT = RNG.uniform(0.5, 2, N)


def test_the_class_of_least_expected_cost_is_taken_and_of_equals_the_first() -> None:
    decision = Decision(((0, 1, 2), (5, 0, 2), (1, 1, 0)))
    prediction = RNG.dirichlet(np.ones(3), 200)
    assert decision.labels(prediction).tolist() == (prediction @ np.array(decision.costs)).argmin(axis=1).tolist()
    assert Decision(((0, 1), (1, 0))).labels(np.array([[0.5, 0.5], [0.2, 0.8]])).tolist() == [0, 1]
    assert decision.cost(np.array([0.0, 1, 2]), np.array([2, 0, 2])).tolist() == [2, 5, 0]


def test_a_threshold_is_the_costs_that_it_stands_for() -> None:
    decision = Decision.at(0.3)
    by_costs = Decision(decision.costs)
    prediction = np.column_stack([1 - np.linspace(0, 1, 98), np.linspace(0, 1, 98)])
    assert decision.labels(prediction).tolist() == (prediction[:, 1] > 0.3).tolist()
    assert decision.labels(prediction).tolist() == by_costs.labels(prediction).tolist()


@pytest.mark.parametrize("metric", ["f1", "balanced_accuracy", "accuracy", "f1_macro"])
def test_no_threshold_is_better_than_the_tuned_one_on_the_rows_that_it_was_tuned_on(metric: str) -> None:
    at = tuned(metric, Y, PREDICTION, WEIGHT)
    def value(threshold: float) -> float:
        return metrics.value(metric, Y, PREDICTION, WEIGHT, Decision.at(threshold).labels(PREDICTION))
    assert value(at) == pytest.approx(max(value(t) for t in (*CHANCE, at)), abs=1e-9)
    assert at not in CHANCE


def test_rows_that_all_look_alike_leave_the_threshold_at_a_half() -> None:
    assert tuned("f1", Y, np.full((N, 2), 0.5), None) == 0.5


def test_labels_of_a_part_know_nothing_of_its_targets() -> None:
    parts = [np.arange(0, N, 2), np.arange(1, N, 2)]
    labels = cross_tuned("f1", Y, PREDICTION, None, parts)
    at = tuned("f1", Y[parts[1]], PREDICTION[parts[1]], None)
    assert labels[parts[0]].tolist() == (CHANCE[parts[0]] > at).tolist()


def test_it_is_read_as_it_was_written_and_without_one_the_most_probable_class_is_taken(tmp_path: Path) -> None:
    assert read(tmp_path) is None
    for decision in (Decision.at(0.25, "f1"), Decision(((0.0, 1.0), (5.0, 0.0)))):
        (tmp_path / FILE).write_text(decision.as_json())
        assert read(tmp_path) == decision
    assert labels_of(PREDICTION, None).tolist() == PREDICTION.argmax(axis=1).tolist()


def test_only_metrics_of_labels_see_labels() -> None:
    labels = np.ones(N, dtype=np.int64)
    for name in metrics.for_problem("binary"):
        changed = metrics.value(name, Y, PREDICTION, None, labels) != metrics.value(name, Y, PREDICTION)
        assert changed == metrics.METRICS[name].is_of_labels
    assert metrics.value("accuracy", Y, PREDICTION, None, labels) == pytest.approx(Y.mean())
