"""Cross-entropy stays finite where probabilities and logits are extreme."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import log_loss

from tasks.loss.cross_entropy import CrossEntropy


def test_a_sure_and_wrong_prediction_costs_as_in_scikit_learn() -> None:
    y, prediction = np.array([0.0, 1.0, 1.0]), np.array([[0.0, 1.0], [0.0, 1.0], [0.5, 0.5]])
    assert CrossEntropy().cost(y, prediction) == pytest.approx(log_loss(y, prediction), rel=1e-12)


def test_huge_logits_have_a_gradient() -> None:
    slope = CrossEntropy().gradient(np.array([0.0, 1.0]), np.array([[1e4, -1e4], [1e4, -1e4]]))
    np.testing.assert_array_equal(slope, [[0.0, 0.0], [1.0, -1.0]])
