"""Probabilities are laid against what came true."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.reliability import bins_of, chances, error_of, shown, sums

RNG = np.random.default_rng(1)
SCORE = RNG.random(3_000)
HIT = (RNG.random(3_000) < SCORE).astype(np.float64)


def test_bins_have_equally_many_rows_and_equal_scores_stay_together() -> None:
    assert np.bincount(bins_of(SCORE, 15)).tolist() == [200] * 15
    tied = bins_of(np.repeat([0.1, 0.2, 0.9], [50, 1, 9]), 10)
    assert len({*tied[:50].tolist()}) == 1
    assert bins_of(np.full(9, 0.5), 10).tolist() == [0] * 9


def test_the_error_is_the_mean_distance_of_the_bins_by_weight() -> None:
    weight = RNG.uniform(0.5, 2, 3_000)
    bins = bins_of(SCORE, 10)
    found = error_of(SCORE, HIT, bins, weight[None, :])[0]
    expected = sum(
        weight[own].sum() * abs(np.average(HIT[own], weights=weight[own]) - np.average(SCORE[own], weights=weight[own]))
        for own in (bins == number for number in range(10))
    )
    assert found == pytest.approx(expected / weight.sum())
    assert sums(HIT, bins, np.ones((2, 3_000))).shape == (2, 10)


def test_a_calibrated_model_is_off_by_no_more_than_chance_and_an_overconfident_one_is() -> None:
    bins, once = bins_of(SCORE, 15), np.ones((1, 3_000))
    by_chance = chances(SCORE, bins, None, 200, 0)
    assert error_of(SCORE, HIT, bins, once)[0] < by_chance.max()
    sure = SCORE**2 / (SCORE**2 + (1 - SCORE) ** 2)
    assert error_of(sure, HIT, bins_of(sure, 15), once)[0] > 2 * by_chance.max()


def test_of_more_classes_the_most_probable_one_is_shown() -> None:
    score, is_hit = shown(np.array([2.0, 0.0]), np.array([[0.2, 0.3, 0.5], [0.1, 0.8, 0.1]]))
    assert (score.tolist(), is_hit.tolist()) == ([0.5, 0.8], [1.0, 0.0])
    score, is_hit = shown(np.array([1.0, 0.0]), np.array([[0.9, 0.1], [0.2, 0.8]]))
    assert (score.tolist(), is_hit.tolist()) == ([0.1, 0.8], [1.0, 0.0])
