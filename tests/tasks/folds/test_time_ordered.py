"""Forward folds never cut a moment in two."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.model_selection import TimeSeriesSplit

from tasks.folds.time_ordered import TimeOrdered
from tasks.refusal import Refusal


def test_rows_of_equal_time_are_never_split() -> None:
    times = np.array(["b", "a", "c", "b", "a", "d", "c", "c", "b", "d"])
    for train, valid in TimeOrdered(3).split(None, None, times):
        assert not set(times[train]) & set(times[valid])
        for moment in set(times[valid]):
            assert set(np.flatnonzero(times == moment)) <= set(valid)


def test_distinct_times_in_order_are_split_as_scikit_learn_does() -> None:
    for got, want in zip(
        TimeOrdered(4).split(None, None, np.arange(23)), TimeSeriesSplit(4).split(np.arange(23)), strict=True
    ):
        np.testing.assert_array_equal(got[0], want[0])
        np.testing.assert_array_equal(got[1], want[1])


def test_the_order_of_rows_does_not_matter() -> None:
    times = np.arange(30) // 2
    order = np.random.default_rng(0).permutation(30)
    for (_, sorted_valid), (_, valid) in zip(
        TimeOrdered(5).split(None, None, times), TimeOrdered(5).split(None, None, times[order]), strict=True
    ):
        assert set(order[valid]) == set(sorted_valid)


def test_fewer_than_two_folds_are_refused() -> None:
    with pytest.raises(Refusal, match=r"folds\.n_splits must be at least 2, got 1\."):
        TimeOrdered(1)
