"""The pinball loss has the quantile for its minimum."""

from __future__ import annotations

import numpy as np
import pytest

from tasks import metric
from tasks.loss.mae import MAE
from tasks.loss.quantile import Quantile

Y = np.random.default_rng(0).gamma(2, size=999)


@pytest.mark.parametrize("level", [0.05, 0.5, 0.9])
def test_the_best_constant_is_the_quantile(level: float) -> None:
    costs = [Quantile(level).cost(Y, np.full(len(Y), guess)) for guess in np.sort(Y)]
    assert np.sort(Y)[np.argmin(costs)] == np.quantile(Y, level, method="inverted_cdf")


def test_the_level_of_a_half_is_half_the_absolute_error() -> None:
    np.testing.assert_allclose(2 * Quantile(0.5).per_sample(Y, Y[::-1]), MAE().per_sample(Y, Y[::-1]))


@pytest.mark.parametrize("level", [0.9, 0.05, 1e-5, 0.123456])
def test_the_metric_that_it_is_selected_on_is_its_own_cost(level: float) -> None:
    loss = Quantile(level)
    metric.check(loss.metric, "regression")
    assert metric.value(loss.metric, Y, Y[::-1]) == pytest.approx(loss.cost(Y, Y[::-1]), rel=1e-12)
