"""Folds that walk forward in time: each trains on the past only and is judged on what came next."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import TimeSeriesSplit

from tasks.refusal import Refusal

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class TimeOrdered:
    """scikit-learn's TimeSeriesSplit over the distinct times instead of the rows, so that a moment is never cut in two.

    The times are cut into n_splits + 1 spans of equally many distinct times (not of equally many rows); fold i trains
    on spans 1..i and validates on span i + 1. The rows of the first span never validate.

    Raises:
        Refusal: `n_splits` below 2.
    """

    n_splits: int

    def __post_init__(self) -> None:
        if self.n_splits < 2:
            raise Refusal(f"folds.n_splits must be at least 2, got {self.n_splits}.")

    def get_n_splits(self, X: object = None, y: object = None, groups: object = None) -> int:
        """n_splits."""
        return self.n_splits

    def split(self, X: object, y: object, groups: NDArray[np.generic]) -> Iterator[tuple[Rows, Rows]]:
        """Row positions (train, valid), n_splits times, the earliest first.

        groups: (n,), the time of each row: numbers, datetimes or text that sorts; rows need not be in order.

        Raises:
            ValueError: there are no more distinct times than folds.
        """
        moments, moment_of_row = np.unique(groups, return_inverse=True)
        for train, valid in TimeSeriesSplit(n_splits=self.n_splits).split(moments):
            is_valid = (moment_of_row >= valid[0]) & (moment_of_row <= valid[-1])
            yield np.flatnonzero(moment_of_row <= train[-1]), np.flatnonzero(is_valid)
