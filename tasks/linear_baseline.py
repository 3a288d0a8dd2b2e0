"""What a linear model would get: the second zero on the scale of every score, beside a constant prediction."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks import parquet
from tasks.loss import Loss
from tasks.model import Fitted, Model, Training
from tasks.records import Problem

# 20,000 x 30 take .2 s to encode and fit, and more rows move a line little.
N_ROWS, N_CELLS, LEAST_ROWS = 20_000, 2_000_000, 1_000
N_OF_A_CLASS = 20


def fitted_linear(folder: Path, problem: Problem, loss: Loss, family: Model, text: Sequence[str]) -> Fitted | None:
    """The family with the hyperparameters that its search begins with, fitted on the training rows of a split, or on
    some of many; None where it can't train on the loss, and where all features are text.

    folder: the split's. text: the features that are prose, which it doesn't see.
    """
    roles, features = pd.read_parquet(folder / "train_roles.parquet"), folder / "train_features.parquet"
    columns = [name for name in next(parquet.frames(features)).columns if name not in text]
    if not columns or family.check(problem, loss):
        return None
    y = roles["target"].to_numpy(dtype=np.float64)
    n_rows = max(LEAST_ROWS, min(N_ROWS, N_CELLS // len(columns)))
    rows = _some(y, n_rows, is_classification=problem.is_classification)
    weight = roles["weight"].to_numpy(dtype=np.float64)[rows] if "weight" in roles else None
    X = parquet.take(features, rows)[columns]
    training = Training(X, y[rows], weight, [], problem, loss, metric="")
    hyperparameters, rounds = family.final(family.start, None)
    return family.fit(family.workspace(training, None, 1), hyperparameters, rounds, 0)


def _some(y: npt.NDArray[np.float64], n: int, *, is_classification: bool) -> npt.NDArray[np.int64]:
    """About n ascending places, evenly over the target's values, and some of every class."""
    order = np.argsort(y, kind="stable")
    if len(y) <= n:
        return np.sort(order)
    taken = [order[np.linspace(0, len(y) - 1, n).astype(np.int64)]]
    if is_classification:
        taken += [np.flatnonzero(y == code)[:N_OF_A_CLASS] for code in np.unique(y)]
    return np.unique(np.concatenate(taken))
