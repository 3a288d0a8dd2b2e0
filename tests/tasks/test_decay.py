"""Decay: what a score lost, as a share of the gain over a constant, with an interval that holds the truth."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.decay import decay_of
from tasks.records import HoldoutScore

BEFORE = HoldoutScore(1.0, 0.95, 1.05, 3.0)


def of(error: float, n: int = 2_000, before: HoldoutScore = BEFORE) -> tuple[float, float, float]:
    generator = np.random.default_rng(0)
    found = decay_of("rmse", generator.normal(0, error, n), np.zeros(n), before, None)
    return found.lost, found.lost_low, found.lost_high


def test_the_loss_is_a_share_of_the_gain_and_lies_in_its_interval() -> None:
    lost, low, high = of(1.5)  # from 1 to 1.5 of a gain of 2
    assert lost == pytest.approx(0.25, abs=0.03)
    assert low < 0.25 < high
    assert low > 0.15


def test_an_equal_score_lost_nothing_and_a_better_one_less() -> None:
    _, low, high = of(1.0)
    assert low < 0 < high
    assert of(0.5)[2] < 0


def test_a_score_that_is_not_defined_is_told_without_numbers() -> None:
    prediction = np.full((30, 2), 0.5)
    found = decay_of("roc_auc", np.ones(30), prediction, HoldoutScore(0.8, 0.7, 0.9, 0.5), None)
    assert found.in_words() == "roc_auc isn't defined on these 30 labelled rows"
    assert not found.is_sure


def test_a_model_without_a_gain_has_nothing_to_lose() -> None:
    assert np.isnan(of(1.5, before=HoldoutScore(3.0, 2.9, 3.1, 3.0))).all()
