"""One temperature, found where it is known."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.calibration.temperature import LEAST, Scaling, Temperature


def test_the_temperature_that_sharpened_the_probabilities_is_found() -> None:
    rng = np.random.default_rng(0)
    score = rng.normal(size=20_000) * 2
    y = (rng.random(20_000) < 1 / (1 + np.exp(-score))).astype(np.float64)
    sharp = 1 / (1 + np.exp(-1.7 * score))
    found = Temperature(20.0).fit(np.column_stack([1 - sharp, sharp]), y, None)
    assert found.temperature == pytest.approx(1.7, rel=0.03)


def test_the_most_probable_class_stays_and_a_probability_of_0_counts_as_the_least() -> None:
    prediction = np.array([[0.0, 1.0, 0.0], [0.5, 0.3, 0.2]])
    warm = Scaling(3.0)(prediction)
    assert warm.argmax(axis=1).tolist() == [1, 0]
    assert warm[0, 0] == pytest.approx(LEAST ** (1 / 3) / (1 + 2 * LEAST ** (1 / 3)))
