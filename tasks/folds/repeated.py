"""Folds drawn several times over, stratified for classes: the noise of one draw averages out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import RepeatedKFold, RepeatedStratifiedKFold

from tasks.refusal import Refusal

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Repeated:
    """scikit-learn's RepeatedStratifiedKFold where y holds classes, its RepeatedKFold where y is a number.

    Raises:
        Refusal: `n_splits` below 2 or `n_repeats` below 1.
    """

    n_splits: int
    n_repeats: int
    random_state: int

    def __post_init__(self) -> None:
        limits = {"n_splits": (self.n_splits, 2), "n_repeats": (self.n_repeats, 1)}
        faults = [f"folds.{key} must be at least {low}, got {n}." for key, (n, low) in limits.items() if n < low]
        if faults:
            raise Refusal(*faults)

    def get_n_splits(self, X: object = None, y: object = None, groups: object = None) -> int:
        """n_splits * n_repeats."""
        return self.n_splits * self.n_repeats

    def split(
        self, X: NDArray[np.generic], y: NDArray[np.generic], groups: object = None
    ) -> Iterator[tuple[Rows, Rows]]:
        """Row positions (train, valid), n_splits * n_repeats times; every row is n_repeats times in a valid.

        y: (n,); floating point is a number, everything else (integers, booleans, text) is a class.
        """
        kind = RepeatedKFold if y.dtype.kind == "f" else RepeatedStratifiedKFold
        repeated = kind(n_splits=self.n_splits, n_repeats=self.n_repeats, random_state=self.random_state)
        yield from repeated.split(X, y)
