"""Laws that all calibrations of conf/calibration hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import softmax

from flows.build import build
from flows.config import CONF, compose
from tasks.calibration import Calibration, Floats, crossed, log_loss
from tasks.calibration._calibrated import CURVES

CHOICES = sorted(path.stem for path in (CONF / "calibration").glob("*.yaml") if path.stem != "none")
N = 3_000


def made(name: str) -> Calibration:
    built: Calibration = build(compose([f"calibration={name}"]).config.calibration, "calibration")
    return built


def sample(k: int, seed: int = 0, sharper: float = 2.5) -> tuple[Floats, Floats]:
    """Probabilities that are too sure, and classes drawn by those that are not."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(N, k)) * 1.5
    right = softmax(scores, axis=1)
    y = (right.cumsum(axis=1) < rng.random((N, 1))).sum(axis=1).astype(np.float64)
    return np.asarray(softmax(sharper * scores, axis=1)), y


choices, classes = pytest.mark.parametrize("name", CHOICES), pytest.mark.parametrize("k", [2, 4])


@choices
@classes
def test_probabilities_that_are_too_sure_lose_less_on_new_rows(name: str, k: int) -> None:
    curve = made(name).fit(*sample(k), None)
    prediction, y = sample(k, seed=1)
    calibrated = curve(prediction)
    assert log_loss(calibrated, y, None) < 0.9 * log_loss(prediction, y, None)
    np.testing.assert_allclose(calibrated.sum(axis=1), 1)
    assert (calibrated > 0).all()


@choices
@classes
def test_it_is_the_same_again_after_json_and_for_each_row_alone(name: str, k: int) -> None:
    prediction, y = sample(k)
    curve, again = made(name).fit(prediction, y, None), made(name).fit(prediction, y, None)
    assert curve == again
    kept = curve.as_json()
    read: Any = CURVES[kept["kind"]](kept)
    assert read(prediction).tolist() == curve(prediction).tolist()
    assert curve(prediction[7:8]).tolist() == curve(prediction)[7:8].tolist()
    assert kept["kind"] in curve.described


@choices
@classes
def test_a_weight_of_two_is_a_row_twice(name: str, k: int) -> None:
    prediction, y = sample(k)
    weight = np.random.default_rng(0).integers(1, 3, N)
    by_weight = made(name).fit(prediction, y, weight.astype(np.float64))
    by_rows = made(name).fit(np.repeat(prediction, weight, axis=0), np.repeat(y, weight), None)
    apart = np.abs(by_weight(prediction) - by_rows(prediction))
    assert np.quantile(apart, 0.98) < 3e-3  # but for the ends of a curve, where weights are counted by their mean
    assert apart.max() < 1e-2
    assert np.abs(by_weight(prediction) - made(name).fit(prediction, y, None)(prediction)).max() > 1e-4


@choices
@classes
def test_probabilities_of_0_and_1_and_a_class_without_a_row_stay_finite(name: str, k: int) -> None:
    prediction, y = np.eye(k)[np.arange(60) % k], (np.arange(60) // 7 % k).astype(np.float64)
    for target in (y, np.zeros(60)):
        calibrated = made(name).fit(prediction, target, None)(prediction)
        assert np.isfinite(calibrated).all()
        assert np.isfinite(log_loss(calibrated, target, None))


@choices
def test_each_part_is_calibrated_by_the_others_alone(name: str) -> None:
    prediction, y = sample(2)
    parts = [np.arange(0, N, 3), np.arange(1, N, 3), np.arange(2, N, 3)]
    before = crossed(made(name), prediction, y, None, parts)
    other = y.copy()
    other[parts[0]] = 1 - other[parts[0]]
    after = crossed(made(name), prediction, other, None, parts)
    assert before[parts[0]].tolist() == after[parts[0]].tolist()
    assert before[parts[1]].tolist() != after[parts[1]].tolist()
