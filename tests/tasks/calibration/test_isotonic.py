"""Curves are scikit-learn's, with ends that chance can't take for certain."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression

from tasks.calibration.isotonic import Isotonic

RNG = np.random.default_rng(0)
SCORE = RNG.random(500)
Y = (RNG.random(500) < SCORE**2).astype(np.float64)


def test_two_classes_have_scikit_learn_s_curve_of_the_second() -> None:
    pieces = Isotonic().fit(np.column_stack([1 - SCORE, SCORE]), Y, None)
    assert len(pieces.x) == 1
    theirs = IsotonicRegression(out_of_bounds="clip").fit(SCORE, Y).predict(SCORE)
    ours = pieces(np.column_stack([1 - SCORE, SCORE]))[:, 1]
    is_inner = (theirs > 0) & (theirs < 1)
    np.testing.assert_allclose(ours[is_inner], theirs[is_inner], atol=0.03)  # beside a moved end the line is another
    assert np.median(np.abs(ours - theirs)) < 1e-9


def test_a_step_of_0_becomes_half_a_row_among_its_own() -> None:
    score = np.repeat([0.1, 0.5, 0.9], [40, 10, 20])
    y = np.concatenate([np.zeros(40), np.tile([0, 1], 5), np.ones(20)])
    pieces = Isotonic().fit(np.column_stack([1 - score, score]), y, None)
    assert pieces.y[0][0] == pytest.approx(0.5 / 41)
    assert pieces.y[0][-1] == pytest.approx(1 - 0.5 / 21)
    assert all(np.diff(pieces.y[0]) >= 0)
