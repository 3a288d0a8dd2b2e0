"""Laws that all ensembles of conf/ensemble hold, and the score that they are judged by."""

from __future__ import annotations

import numpy as np
import pytest

from flows.build import build
from flows.config import CONF, compose
from tasks import metric
from tasks.ensemble import Ensemble, Fold, mixture, score

ENSEMBLES = sorted(path.stem for path in (CONF / "ensemble").glob("*.yaml") if path.stem != "none")


def fold(n: int = 30, seed: int = 0) -> Fold:
    random = np.random.default_rng(seed)
    y = random.normal(size=n)
    predictions = (y + random.normal(size=(4, n))).astype(np.float32)
    return Fold(np.arange(n), y, random.uniform(1, 2, n), predictions)


@pytest.mark.parametrize("name", ENSEMBLES)
def test_weights_are_shares_of_one_and_arguments_are_left_as_they_are(name: str) -> None:
    ensemble: Ensemble = build(compose([f"ensemble={name}"]).config.ensemble, "ensemble")
    given, costs = [fold(seed=k) for k in range(2)], np.ones((4, 2))
    before = [(it.y.copy(), it.predictions.copy()) for it in given]
    weights = ensemble.weigh(given, costs, "rmse", 0)
    assert weights.shape == (4,)
    assert weights.dtype == np.float64
    assert weights.min() >= 0
    assert weights.sum() == pytest.approx(1)
    assert all(np.array_equal(it.y, y) and np.array_equal(it.predictions, p)
               for it, (y, p) in zip(given, before, strict=True))
    assert costs.tolist() == np.ones((4, 2)).tolist()


def test_the_score_is_the_mean_over_the_folds_as_that_of_a_trial_is() -> None:
    given = [fold(20, 1), fold(50, 2)]
    weights = np.array([0.25, 0, 0.75, 0])
    values = [
        metric.value("rmse", it.y, 0.25 * it.predictions[0] + 0.75 * it.predictions[2].astype(np.float64), it.weight)
        for it in given
    ]
    assert score("rmse", given, weights) == pytest.approx(np.mean(values))
    assert mixture(given[0], weights).dtype == np.float64


def test_a_fold_without_rows_keeps_what_belongs_to_the_others() -> None:
    whole = fold(10)
    part = whole.without(np.array([0, 3, 99]))
    kept = [1, 2, 4, 5, 6, 7, 8, 9]
    assert part.rows.tolist() == kept
    assert part.y.tolist() == whole.y[kept].tolist()
    assert part.weight is not None
    assert whole.weight is not None
    assert part.weight.tolist() == whole.weight[kept].tolist()
    assert part.predictions.tolist() == whole.predictions[:, kept].tolist()
