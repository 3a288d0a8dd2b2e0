"""The focal loss: the paper's figures, its second derivative, and extremes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax

from tasks.loss.cross_entropy import CrossEntropy
from tasks.loss.focal import Focal

GENERATOR = np.random.default_rng(0)
Y, RAW = GENERATOR.integers(0, 3, 200).astype(np.float64), 2 * GENERATOR.normal(size=(200, 3))


def test_a_row_at_nine_tenths_costs_a_hundredth_of_its_cross_entropy() -> None:
    """Lin et al. 2017, section 3.2: with gamma = 2 and p = .9 a hundred times less, with p = .968 a thousand times."""
    y, prediction = np.zeros(2), np.array([[0.9, 0.1], [0.968, 0.032]])
    share = Focal(2.0).per_sample(y, prediction) / CrossEntropy().per_sample(y, prediction)
    np.testing.assert_allclose(share, [1 / 100, 1 / 1000], rtol=0.03)


def test_gamma_0_is_the_cross_entropy() -> None:
    prediction = softmax(RAW, axis=1)
    np.testing.assert_allclose(Focal(0.0).per_sample(Y, prediction), CrossEntropy().per_sample(Y, prediction))
    np.testing.assert_allclose(Focal(0.0).gradient(Y, RAW), CrossEntropy().gradient(Y, RAW), atol=1e-15)
    np.testing.assert_allclose(Focal(0.0).derivatives(Y, RAW)[1], prediction * (1 - prediction))


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 5.0])
def test_the_curvature_is_that_of_finite_differences_where_the_loss_is_convex(gamma: float) -> None:
    loss, step = Focal(gamma), 1e-5
    curvature = loss.derivatives(Y, RAW)[1]
    is_sure = softmax(RAW, axis=1)[np.arange(len(Y)), Y.astype(int)] > 0.7
    for column in range(3):
        shift = step * np.eye(3)[column]
        slope = (loss.gradient(Y, RAW + shift) - loss.gradient(Y, RAW - shift))[:, column] / (2 * step)
        np.testing.assert_allclose(curvature[is_sure, column], slope[is_sure], rtol=1e-5, atol=1e-9)
        assert (curvature[:, column] >= slope - 1e-9).all()
    assert is_sure.sum() > 30


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_huge_logits_have_a_finite_gradient_and_curvature(gamma: float) -> None:
    y, raw = np.array([0.0, 1.0]), np.array([[1e4, -1e4], [1e4, -1e4]])
    np.testing.assert_allclose(Focal(gamma).gradient(y, raw), [[0, 0], [1, -1]], atol=1e-7)
    assert np.isfinite(Focal(gamma).derivatives(y, raw)[1]).all()
