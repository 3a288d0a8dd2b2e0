"""What all trials of a study are trained on: its rows, how much each counts, and its folds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks import parquet
from tasks.class_weight import ClassWeight
from tasks.loss import Loss
from tasks.records import Problem

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
Places = npt.NDArray[np.integer[Any]]  # of rows, in fewer bytes where they are kept
N_OF_A_CLASS = 20


@dataclass(frozen=True)
class Training:
    """All that the trials of a study share.

    features: (n_rows, n_columns) typed, numeric columns floats with NaN for missing, others text or None; a frame, or
    a Parquet file that is read when it is needed. y: (n_rows,) class codes or the target. weight: (n_rows,) or None, in
    fits and in scores. folds: row positions (train, valid). metric: the name of what early stopping watches where the
    family can. class_weight: of the classes, in fits alone. text: the features that are prose; only families that read
    text are given any. computed: a folder for what is computed once of the features and kept, or None.
    """

    features: pd.DataFrame | Path
    y: Floats
    weight: Floats | None
    folds: Sequence[tuple[Rows, Rows]]
    problem: Problem
    loss: Loss
    metric: str
    class_weight: ClassWeight | None = None
    text: tuple[str, ...] = ()
    computed: Path | None = None

    @cached_property
    def X(self) -> pd.DataFrame:  # noqa: N802  # the field's name for a table of features
        """The features as one frame."""
        return self.features if isinstance(self.features, pd.DataFrame) else pd.read_parquet(self.features)

    def batches(self) -> Iterator[pd.DataFrame]:
        """The features in their order, in pieces, so that a large table is never held twice."""
        if isinstance(self.features, pd.DataFrame):
            yield self.features
            return
        yield from parquet.frames(self.features)

    def fit_weight(self, rows: Places) -> Floats | None:
        """(len(rows),) how much each of the rows counts where these are fitted: the rows' weights times those of their
        classes; None where all count alike."""
        weight = None if self.weight is None else self.weight[rows]
        return weight if self.class_weight is None else self.class_weight.of_rows(self.y[rows], weight)

    def fold(self, fold: int, n_rows: int | None = None) -> tuple[Rows, Rows]:
        """Row positions (train, valid) of a fold; or a sample, about `n_rows` to train on and half as many to validate
        on. A smaller sample is part of a larger one, and has at least `N_OF_A_CLASS` rows of every class."""
        train, valid = self.folds[fold]
        if n_rows is None or n_rows >= len(train):
            return train, valid
        n_train, n_valid = self.sizes(fold, n_rows)
        return self._sample(train, n_train), self._sample(valid, n_valid)

    def sizes(self, fold: int, n_rows: int | None = None) -> tuple[int, int]:
        """How many rows `fold` gives, but for those of rare classes."""
        train, valid = map(len, self.folds[fold])
        return (train, valid) if n_rows is None or n_rows >= train else (n_rows, min(valid, n_rows // 2))

    def take(self, rows: Rows) -> pd.DataFrame:
        """The features of some rows, (n_taken,) ascending; a large table isn't held for them."""
        if isinstance(self.features, pd.DataFrame) or "X" in vars(self):
            return self.X.iloc[rows]
        return parquet.take(self.features, rows)

    def some(self, n_rows: int) -> tuple[pd.DataFrame, Rows]:
        """About so many rows, evenly from the whole table, and their positions."""
        rows = np.arange(0, len(self.y), max(1, len(self.y) // n_rows))
        return self.take(rows), rows

    def _sample(self, rows: Rows, n_rows: int) -> Rows:
        is_classification = self.problem.is_classification
        codes = self.y[rows].astype(np.int64) if is_classification else np.zeros(len(rows), np.int64)
        n_least = N_OF_A_CLASS if is_classification else 1
        share, place = n_rows / len(rows), self._places[rows]
        taken = []
        for code in np.unique(codes):
            own = np.flatnonzero(codes == code)
            n = min(len(own), max(n_least, round(share * len(own))))
            taken.append(own[np.argsort(place[own], kind="stable")[:n]])
        return np.sort(rows[np.concatenate(taken)])

    @cached_property
    def _places(self) -> npt.NDArray[np.int32]:
        """Each row's place in one shuffled order, of which every sample takes the first."""
        return np.random.default_rng(0).permutation(len(self.y)).astype(np.int32)


def without_text(training: Training) -> Training:
    """The training as families see it that read no text."""
    if not training.text:
        return training
    return replace(training, features=training.X.drop(columns=list(training.text)), text=())
