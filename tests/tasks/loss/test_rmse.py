"""RMSE trains as the squared error does."""

from __future__ import annotations

import numpy as np

from tasks.loss.mse import MSE
from tasks.loss.rmse import RMSE


def test_rmse_trains_exactly_as_mse_and_its_cost_is_the_root() -> None:
    y, raw = np.random.default_rng(0).normal(size=(2, 30))
    np.testing.assert_array_equal(RMSE().per_sample(y, raw), MSE().per_sample(y, raw))
    np.testing.assert_array_equal(RMSE().gradient(y, raw), MSE().gradient(y, raw))
    assert RMSE().cost(y, raw) == np.sqrt(MSE().cost(y, raw))
