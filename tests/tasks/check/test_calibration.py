"""Probabilities and intervals are measured against what happened."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from judged import CLASSES, NUMBER, Sums, case
from sklearn.metrics import brier_score_loss

from tasks import interval
from tasks import model as models
from tasks.calibration._calibrated import Calibrated
from tasks.calibration.temperature import Scaling
from tasks.check.calibration import Calibration, brier
from tasks.interval import Residuals

RNG = np.random.default_rng(0)
N = 800
CHECK = Calibration(bins=10, levels=(0.8, 0.9, 0.99), resamples=100)


def table(sharper: float, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    score = rng.normal(size=N)
    y = (rng.random(N) < 1 / (1 + np.exp(-score))).astype(np.float64)
    return pd.DataFrame({"x": 1 / (1 + np.exp(-sharper * score)), "y": y, "weight": rng.uniform(0.5, 2, N)})


def test_a_calibrated_model_is_off_by_chance_alone_and_one_that_is_too_sure_by_more(tmp_path: Path) -> None:
    found = {}
    for sharper in (1.0, 4.0):
        train, held = table(sharper, 1), table(sharper, 2)
        it = case(tmp_path / str(sharper), CLASSES, "roc_auc", train, held, Sums(is_classes=True),
                  out_of_fold=list(train["x"]))
        found[sharper] = CHECK.measure(it)
    right, sure = (found[sharper].parts for sharper in (1.0, 4.0))
    assert set(right) == {"holdout", "out of fold"}
    for where in right:
        assert right[where]["expected_error"].value < right[where]["by_chance"].high
        assert sure[where]["expected_error"].low > sure[where]["by_chance"].high
        assert sure[where]["brier"].value > right[where]["brier"].value
    held = table(1.0, 2)
    expected = brier_score_loss(held["y"], held["x"], sample_weight=held["weight"])
    assert right["holdout"]["brier"].value == pytest.approx(expected)
    assert found[1.0].numbers["expected_error"] == right["holdout"]["expected_error"]


def test_what_a_calibration_changed_stands_beside_what_was_before(tmp_path: Path) -> None:
    train, held = table(4.0, 1), table(4.0, 2)
    it = case(tmp_path, CLASSES, "roc_auc", train, held, Sums(is_classes=True), out_of_fold=list(train["x"]))
    calibrated = Calibrated(Sums(is_classes=True), Scaling(4.0))
    models.save(calibrated, it.trained)
    columns = [f"probability_{label}" for label in CLASSES.classes]
    pd.DataFrame(calibrated.predict(held), columns=columns).to_parquet(it.predictions)
    found = CHECK.measure(it)
    assert set(found.parts) == {"holdout", "holdout before", "out of fold before"}
    assert found.parts["holdout"]["log_loss"].value < found.parts["holdout before"]["log_loss"].value
    assert "temperature 4" in found.reason


def test_brier_of_more_classes_is_scikit_learn_s(tmp_path: Path) -> None:
    prediction, y = RNG.dirichlet(np.ones(3), 200), RNG.integers(0, 3, 200)
    assert brier(y.astype(np.float64), prediction).mean() == pytest.approx(brier_score_loss(y, prediction))


def test_intervals_are_measured_on_the_holdout_and_levels_that_can_t_be_had_are_named(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    train, held = (pd.DataFrame({"x": rng.normal(size=n)}).assign(y=lambda t: t["x"] + rng.normal(size=len(t)))
                   for n in (80, 2_000))
    it = case(tmp_path, NUMBER, "rmse", train, held, Sums())
    assert CHECK.measure(it).state == "not_measurable"
    (it.trained / interval.FILE).write_text(Residuals.of((train["y"] - train["x"]).to_numpy()).as_json())
    found = CHECK.measure(it)
    assert set(found.numbers) == {"coverage_0.8", "width_0.8", "coverage_0.9", "width_0.9"}
    assert found.numbers["coverage_0.9"].value == pytest.approx(0.9, abs=0.06)
    assert found.numbers["coverage_0.9"].low < found.numbers["coverage_0.9"].value
    assert found.numbers["width_0.9"].value == pytest.approx(2 * 1.645, rel=0.3)
    assert "level 0.99; the highest that can be had is 0.975" in found.reason
