"""Huber's loss lies between the squared and the absolute error."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from tasks.loss.huber import SHARE_OF_SPREAD, Huber
from tasks.loss.mae import MAE
from tasks.loss.mse import MSE

Y, RAW = np.random.default_rng(0).normal(size=(2, 200))


def test_a_large_delta_is_half_the_squared_error_and_a_small_one_delta_times_the_absolute() -> None:
    np.testing.assert_allclose(Huber(1e3).per_sample(Y, RAW), MSE().per_sample(Y, RAW) / 2)
    np.testing.assert_allclose(Huber(1e-9).per_sample(Y, RAW), 1e-9 * MAE().per_sample(Y, RAW), atol=1e-17)


def test_auto_is_a_share_of_half_the_distance_between_the_quartiles_and_follows_the_unit() -> None:
    y = np.arange(101.0)
    assert Huber("auto").settled(y) == Huber(SHARE_OF_SPREAD * 25)
    assert Huber("auto").settled(1e6 * y) == Huber(SHARE_OF_SPREAD * 25e6)
    assert Huber(3.0).settled(y) == Huber(3.0)


@pytest.mark.parametrize("y", [np.r_[np.zeros(99), 1.0], np.zeros(5)])
def test_auto_is_more_than_nothing_where_most_targets_are_equal(y: np.ndarray) -> None:
    assert float(Huber("auto").settled(y).delta) > 0


@pytest.mark.parametrize("delta", [0, -1, "automatic"])
def test_a_delta_that_is_none_is_refused(delta: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Huber).validate_python({"delta": delta})
